"""`compare-structures`: what each structure of sparsity is worth at the same accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.pipeline.compare_structures.command import compare_structures
    from alcs_onnx.pipeline.compare_structures.request import (
        CompareStructuresRequest,
        ComparisonOptions,
        SearchOptions,
    )
else:
    __getattr__ = exports(
        __name__,
        {
            "command": ["compare_structures"],
            "request": ["CompareStructuresRequest", "ComparisonOptions", "SearchOptions"],
        },
    )

__all__ = ["CompareStructuresRequest", "ComparisonOptions", "SearchOptions", "compare_structures"]
