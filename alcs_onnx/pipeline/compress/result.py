"""What `compress` and `compare-structures` return: a row for each structure.

The columns are those of ADMM-NN-S tables 7 to 12.

Accuracies are fractions, times milliseconds, sizes bytes. Rates are "times fewer" or "times
faster", so 1 is the dense model. Numbers that follow from others are properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.formats import STRUCTURE_COMPARISON, Format
from alcs_onnx.pipeline.common.layers import with_errors
from alcs_onnx.storage import FLOAT_BITS, LayerStorage, ModelStorage
from alcs_onnx.types import Codebook, Machine

#: How the kept weights are stored: as smaller matrices, or each with an index.
Kind = Literal["full matrix", "indexed"]

#: Iterations of ADMM and epochs of retraining: `train.EpochRecord` as plain values. Loss,
#: residuals, rho and metric by name.
Epochs = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class StructureLayer:
    """One convolution of a compared model; times are None where not measured.

    `stored_bytes` are its weights with relative indices, rounded up; `index_bits` is None
    without indices. `dense_ms` is the layer's time in the dense model. `kept_error` is the relative
    squared error of its outputs with what is left of its weights as they were (of levels, the
    nearest), and `error` refitted, where the last step refitted them.
    """

    layer: str
    kept_weights: int
    dense_weights: int
    bits: int
    index_bits: int | None
    stored_bytes: int
    dense_ms: float | None = None
    sparse_ms: float | None = None
    kept_error: float | None = None
    error: float | None = None

    @classmethod
    def from_storage(
        cls, storage: LayerStorage, dense_ms: float | None = None, sparse_ms: float | None = None
    ) -> StructureLayer:
        """The row of a layer, with its times where they were measured."""
        return cls(
            layer=storage.layer,
            kept_weights=storage.kept_weights,
            dense_weights=storage.dense_weights,
            bits=storage.bits,
            index_bits=storage.index_bits,
            stored_bytes=-(-storage.relative_bits // 8),
            dense_ms=dense_ms,
            sparse_ms=sparse_ms,
        )

    @property
    def pruned(self) -> bool:
        """Whether weights were removed."""
        return self.kept_weights < self.dense_weights


@dataclass(frozen=True)
class Round:
    """One step that was tried: the prune rate it reached, the accuracy, and whether it was kept.

    `step` names the structure that was pruned or the levels. `epochs` are those of its training.
    """

    rate: float
    accuracy: float
    accepted: bool
    step: str = ""
    epochs: Epochs = ()


@dataclass(frozen=True)
class StructureResult:
    """One structure, pruned as far as the accuracy allows, then quantized.

    Sizes are those of `storage.ModelStorage`: `weight_bytes` of the weights alone,
    `relative_bytes` and `absolute_bytes` with indices. `list_bytes` and `scale_bytes` are in none
    of them. `quantization` names the levels, and `bits` are those of one weight. `fidelity` is what
    is left of the dense model's outputs.
    """

    structure: str
    kind: Kind
    accuracy: float
    quantization: str
    bits: int
    dense_weights: int
    kept_weights: int
    weight_bytes: int
    relative_bytes: int
    absolute_bytes: int
    list_bytes: int = 0
    scale_bytes: int = 0
    dense_ms: float | None = None
    latency_ms: float | None = None
    layers: tuple[StructureLayer, ...] = ()
    history: tuple[Round, ...] = ()
    fidelity: Fidelity | None = None

    @classmethod
    def from_storage(
        cls,
        structure: str,
        storage: ModelStorage,
        *,
        accuracy: float,
        codebook: Codebook | None = None,
        dense_ms: float | None = None,
        latency_ms: float | None = None,
        layer_ms: Mapping[str, tuple[float, float]] | None = None,
        history: Iterable[Round] = (),
    ) -> StructureResult:
        """The row of a model; `layer_ms` gives (dense, sparse) times of layers by name.

        `codebook` is what its weights were quantized to; None for float32.
        """
        times = layer_ms or {}
        return cls(
            structure=structure,
            kind="indexed" if any(x.indexed for x in storage.layers) else "full matrix",
            accuracy=accuracy,
            quantization="float32" if codebook is None else codebook.name,
            bits=FLOAT_BITS if codebook is None else codebook.bits,
            dense_weights=storage.dense_weights,
            kept_weights=storage.kept_weights,
            weight_bytes=storage.weight_bytes,
            relative_bytes=storage.relative_bytes,
            absolute_bytes=storage.absolute_bytes,
            list_bytes=storage.list_bytes,
            scale_bytes=storage.scale_bytes,
            dense_ms=dense_ms,
            latency_ms=latency_ms,
            layers=tuple(
                StructureLayer.from_storage(x, *times.get(x.layer, (None, None)))
                for x in storage.layers
            ),
            history=tuple(history),
        )

    def judged(
        self, fidelity: Fidelity, errors: Mapping[str, tuple[float, float]]
    ) -> StructureResult:
        """With what is left of the outputs, of the model's and of its refitted layers'.

        `errors` are those of layers by name, before and after they were refitted.
        """
        return replace(self, fidelity=fidelity, layers=with_errors(self.layers, errors))

    @property
    def epochs(self) -> Epochs:
        """The epochs of all rounds in order, of those that were undone as well."""
        return tuple(epoch for tried in self.history for epoch in tried.epochs)

    @property
    def prune_rate(self) -> float | None:
        """Dense weights / kept weights; None where nothing is kept, as for all rates."""
        return _ratio(self.dense_weights, self.kept_weights)

    @property
    def compress_rate(self) -> float | None:
        """Dense float32 bytes / bytes with relative indices ("CONV Compress Rate")."""
        return _ratio(self.dense_weights * FLOAT_BITS / 8, self.relative_bytes)

    @property
    def index_bits(self) -> tuple[int, ...]:
        """The widths of relative indices among the layers, rising; empty without indices."""
        return tuple(sorted({x.index_bits for x in self.layers if x.index_bits is not None}))

    @property
    def speedup(self) -> float | None:
        """Dense latency / latency of the whole model; None where not measured."""
        return _ratio(self.dense_ms, self.latency_ms)

    @property
    def ppr(self) -> float | None:
        """Pruning-to-performance ratio alpha / beta of the whole model (ADMM-NN-S section 1).

        alpha is the prune rate and beta the measured speed-up, so less is better and 1 means
        that the speed-up is all that the missing weights promise.
        """
        return _ratio(self.prune_rate, self.speedup)

    @property
    def pruned_speedup(self) -> float | None:
        """Dense / sparse time of the pruned layers together; None where one was not measured."""
        pruned = [layer for layer in self.layers if layer.pruned]
        return _ratio(_sum(x.dense_ms for x in pruned), _sum(x.sparse_ms for x in pruned))

    @property
    def pruned_rate(self) -> float | None:
        """Dense weights / kept weights of the pruned layers together."""
        pruned = [layer for layer in self.layers if layer.pruned]
        return _ratio(sum(x.dense_weights for x in pruned), sum(x.kept_weights for x in pruned))

    @property
    def pruned_ppr(self) -> float | None:
        """Pruning-to-performance ratio of the pruned layers: their weights against their time."""
        return _ratio(self.pruned_rate, self.pruned_speedup)


@dataclass(frozen=True)
class CompressionResult:
    """One structure, or several that are compared: at most `tolerance` below the baseline accuracy.

    A `tolerance` of None demands no accuracy.

    `measure` says what the accuracy is of: top-1 on `data`, agreement with the dense model, the
    user's own score, or what is left of outputs that are no classes.
    """

    format: ClassVar[Format] = STRUCTURE_COMPARISON

    model: str
    data: str
    measure: str
    baseline_accuracy: float
    tolerance: float | None
    rows: tuple[StructureResult, ...]
    machine: Machine | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    max_loss: float | None = None

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What each row has lost of the dense model, where that is known."""
        return tuple(
            f"{row.structure}: {row.fidelity.verdict(self.max_loss)}"
            for row in self.rows
            if row.fidelity is not None
        )

    @property
    def exit_status(self) -> int:
        """0, or 1 when more was lost than may be."""
        judged = (row.fidelity for row in self.rows if row.fidelity is not None)
        return int(any(fidelity.exceeds(self.max_loss) for fidelity in judged))

    @property
    def least_accuracy(self) -> float | None:
        """The accuracy that a structure has to reach."""
        return None if self.tolerance is None else self.baseline_accuracy - self.tolerance


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _sum(times: Iterable[float | None]) -> float | None:
    known = list(times)
    measured = [time for time in known if time is not None]
    return sum(measured) if len(measured) == len(known) else None
