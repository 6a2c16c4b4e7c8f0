"""`compile`: rewrite a model that is already sparse."""

from alcs_onnx.pipeline.compile.command import compile_model
from alcs_onnx.pipeline.compile.request import CompileRequest
from alcs_onnx.pipeline.compile.result import CompileResult

__all__ = ["CompileRequest", "CompileResult", "compile_model"]
