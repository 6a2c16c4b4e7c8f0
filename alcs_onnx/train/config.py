"""What a training run is told, and what it tells afterwards: plain frozen values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import FloatArray, InitializerName, LayerName, WeightMask


@dataclass(frozen=True)
class TrainConfig:
    """Hyper-parameters of ALCS Algorithm 2; defaults follow section IV-A unless noted.

    rho: penalty of the augmented Lagrangian (paper 0.01, for epochs of 5,000 steps); None
        gives an iteration the same pull as in the paper, see `penalty.automatic_rho`.
        ADMM-NN-S starts from 0.0015, ADAM-ADMM uses 0.003 for filters and columns and 0.0015
        for single weights. `rho_layers` has other values for single layers, by name.
    rho_growth, rho_every: rho is multiplied by `rho_growth` after each `rho_every` iterations
        (ADMM-NN-S section 4.3), up to `rho_max`.
    rho_adapt: what rho is multiplied by when ‖W − U‖ grows; 1 leaves it.
    optimizer, finetune_optimizer: "sgd" (paper, for both) or "adam". With batch normalisation
        folded into the weights, SGD must stay at a small rate (ResNet-20: 0.01 diverges), at
        which a heavily pruned network recovers slowly; Adam does not depend on the scale of
        the channels. In ADMM it would disturb the dense weights that it starts from.
    lr: constant learning rate of the W-step.
    momentum, nesterov: of SGD; of Adam, momentum is the first decay rate.
    weight_decay: in the W-step (paper 1e-4 for ResNet, 4e-5 for MobileNet); fine-tuning uses
        `finetune_weight_decay` (paper 0).
    admm_epochs: ADMM iterations (paper 60 to 100 of one epoch; ADMM-NN-S 8 to 12), each with
        a W-step of `iteration_epochs` epochs.
    finetune_epochs: masked epochs after them (paper 60), the rate falling from `finetune_lr`
        (None: `lr`) to 0 along a cosine.
    give_up: how many times the loss before the first step the mean loss of a masked epoch may be:
        beyond, training has diverged. None: any. Right where what it starts from is good already.
    batch_size: paper 256; half of that costs small data sets less.
    dual_init: see `admm.initial_dual`.
    label_smoothing: of the cross-entropy, 0 to 1.
    distill: weight of the distillation loss against the dense model, 0 to 1; data without
        labels always uses 1. `temperature` softens both sides of it.
    recalibrate: before fine-tuning, bring the channels of the pruned network back to the mean
        and deviation they have in the dense one (not in the paper, which trains with batch
        normalisation in place; see `recalibrate`).
    clip_gradient: largest L2 norm of the whole gradient; None does not limit it.
    seed: of shuffling and augmentation. Equal seeds give bit-equal results on one machine
        with one thread count.
    threads: of torch; None leaves torch's setting.
    device: "cpu", or any other torch device that is present.
    channels_last: memory format of 4-D tensors; a step of ResNet-20 takes 10 to 15 % less.
    bfloat16: compute the forward and backward pass in bfloat16 where torch's autocast does
        so; weights, penalty and measured metrics stay in float32.
    evaluate: measure the metric on the test samples after each epoch.
    """

    rho: float | None = None
    rho_layers: Mapping[str, float] = field(default_factory=dict)
    rho_growth: float = 1.0
    rho_every: int = 1
    rho_max: float | None = None
    rho_adapt: float = 2.0
    lr: float = 0.001
    optimizer: str = "sgd"
    finetune_optimizer: str = "adam"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    finetune_weight_decay: float = 0.0
    admm_epochs: int = 60
    iteration_epochs: int = 1
    finetune_epochs: int = 60
    finetune_lr: float | None = None
    give_up: float | None = None
    batch_size: int = 128
    dual_init: str = "zero"
    label_smoothing: float = 0.0
    distill: float = 0.0
    temperature: float = 2.0
    recalibrate: bool = True
    clip_gradient: float | None = None
    seed: int = 0
    threads: int | None = None
    device: str = "cpu"
    channels_last: bool = True
    bfloat16: bool = False
    evaluate: bool = True

    def __post_init__(self) -> None:
        positive = {"lr": self.lr, "temperature": self.temperature}
        for name in ("batch_size", "rho_every", "iteration_epochs"):
            positive[name] = getattr(self, name)
        positive |= {f"rho of '{layer}'": rho for layer, rho in self.rho_layers.items()}
        for name in ("rho", "rho_max", "finetune_lr", "clip_gradient", "threads"):
            if getattr(self, name) is not None:
                positive[name] = getattr(self, name)
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise AlcsError(f"{name} must be positive, got {value}")
        for name in ("weight_decay", "finetune_weight_decay", "admm_epochs", "finetune_epochs"):
            if not getattr(self, name) >= 0:
                raise AlcsError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("rho_growth", "rho_adapt"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 1):
                raise AlcsError(f"{name} must be at least 1, got {value}")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise AlcsError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if not 0 <= self.distill <= 1:
            raise AlcsError(f"distill must be in [0, 1], got {self.distill}")
        if self.nesterov and self.momentum == 0:
            raise AlcsError("nesterov needs a momentum above 0")
        if self.dual_init not in DUAL_INITS:
            raise AlcsError(f"dual_init '{self.dual_init}' is not one of {', '.join(DUAL_INITS)}")

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, for checkpoints and reports."""
        return asdict(self)

    @property
    def w_step(self) -> Descent:
        """The descent of ADMM's W-step."""
        return Descent(self.optimizer, self.lr, self.weight_decay)

    @property
    def finetuning(self) -> Descent:
        """The descent of fine-tuning, at its first learning rate."""
        lr = self.lr if self.finetune_lr is None else self.finetune_lr
        return Descent(self.finetune_optimizer, lr, self.finetune_weight_decay)


