"""Make a trained ONNX CNN meet a latency budget on an ordinary CPU.

The command line's functions, importable: `optimize`, `sweep`, `compress`, `compare_structures`,
`compile_model`, `inspect`, `profile`, `bench`, `compare` and `get_library_path`. They are imported
on first use, and torch only when training or reading data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.api import (
        bench,
        compare,
        compare_structures,
        compile_model,
        compress,
        inspect,
        optimize,
        profile,
        sweep,
    )
    from alcs_onnx.ort import get_library_path
    from alcs_onnx.pipeline.common.evidence import Judging
    from alcs_onnx.pipeline.common.training import Training
    from alcs_onnx.pipeline.common.workload import Measuring
    from alcs_onnx.pipeline.compare_structures import ComparisonOptions, SearchOptions
    from alcs_onnx.pipeline.compress import CompressOptions
    from alcs_onnx.pipeline.optimize import ChannelOptions
else:
    __getattr__ = exports(
        __name__,
        {
            "api": [
                "bench",
                "compare",
                "compare_structures",
                "compile_model",
                "compress",
                "inspect",
                "optimize",
                "profile",
                "sweep",
            ],
            "ort": ["get_library_path"],
            "pipeline.common.evidence": ["Judging"],
            "pipeline.common.training": ["Training"],
            "pipeline.common.workload": ["Measuring"],
            "pipeline.compare_structures": ["ComparisonOptions", "SearchOptions"],
            "pipeline.compress": ["CompressOptions"],
            "pipeline.optimize": ["ChannelOptions"],
        },
    )

__all__ = [
    "ChannelOptions",
    "ComparisonOptions",
    "CompressOptions",
    "Judging",
    "Measuring",
    "SearchOptions",
    "Training",
    "bench",
    "compare",
    "compare_structures",
    "compile_model",
    "compress",
    "get_library_path",
    "inspect",
    "optimize",
    "profile",
    "sweep",
]
