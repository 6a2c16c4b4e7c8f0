"""`compare-structures`: what each structure of sparsity is worth at the same accuracy."""

from alcs_onnx.pipeline.compare_structures.command import (
    DEFAULT_STRUCTURES,
    ComparisonOptions,
    compare_structures,
)
from alcs_onnx.pipeline.compare_structures.search import SearchOptions

__all__ = ["DEFAULT_STRUCTURES", "ComparisonOptions", "SearchOptions", "compare_structures"]