class Descent(NamedTuple):
    """How a stage descends: a name of `loop.OPTIMIZERS`, and what that optimizer is told."""

    optimizer: str
    lr: float
    weight_decay: float


DUAL_INITS = ("paper", "scaled", "zero")


class Projection(NamedTuple):
    """What the U-step's projection decides (ALCS Algorithm 1).

    `masks[layer]` is the layer's weight mask; layers left out stay dense. `predicted_ms` is the
    estimated latency of the model so pruned, None where nothing estimates it. `values[layer]`
    are the projected weights themselves, where the set says more about them than which are 0:
    quantization levels.
    """

    masks: Mapping[LayerName, WeightMask]
    predicted_ms: float | None = None
    values: Mapping[LayerName, FloatArray] = MappingProxyType({})


#: Projects {layer: weight array} on the set S: the models within a budget, with at most so many
#: groups in each layer, or with weights of some levels.
Project = Callable[[Mapping[LayerName, FloatArray]], Projection]


@dataclass(frozen=True)
class EpochRecord:
    """One ADMM iteration or fine-tuning epoch.

    `loss` is the mean training loss without the penalty; `residual` is ‖W − U‖ over the
    pruned weights and `relative_residual` that over ‖W‖ (both 0 in fine-tuning); `metric` is
    on the test samples, with W in fine-tuning, with U in ADMM, recalibrated where the
    settings ask for it; None where not measured.
    `changed` is the share of weights whose mask changed since the iteration before; `rho` is
    the largest of any layer, and `dual_residual` ‖rho (U − U of the iteration before)‖.
    """

    stage: str
    epoch: int
    loss: float
    residual: float = 0.0
    relative_residual: float = 0.0
    changed: float = 0.0
    predicted_ms: float | None = None
    metric: float | None = None
    seconds: float = 0.0
    rho: float = 0.0
    dual_residual: float = 0.0


@dataclass(frozen=True)
class TrainHistory:
    """The records of a run, in order."""

    records: tuple[EpochRecord, ...] = ()

    def __add__(self, other: TrainHistory) -> TrainHistory:
        return TrainHistory(self.records + other.records)

    def stage(self, name: str) -> tuple[EpochRecord, ...]:
        """The records of one stage: "admm", "finetune", or one of these and a round's number."""
        return tuple(record for record in self.records if record.stage == name)


@dataclass(frozen=True)
class TrainResult:
    """Trained weights by initializer, weight masks by layer, and how it went.

    `weights` holds every trained initializer, pruned weights exactly zero where their mask
    is False. `predicted_ms` is the projection's estimate for these masks, where it made one.
    `trained` are the weights as ADMM left them, W, where `weights` are their projection U.
    """

    weights: Mapping[InitializerName, FloatArray]
    keep: Mapping[LayerName, WeightMask]
    history: TrainHistory = field(default_factory=TrainHistory)
    predicted_ms: float | None = None
    trained: Mapping[InitializerName, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Quality of a model on samples.

    `kind` says what `value` is: "accuracy" (top-1), "agreement" (top-1 equal to the dense
    model's), "fidelity" (1 − relative RMS error against the dense model's outputs), or
    "metric" (the data's own). `samples` counts the evaluated samples.
    """

    kind: str
    value: float
    samples: int
