"""Changing models: channels removed, every Conv a SimdSparseConv with its epilogue fused."""

from alcs_onnx.rewrite.dequantize import quantize_weights
from alcs_onnx.rewrite.masked import masked
from alcs_onnx.rewrite.redundant import (
    WithoutZeros,
    filter_masks,
    remove_zero_channels,
    zero_filters,
)
from alcs_onnx.rewrite.result import LayerRewrite, RewriteResult
from alcs_onnx.rewrite.rewriter import compile_sparse, random_model, rewrite
from alcs_onnx.rewrite.shrink import shrink

__all__ = [
    "LayerRewrite",
    "RewriteResult",
    "WithoutZeros",
    "compile_sparse",
    "filter_masks",
    "masked",
    "quantize_weights",
    "random_model",
    "remove_zero_channels",
    "rewrite",
    "shrink",
    "zero_filters",
]
