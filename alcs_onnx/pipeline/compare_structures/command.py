"""`compare-structures`: what each structure of sparsity is worth at the same accuracy.

The comparison of ADMM-NN-S sections 6 and 7: every structure is pruned as far as the accuracy
allows, then quantized likewise; what is left is counted with the indices that it needs, and run.
Where the paper takes the pruning-to-performance ratio of indexed weights from the literature,
here it is measured, with our engine.
"""

from __future__ import annotations

from alcs_onnx.data import IndexedSamples, Samples
from alcs_onnx.files import check_writable, make_folder
from alcs_onnx.pipeline.compare_structures.request import CompareStructuresRequest
from alcs_onnx.pipeline.compare_structures.search import search
from alcs_onnx.pipeline.compress.result import CompressionResult
from alcs_onnx.pipeline.compress.run import Compression, open_run
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.structures import structure_sequence


def compare_structures(
    request: CompareStructuresRequest, reporter: Reporter = SILENT
) -> CompressionResult:
    """Prune, quantize, count and time the model of `request` with each structure.

    With a checkpoint folder in its training an interrupted comparison can be resumed. Raises
    `AlcsError` for bad input, and where the data has no test samples to hold an accuracy on.
    """
    options, output = request.options, request.output
    sequences = {
        name: structure_sequence(name, request.simd_group)
        for name in dict.fromkeys(options.structures)
    }
    files = {name: output / f"{name}.onnx" for name in sequences} if output else {}
    for path in files.values():
        make_folder(path.parent)
        check_writable(path, request.model)
    run = open_run(request, reporter)
    most = request.judging.max_loss
    tolerance = options.tolerance if most is None else min(options.tolerance, most / 100)
    if run.trainer is None and (text := _too_fine(tolerance, run.evidence.fit)):
        reporter.note(text)
    rows = []
    for name, structures in sequences.items():
        compressor = run.compressor(name)
        start = compressor.start()
        floor = start.accuracy - tolerance
        reporter.note(f"{name}: {start.measure} at least {floor:.2%}")
        state, trials = search(compressor, start, structures, floor, options.search, reporter)
        made = Compression(compressor, name, structures, state, trials)
        rows.append(run.row(made, files.get(name)))
    return run.result(start, rows, tolerance)


def _too_fine(tolerance: float, pictures: Samples | None) -> str:
    """Why no step can keep to it, where it is less than one of the pictures that judge.

    These are as many as are fitted on.
    """
    if not isinstance(pictures, IndexedSamples) or tolerance * len(pictures) >= 1:
        return ""
    return (
        f"a tolerance of {100 * tolerance:.2g} % is less than one of {len(pictures)} pictures that "
        "judge: give more of them, or a wider --tolerance"
    )
