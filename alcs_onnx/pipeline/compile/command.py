"""`compile`: rewrite a model that is already sparse, without changing a weight."""

from __future__ import annotations

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.graph import load_model, save_model
from alcs_onnx.pipeline.common.layers import layer_reports
from alcs_onnx.pipeline.common.verification import numeric_check, written_form
from alcs_onnx.pipeline.compile.request import CompileRequest
from alcs_onnx.pipeline.compile.result import CompileResult
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import compile_sparse


def compile_model(request: CompileRequest, reporter: Reporter = SILENT) -> CompileResult:
    """Rewrite every Conv of the model of `request` to the sparse op, and write it.

    The result is checked against the original before it is written. Raises a child of
    `AlcsError`.
    """
    check_writable(request.output, request.model)
    loaded = load_model(request.model, request.input_shapes, reporter)
    rewritten = compile_sparse(loaded, request.simd_group)
    written = written_form(rewritten.model)
    check = numeric_check(written, loaded, request.seed)
    if not check.passed:
        raise AlcsError(
            f"{request.model}: the rewritten model differs from the original by "
            f"{max(check.with_library, check.without_library):.1e} (relative); nothing was written"
        )
    save_model(written, request.output)
    return CompileResult(
        str(request.model),
        str(request.output),
        layer_reports(loaded, rewritten),
        check,
        rewritten.mac_ratio,
    )
