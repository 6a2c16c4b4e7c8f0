"""`compare-structures`: what each structure of sparsity is worth at the same accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.pipeline.compare_structures.command import (
        ComparisonOptions,
        compare_structures,
    )
    from alcs_onnx.pipeline.compare_structures.search import SearchOptions
else:
    __getattr__ = exports(
        __name__,
        {
            "command": ["ComparisonOptions", "compare_structures"],
            "search": ["SearchOptions"],
        },
    )

__all__ = ["ComparisonOptions", "SearchOptions", "compare_structures"]
