"""Changing models: channels removed, every Conv a SimdSparseConv with its epilogue fused."""

from alcs_onnx.rewrite.dequantize import quantize_weights
from alcs_onnx.rewrite.integers import IntegerRewrite, as_integers, as_quantized, unrounded
from alcs_onnx.rewrite.masked import masked
from alcs_onnx.rewrite.redundant import (
    WithoutZeros,
    filter_masks,
    remove_zero_channels,
    zero_filters,
)
from alcs_onnx.rewrite.result import LayerRewrite, RewriteResult
from alcs_onnx.rewrite.rewriter import compile_sparse, random_groups, random_model, rewrite
from alcs_onnx.rewrite.shrink import shrink

__all__ = [
    "IntegerRewrite",
    "LayerRewrite",
    "RewriteResult",
    "WithoutZeros",
    "as_integers",
    "as_quantized",
    "compile_sparse",
    "filter_masks",
    "masked",
    "quantize_weights",
    "random_groups",
    "random_model",
    "remove_zero_channels",
    "rewrite",
    "shrink",
    "unrounded",
    "zero_filters",
]
