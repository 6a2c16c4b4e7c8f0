"""`compare-structures`: what each structure of sparsity is worth at the same accuracy.

The comparison of ADMM-NN-S sections 6 and 7: every structure is pruned as far as the accuracy
allows, then quantized likewise; what is left is counted with the indices that it needs, and run.
Where the paper takes the pruning-to-performance ratio of indexed weights from the literature,
here it is measured, with our engine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.pipeline.accuracy import runtime_accuracy
from alcs_onnx.pipeline.comparison_results import ComparisonResult, Round, StructureResult
from alcs_onnx.pipeline.compressed_form import deploy
from alcs_onnx.pipeline.compressor import Compressed, Compressor
from alcs_onnx.pipeline.scene import Measuring, Note, Scene, open_scene
from alcs_onnx.pipeline.searching import SearchOptions, Trial, search
from alcs_onnx.pipeline.training import Progress, Trained, Training
from alcs_onnx.storage import FLOAT_BITS
from alcs_onnx.structures import Structure, structure_sequence
from alcs_onnx.types import Shape

#: Structures that are compared where none are named.
DEFAULT_STRUCTURES = ("unstructured", "simd", "filter", "shape", "shape+filter")


@dataclass(frozen=True)
class ComparisonOptions:
    """What is compared, and at which accuracy.

    structures: names of `STRUCTURES`, or several joined by "+" that are pruned in turn.
    tolerance: how far below the dense model's accuracy is the same accuracy, in [0, 1].
    fully_connected: whether fully connected layers are pruned as well (balanced pruning:
        ADAM-ADMM section 5.1); they take part as convolutions.
    rule: how a round's weights are shared out over the layers (`solve.RULES`).
    """

    structures: tuple[str, ...] = DEFAULT_STRUCTURES
    tolerance: float = 0.005
    fully_connected: bool = False
    rule: str = "lamp"
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
    began, note = time.monotonic(), on_note or (lambda text: None)
    options = options or ComparisonOptions()
    sequences = {
        name: structure_sequence(name, simd_group) for name in dict.fromkeys(options.structures)
    }
    files = {name: Path(output) / f"{name}.onnx" for name in sequences} if output else {}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path, Path(model))
    scene = open_scene(
        Path(model),
        input_shapes=input_shapes or {},
        simd_group=simd_group,
        measuring=measuring or Measuring(),
        seed=seed,
        on_note=note,
        fully_connected=options.fully_connected,
    )
    if not scene.prunable:
        raise AlcsError(f"{model}: there is no layer that can be pruned")
    rows, kind, baseline = [], "", 0.0
    for name, structures in sequences.items():
        trained = Trained(scene, _own_folder(training, name), seed, progress, note)
        compressor = Compressor(scene.model, scene.prunable, trained, rule=options.rule)
        start = compressor.start()
        kind, baseline = trained.kind, start.accuracy
        floor = baseline - options.tolerance
        note(f"{name}: {kind} at least {floor:.2%}")
        state, trials = search(compressor, start, structures, floor, options.search, note)
        rows.append(
            structure_row(scene, compressor, name, structures, state, trials, files.get(name))
        )
    return ComparisonResult(
        model=str(model),
        data=training.data,
        measure=kind,
        baseline_accuracy=baseline,
        tolerance=options.tolerance,
        rows=tuple(rows),
        machine=scene.target.machine(scene.measuring.threads),
        settings={**asdict(options), **training.config, "seed": seed, "simd_group": simd_group},
        seconds=time.monotonic() - began,
    )


def structure_row(
    scene: Scene,
    compressor: Compressor,
    name: str,
    structures: Sequence[Structure],
    state: Compressed,
    trials: Sequence[Trial],
    output: Path | None,
    *,
    plain: bool = False,
) -> StructureResult:
    """Deploy `state` (`plain` as for `deploy`), write it to `output`, and say what it is worth.

    The accuracy is that of the written model in ONNX Runtime where it can be had there.
    """
    deployed = deploy(scene, compressor, state, structures, plain=plain)
    if output is not None:
        deployed.model.save(output)
    found = runtime_accuracy(deployed.model, compressor.trained.data)
    levels = next(iter(state.quantized.values()), None)
    total = sum(layer.weight_count for layer in compressor.layers.values())
    return StructureResult.from_storage(
        name,
        deployed.storage,
        accuracy=state.accuracy if found is None else found,
        quantization="float32" if levels is None else levels.level_set.name,
        bits=FLOAT_BITS if levels is None else levels.level_set.bits,
        dense_ms=deployed.dense.median,
        latency_ms=deployed.sparse.median,
        layer_ms=deployed.layer_ms,
        history=[Round(total / max(x.kept, 1), x.accuracy, x.accepted) for x in trials],
    )


def _own_folder(training: Training, structure: str) -> Training:
    """The training with the checkpoints of one structure apart from the others'."""
    folder = training.checkpoint
    return training if folder is None else replace(training, checkpoint=Path(folder) / structure)
