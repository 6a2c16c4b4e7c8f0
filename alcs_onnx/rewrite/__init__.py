"""Writing sparse models: every Conv becomes SimdSparseConv, epilogues fused."""

from alcs_onnx.rewrite.result import LayerRewrite, RewriteResult
from alcs_onnx.rewrite.rewriter import (
    DEFAULT_SIMD_GROUP,
    compile_sparse,
    random_model,
    rewrite,
)

__all__ = [
    "DEFAULT_SIMD_GROUP",
    "LayerRewrite",
    "RewriteResult",
    "compile_sparse",
    "random_model",
    "rewrite",
]
