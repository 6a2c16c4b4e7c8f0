"""What `compare-structures` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.codebooks import get_codebook
from alcs_onnx.errors import AlcsError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.compare_structures import defaults
from alcs_onnx.pipeline.compress.request import LayerOptions


@dataclass(frozen=True)
class SearchOptions:
    """How hard to search.

    rounds: pruning rounds of each structure, failed ones included.
    factor: what a round divides the number of weights by, its square root after a round that
        failed (ADMM-NN-S section 4.3 divides by 1.5, then by 2).
    smallest_factor: a structure is done when the factor has fallen below.
    levels: quantizations to try, fewest levels first; empty leaves float32.
    per_channel: distances of levels for each output channel instead of each layer.
    """

    rounds: int = 8
    factor: float = 2.0
    smallest_factor: float = 1.15
    levels: tuple[str, ...] = defaults.LEVELS
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise AlcsError(f"a search of {self.rounds} rounds finds nothing")
        if not self.factor >= self.smallest_factor > 1:
            raise AlcsError(
                f"the factor {self.factor:g} must be at least the smallest, "
                f"{self.smallest_factor:g}, and that above 1"
            )
        for name in self.levels:
            get_codebook(name)
        if self.per_channel and not self.levels:
            raise AlcsError("per-channel levels need a quantization")


@dataclass(frozen=True)
class ComparisonOptions(LayerOptions):
    """What is compared, and at which accuracy.

    structures: names of `STRUCTURES`, or several joined by "+" that are pruned in turn.
    tolerance: how far below the dense model's accuracy is the same accuracy, in [0, 1].
    fully_connected, rule: as in `LayerOptions`.
    """

    structures: tuple[str, ...] = defaults.STRUCTURES
    tolerance: float = 0.005
    search: SearchOptions = field(default_factory=SearchOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise AlcsError(f"a tolerance of {self.tolerance:g} is not in [0, 1)")
        if not self.structures:
            raise AlcsError("there is no structure to compare")


@dataclass(frozen=True, kw_only=True)
class CompareStructuresRequest:
    """A model whose sparsity is compared by structure.

    training, judging: as for `CompressRequest`.
    output: a folder for the written model of each structure, `STRUCTURE.onnx`.
    """

    model: Path
    training: Training | None = None
    options: ComparisonOptions = field(default_factory=ComparisonOptions)
    output: Path | None = None
    inputs: InputSettings = field(default_factory=InputSettings)
    simd_group: int = 4
    measuring: Measuring = field(default_factory=Measuring)
    judging: Judging = field(default_factory=Judging)
    seed: int = 0
