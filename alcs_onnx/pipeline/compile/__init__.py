"""`compile`: rewrite a model that is already sparse."""

from alcs_onnx.pipeline.common.results import CompileResult
from alcs_onnx.pipeline.compile.command import compile_model

__all__ = ["CompileResult", "compile_model"]
