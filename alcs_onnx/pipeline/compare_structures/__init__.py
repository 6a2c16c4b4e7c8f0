"""`compare-structures`: what each structure of sparsity is worth at the same accuracy."""

from alcs_onnx.pipeline.compare_structures.command import compare_structures
from alcs_onnx.pipeline.compare_structures.request import (
    DEFAULT_STRUCTURES,
    CompareStructuresRequest,
    ComparisonOptions,
    SearchOptions,
)

__all__ = [
    "DEFAULT_STRUCTURES",
    "CompareStructuresRequest",
    "ComparisonOptions",
    "SearchOptions",
    "compare_structures",
]
