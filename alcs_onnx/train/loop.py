"""What ADMM and fine-tuning share: the module, SGD, one epoch, and measuring."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alcs_onnx.data import Batch
from alcs_onnx.errors import AlcsError, DivergedError, UnsupportedError
from alcs_onnx.graph import Model
from alcs_onnx.train.batches import TensorBatch
from alcs_onnx.train.config import Descent, Evaluation, TrainConfig
from alcs_onnx.train.module import OnnxModule
from alcs_onnx.train.objective import Objective
from alcs_onnx.train.recalibrate import match_moments
from alcs_onnx.train.run import TrainRun
from alcs_onnx.types import BoolArray, FloatArray, InitializerName, LayerName


def epoch_seed(seed: int, stage: str, epoch: int) -> int:
    """A seed for one epoch of one stage, so that no random state outlives an epoch."""
    entropy = (seed % 2**63, zlib.crc32(stage.encode()), epoch)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Run with `count` torch threads and restore the setting; None changes nothing."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _sgd(module: nn.Module, config: TrainConfig, descent: Descent) -> Optimizer:
    return torch.optim.SGD(
        module.parameters(),
        lr=descent.lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=descent.weight_decay,
    )


def _adam(module: nn.Module, config: TrainConfig, descent: Descent) -> Optimizer:
    return torch.optim.Adam(
        module.parameters(),
        lr=descent.lr,
        betas=(config.momentum, 0.999),
        weight_decay=descent.weight_decay,
    )


#: Input elements that recalibration looks at: 512 samples of 32×32, 16 of 224×224.
CALIBRATION = 1 << 21

#: name → maker. THE registration of optimizers; `TrainConfig.optimizer` picks one.
OPTIMIZERS: Mapping[str, Callable[[nn.Module, TrainConfig, Descent], Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
}


class Trainer:
    """A module with its optimizer, objective and data, for one stage of training.

    `weights` take the place of the model's own. `descent` defaults to that of the W-step, for
    what takes no step at all.
    """

    def __init__(
        self,
        model: Model,
        prunable: Mapping[LayerName, InitializerName],
        run: TrainRun,
        weights: Mapping[InitializerName, FloatArray] | None = None,
        descent: Descent | None = None,
    ) -> None:
        config, data, teacher = run.config, run.data, run.teacher
        descent = descent or config.w_step
        for name in (config.optimizer, config.finetune_optimizer):
            if name not in OPTIMIZERS:
                known = ", ".join(OPTIMIZERS)
                raise AlcsError(f"optimizer '{name}' is not one of {known}")
        self.model, self.config, self.data, self.reporter = model, config, data, run.reporter
        #: The loss before the first step.
        self.first_loss: float | None = None
        self._calibration: tuple[Tensor, ...] | None = None
        self.module = OnnxModule(model, channels_last=config.channels_last)
        self.module.load(weights or {})
        self.module.to(config.device)
        self.objective = Objective(teacher or model, data, config)
        # Activations are compared with the model's own, which need not be the one that teaches.
        self._own = self.objective if teacher in (None, model) else Objective(model, data, config)
        self.initializers = dict(prunable)
        self.pruned = _pruned_parameters(self.module, prunable)
        self.optimizer = OPTIMIZERS[descent.optimizer](self.module, config, descent)

    def tensor(self, array: FloatArray | BoolArray, like: Tensor) -> Tensor:
        """An array as a tensor placed and laid out like `like`."""
        tensor = torch.from_numpy(np.array(array, order="C")).to(like.device)
        return torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)

    def epoch(
        self,
        stage: str,
        number: int,
        total: int,
        *,
        adjust: Callable[[], None],
        restore: Callable[[], None] = lambda: None,
        rate: Callable[[float], float] | None = None,
    ) -> float:
        """One pass of SGD over the training samples; returns the mean loss.

        `adjust` changes gradients before each step, `restore` weights after it. `rate` gives
        the learning rate for the share of the epoch that is done, in [0, 1). Raises `DivergedError`
        when the loss stops being finite.
        """
        seed = epoch_seed(self.config.seed, stage, number)
        torch.manual_seed(seed)
        size = self.config.batch_size
        count = self.data.train.batch_count(size, training=True)
        self.reporter.start(f"{stage} {number}/{total}", count, left=total - number)
        loss_sum, samples = 0.0, 0
        for index, found in enumerate(self.data.train.batches(size, training=True, seed=seed)):
            batch = TensorBatch.of(found, self.config.device)
            if rate is not None:
                for group in self.optimizer.param_groups:
                    group["lr"] = rate(min(index / count, 1.0) if count else 0.0)
            self.optimizer.zero_grad(set_to_none=True)
            with self._autocast():
                outputs = self.module(*batch.inputs)
            loss = self.objective.loss(tuple(o.float() for o in outputs), batch)
            loss.backward()  # type: ignore[no-untyped-call]
            adjust()
            if self.config.clip_gradient is not None:
                nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip_gradient)
            self.optimizer.step()
            restore()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise DivergedError(
                    f"training diverged: the loss is {value} in {stage} epoch {number}, "
                    f"batch {index + 1}; lower the learning rate"
                )
            self.first_loss = value if self.first_loss is None else self.first_loss
            loss_sum, samples = loss_sum + value * batch.size, samples + batch.size
            self.reporter.advance(loss_sum / samples)
        if samples == 0:
            raise AlcsError(f"the training data gave no batches in {stage} epoch {number}")
        return loss_sum / samples

    def accumulate(self, batches: Iterable[Batch]) -> int:
        """Add the gradients of these batches up, without a step; returns how many there were."""
        self.optimizer.zero_grad(set_to_none=True)
        count = 0
        for found in batches:
            batch = TensorBatch.of(found, self.config.device)
            outputs = self.module(*batch.inputs)
            loss = self.objective.loss(tuple(o.float() for o in outputs), batch)
            loss.backward()  # type: ignore[no-untyped-call]
            count += 1
        return count

    def _autocast(self) -> torch.autocast:
        kind = torch.device(self.config.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.config.bfloat16)

    def recalibrate(self) -> None:
        """Match the channel moments of the module as it is to the dense model's."""
        if self._calibration is None:
            self._calibration = self._calibration_inputs()
        match_moments(self.model, self.module, self._own.teacher(), self._calibration)

    def _calibration_inputs(self) -> tuple[Tensor, ...]:
        """Shuffled training samples, the same each time, as many as `CALIBRATION` allows."""
        counts = self.module.counts_samples
        size = sum(
            int(np.prod(info.shape[1:]))
            for info, counted in zip(self.model.inputs, counts, strict=True)
            if counted
        )
        wanted = min(max(CALIBRATION // max(size, 1), 16), 512)
        wanted = self.module.usable_batch(wanted)
        seed = epoch_seed(self.config.seed, "calibration", 0)
        found: list[tuple[Tensor, ...]] = []
        count = 0
        for batch in self.data.train.batches(self.config.batch_size, training=True, seed=seed):
            found.append(TensorBatch.of(batch, self.config.device).inputs)
            count += batch.size
            if count >= wanted:
                break
        return tuple(
            torch.cat(parts)[:wanted] if counted else parts[0]
            for parts, counted in zip(zip(*found, strict=True), counts, strict=True)
        )

    def measure(self) -> Evaluation | None:
        """The metric of the module as it is on the test samples, None where there are none."""
        if self.data.test is None:
            return None
        total, count = 0.0, 0
        with torch.no_grad():
            for found in self.data.test.batches(self.config.batch_size, training=False):
                batch = TensorBatch.of(found, self.config.device)
                total += self.objective.metric(self.module(*batch.inputs), batch) * batch.size
                count += batch.size
        if count == 0:
            raise AlcsError("there are no samples to evaluate on")
        return Evaluation(self.objective.kind, total / count, count)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Parameters by key, and the optimizer's buffers by buffer and key, for `restore`."""
        parameters: dict[str, Tensor] = dict(self.module.named_parameters())
        buffers = {
            f"{buffer} {key}": value
            for key, parameter in self.module.named_parameters()
            for buffer, value in self.optimizer.state[parameter].items()
            if isinstance(value, Tensor)
        }
        return {"parameters": parameters, "optimizer": buffers}

    def restore(self, saved: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Continue from what `tensors` gave."""
        by_key = dict(self.module.named_parameters())
        with torch.no_grad():
            for key, parameter in by_key.items():
                parameter.copy_(saved["parameters"][key])
            for name, value in saved["optimizer"].items():
                buffer, _, key = name.partition(" ")
                parameter = by_key[key]
                if value.shape == parameter.shape:
                    value = torch.empty_like(parameter, requires_grad=False).copy_(value)
                self.optimizer.state[parameter][buffer] = value


def _pruned_parameters(
    module: OnnxModule, prunable: Mapping[LayerName, InitializerName]
) -> dict[str, nn.Parameter]:
    owners: dict[str, str] = {}
    for layer, weight in prunable.items():
        if weight in owners:
            raise UnsupportedError(
                f"layers '{owners[weight]}' and '{layer}' share the weight '{weight}' "
                "and cannot be pruned separately"
            )
        owners[weight] = layer
    return {layer: module.parameter(weight) for layer, weight in prunable.items()}


def gradient(parameter: nn.Parameter) -> Tensor:
    """The parameter's gradient, zeros where the loss did not reach it."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def percent(evaluation: Evaluation | None) -> str:
    """ "  accuracy 88.54 %" for progress lines, nothing for None."""
    if evaluation is None:
        return ""
    if evaluation.kind == "metric":
        return f"  metric {evaluation.value:.4f}"
    return f"  {evaluation.kind} {evaluation.value:.2%}"
