"""`compile`: rewrite a model that is already sparse, without changing a weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.graph import load_model, save_model
from alcs_onnx.pipeline.common.layers import layer_reports
from alcs_onnx.pipeline.common.results import CompileResult
from alcs_onnx.pipeline.common.verification import numeric_check, written_form
from alcs_onnx.pipeline.common.workload import Note
from alcs_onnx.rewrite import compile_sparse
from alcs_onnx.types import Shape


def compile_model(
    model: str | Path,
    output: str | Path,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    simd_group: int | None = None,
    seed: int = 0,
    on_note: Note | None = None,
) -> CompileResult:
    """Rewrite every Conv of the model file `model` to the sparse op and write `output`.

    `simd_group` None finds the group size of each layer from its zeros. The result is
    checked against the original before it is written. Raises a child of `AlcsError`.
    """
    check_writable(Path(output), Path(model))
    loaded = load_model(Path(model), input_shapes or {}, on_note)
    rewritten = compile_sparse(loaded, simd_group)
    written = written_form(rewritten.model)
    check = numeric_check(written, loaded, seed)
    if not check.passed:
        raise AlcsError(
            f"{model}: the rewritten model differs from the original by "
            f"{max(check.with_library, check.without_library):.1e} (relative); nothing was written"
        )
    save_model(written, Path(output))
    return CompileResult(
        str(model), str(output), layer_reports(loaded, rewritten), check, rewritten.mac_ratio
    )
