"""`compile`: rewrite a model that is already sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.pipeline.compile.command import compile_model
    from alcs_onnx.pipeline.compile.request import CompileRequest
    from alcs_onnx.pipeline.compile.result import CompileResult
else:
    __getattr__ = exports(
        __name__,
        {
            "command": ["compile_model"],
            "request": ["CompileRequest"],
            "result": ["CompileResult"],
        },
    )

__all__ = ["CompileRequest", "CompileResult", "compile_model"]
