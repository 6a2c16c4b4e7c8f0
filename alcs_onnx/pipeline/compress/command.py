"""`compress`: prune and quantize to given targets, whatever the latency (ADMM-NN-S, figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alcs_onnx import latency
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.latency import Estimator
from alcs_onnx.levels import get_level_set
from alcs_onnx.pipeline.common.training import Progress, Training
from alcs_onnx.pipeline.common.workload import Measuring, Note, Workload
from alcs_onnx.pipeline.compress.compressor import Compressed, Compressor, Trial
from alcs_onnx.pipeline.compress.result import ComparisonResult
from alcs_onnx.pipeline.compress.run import CompressionRun, LayerOptions
from alcs_onnx.solve import KeepTarget
from alcs_onnx.structures import Structure, structure_sequence
from alcs_onnx.types import Shape


@dataclass(frozen=True)
class CompressOptions(LayerOptions):
    """What is kept, and in how many bits.

    structure: a name of `STRUCTURES`, or several joined by "+" that are pruned in turn.
    keep: targets as `KeepTarget.parse` reads them; before a colon may stand the structure of a
        combination that a target is for (`shape:10%`). A target for all structures is reached
        by each of them in equal parts. A target of the network is of the layers that have none
        of their own: beside `conv1=20%`, `10%` is a tenth of the weights of all other layers.
        Empty prunes nothing.
    rounds: progressive rounds towards the targets (ADMM-NN-S section 4.3).
    levels: a name of `LEVEL_SETS`; empty leaves float32.
    plain: write ordinary ONNX, quantized weights behind DequantizeLinear, for any runtime; instead
        of the sparse operator with packed weights.
    per_channel, fully_connected, rule: as in `SearchOptions` and `LayerOptions`.
    """

    structure: str = "simd"
    keep: tuple[str, ...] = ()
    rounds: int = 1
    levels: str = ""
    plain: bool = False
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise AlcsError(f"{self.rounds} rounds reach no target")
        if not self.keep and not self.levels:
            raise AlcsError("there is nothing to do: say what to keep, or name a quantization")
        if self.levels:
            get_level_set(self.levels)
        elif self.per_channel:
            raise AlcsError("per-channel levels need a quantization")
        if self.rounds > 1 and not self.keep:
            raise AlcsError("rounds need a target: say what to keep")
        structure_sequence(self.structure, 1)
        self.named_targets()

    def named_targets(self) -> list[tuple[str, KeepTarget]]:
        """The targets with the structure that each is for, empty where it is for all of them.

        Raises `AlcsError` for what is no target, or is for a structure that is not there.
        """
        names = self.structure.split("+")
        found = []
        for text in self.keep:
            prefix, colon, rest = text.partition(":")
            if colon and prefix in names:
                found.append((prefix, KeepTarget.parse(rest)))
                continue
            # Names of layers may hold colons, but then there is an equals sign.
            if colon and "=" not in rest:
                raise AlcsError(
                    f"'{text}' is for '{prefix}', which is no structure of '{self.structure}': "
                    f"write {' or '.join(f'{name}:{rest}' for name in names)}"
                )
            found.append(("", KeepTarget.parse(text)))
        return found

    def targets(self, structures: Sequence[Structure]) -> list[list[KeepTarget]]:
        """The targets of each structure.

        Raises `AlcsError` for a target of all structures that cannot be divided among them.
        """
        names = [structure.name for structure in structures]
        found: list[list[KeepTarget]] = [[] for _ in structures]
        for own, target in self.named_targets():
            for name, targets in zip(names, found, strict=True):
                if own == name:
                    targets.append(target)
                elif not own:
                    targets.append(_part(target, len(names)))
        return found


def compress(
    model: str | Path,
    output: str | Path,
    training: Training,
    *,
    options: CompressOptions,
    input_shapes: Mapping[str, Shape] | None = None,
    table: str | Path | None = None,
    simd_group: int = 4,
    measuring: Measuring | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_note: Note | None = None,
) -> ComparisonResult:
    """Prune and quantize `model`, write it to `output`, and say what it is worth: one row.

    `table` is a latency table of the structure, needed where targets are shares of run time.
    Raises `AlcsError` for bad input; nothing is written then.
    """
    check_writable(Path(output), Path(model), *([Path(table)] if table else []))
    structures = structure_sequence(options.structure, simd_group)
    targets = options.targets(structures)
    for target in (target for wanted in targets for target in wanted):
        if target.unit == "%time" and table is None:
            raise AlcsError(f"'{target.layer}={target.value:g}%time' needs a latency table")
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
    _check_layers(targets, run.workload, structures)
    estimator = None if table is None else _estimator(run.workload, Path(table), structures)
    compressor = run.compressor(estimator=estimator)
    start = compressor.start()
    state, trials = _steps(compressor, start, structures, targets, options, run.note)
    row = run.row(
        compressor,
        options.structure,
        structures,
        state,
        trials,
        Path(output),
        plain=options.plain,
    )
    return run.result(start.accuracy, [row])


def _steps(
    compressor: Compressor,
    start: Compressed,
    structures: Sequence[Structure],
    targets: Sequence[Sequence[KeepTarget]],
    options: CompressOptions,
    note: Note,
) -> tuple[Compressed, tuple[Trial, ...]]:
    """All rounds of all structures, then the levels."""
    state, trials = start, []
    # Every round's target is a share of what its structure found, not of the round before; the
    # first structure's is of all weights, also where the file has zeros already.
    base = compressor.whole(start)
    for structure, wanted in zip(structures, targets, strict=True):
        for number in range(1, options.rounds + 1) if wanted else ():
            share = number / options.rounds
            state = compressor.prune(state, structure, wanted, share, base)
            trials.append(Trial.of(structure.name, state))
            note(f"{structure.name}: {state.kept} weights left, accuracy {state.accuracy:.2%}")
        base = state if wanted else base
    if options.levels:
        levels = get_level_set(options.levels)
        state = compressor.quantize(state, levels, per_channel=options.per_channel)
        trials.append(Trial.of(levels.name, state))
        note(f"{levels.name}: accuracy {state.accuracy:.2%}")
    return state, tuple(trials)


def _check_layers(
    targets: Sequence[Sequence[KeepTarget]], workload: Workload, structures: Sequence[Structure]
) -> None:
    """Refuse what no structure can be pruned to before the first one is trained."""
    names = {layer.name for layer in workload.prunable}
    for wanted in targets:
        own = [target.layer for target in wanted if target.layer]
        for unknown in sorted(set(own) - names):
            prefix, colon, _ = unknown.partition(":")
            known = ", ".join(structure.name for structure in structures)
            hint = f", and '{prefix}' no structure of this run ({known})" if colon else ""
            raise AlcsError(f"'{unknown}' is no layer that can be pruned{hint}")
        if len(set(own)) < len(own) or len(wanted) - len(own) > 1:
            raise AlcsError("a layer, or the whole network, is given two targets")


def _part(target: KeepTarget, structures: int) -> KeepTarget:
    """The target of one structure of several that reach it together."""
    if structures == 1:
        return target
    if target.unit == "x":
        return KeepTarget(target.layer, target.value ** (1 / structures), "x")
    if target.unit == "%":
        return KeepTarget(target.layer, 100 * (target.value / 100) ** (1 / structures), "%")
    raise AlcsError(
        "a count or a share of the run time is for one structure of a combination: "
        "write STRUCTURE:TARGET"
    )


def _estimator(workload: Workload, path: Path, structures: Sequence[Structure]) -> Estimator:
    machine = workload.target.machine(workload.measuring.threads)
    table = latency.load_table(path, workload.model.digest, machine)
    if [table.structure] != [structure.name for structure in structures]:
        raise AlcsError(
            f"{path}: measured for structure '{table.structure}', not "
            f"{'+'.join(structure.name for structure in structures)}"
        )
    return Estimator.from_table(table)
