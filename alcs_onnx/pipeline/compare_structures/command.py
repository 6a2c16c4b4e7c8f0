"""`compare-structures`: what each structure of sparsity is worth at the same accuracy.

The comparison of ADMM-NN-S sections 6 and 7: every structure is pruned as far as the accuracy
allows, then quantized likewise; what is left is counted with the indices that it needs, and run.
Where the paper takes the pruning-to-performance ratio of indexed weights from the literature,
here it is measured, with our engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.pipeline.common.training import Progress, Training
from alcs_onnx.pipeline.common.workload import Measuring, Note
from alcs_onnx.pipeline.compare_structures import defaults
from alcs_onnx.pipeline.compare_structures.search import SearchOptions, search
from alcs_onnx.pipeline.compress.result import ComparisonResult
from alcs_onnx.pipeline.compress.run import CompressionRun, LayerOptions
from alcs_onnx.structures import structure_sequence
from alcs_onnx.types import Shape


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


def compare_structures(
    model: str | Path,
    training: Training,
    *,
    options: ComparisonOptions | None = None,
    output: str | Path | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    simd_group: int = 4,
    measuring: Measuring | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_note: Note | None = None,
) -> ComparisonResult:
    """Prune, quantize, count and time `model` with each structure.

    `output` is a folder that gets the written model of each structure, `STRUCTURE.onnx`. With
    a checkpoint folder in `training` an interrupted comparison can be resumed. Raises
    `AlcsError` for bad input, and where the data has no test samples to hold an accuracy on.
    """
    options = options or ComparisonOptions()
    sequences = {
        name: structure_sequence(name, simd_group) for name in dict.fromkeys(options.structures)
    }
    files = {name: Path(output) / f"{name}.onnx" for name in sequences} if output else {}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path, Path(model))
    run = CompressionRun.open(
        model,
        training,
        options,
        input_shapes=input_shapes,
        simd_group=simd_group,
        measuring=measuring,
        seed=seed,
        progress=progress,
        on_note=on_note,
    )
    rows, baseline = [], 0.0
    for name, structures in sequences.items():
        compressor = run.compressor(name)
        start = compressor.start()
        baseline = start.accuracy
        floor = baseline - options.tolerance
        run.note(f"{name}: {run.trained.kind} at least {floor:.2%}")
        state, trials = search(compressor, start, structures, floor, options.search, run.note)
        rows.append(run.row(compressor, name, structures, state, trials, files.get(name)))
    return run.result(baseline, rows, options.tolerance)
