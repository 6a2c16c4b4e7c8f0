"""`compress`: prune and quantize to given targets, whatever the latency (ADMM-NN-S, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alcs_onnx import latency
from alcs_onnx.codebooks import get_codebook
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.compress.compressor import Compressor
from alcs_onnx.pipeline.compress.request import CompressOptions, CompressRequest
from alcs_onnx.pipeline.compress.result import CompressionResult
from alcs_onnx.pipeline.compress.run import Compression, open_run
from alcs_onnx.pipeline.compress.state import Compressed, Trial
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.solve import KeepTarget
from alcs_onnx.structures import Structure, structure_sequence


def compress(request: CompressRequest, reporter: Reporter = SILENT) -> CompressionResult:
    """Prune and quantize the model of `request`, write it, and say what it is worth: one row.

    Raises `AlcsError` for bad input; nothing is written then.
    """
    options, table = request.options, request.table
    check_writable(request.output, request.model, *([table] if table else []))
    structures = structure_sequence(options.structure, request.simd_group)
    targets = options.targets(structures)
    for target in (target for wanted in targets for target in wanted):
        if target.unit == "%time" and table is None:
            raise AlcsError(f"'{target.layer}={target.value:g}%time' needs a latency table")
    run = open_run(request, reporter)
    _check_layers(targets, run.workload, structures)
    estimator = None if table is None else _estimator(run.workload, table, structures)
    compressor = run.compressor(estimator=estimator)
    start = compressor.start()
    state, trials = _steps(compressor, start, structures, targets, options, reporter)
    row = run.row(
        Compression(compressor, options.structure, structures, state, trials),
        request.output,
        plain=options.plain,
    )
    return run.result(start, [row])


def _steps(
    compressor: Compressor,
    start: Compressed,
    structures: Sequence[Structure],
    targets: Sequence[Sequence[KeepTarget]],
    options: CompressOptions,
    reporter: Reporter,
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
            reporter.note(
                f"{structure.name}: {state.kept} weights left, accuracy {state.accuracy:.2%}"
            )
        base = state if wanted else base
    if options.levels:
        levels = get_codebook(options.levels)
        state = compressor.quantize(state, levels, per_channel=options.per_channel)
        trials.append(Trial.of(levels.name, state))
        reporter.note(f"{levels.name}: accuracy {state.accuracy:.2%}")
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


def _estimator(workload: Workload, path: Path, structures: Sequence[Structure]) -> Estimator:
    machine = workload.target.machine(workload.measuring.threads)
    table = latency.load_table(path, workload.model.digest, machine)
    if [table.structure] != [structure.name for structure in structures]:
        raise AlcsError(
            f"{path}: measured for structure '{table.structure}', not "
            f"{'+'.join(structure.name for structure in structures)}"
        )
    return Estimator.from_table(table)
