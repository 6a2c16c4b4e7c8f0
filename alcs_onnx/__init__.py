"""Make a trained ONNX CNN meet a latency budget on an ordinary CPU.

The command line's functions, importable: `optimize`, `sweep`, `compress`, `compare_structures`,
`compile_model`, `inspect`, `profile`, `bench`, `compare` and `get_library_path`. They are imported
on first use, and torch only when training or reading data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.ort import get_library_path
    from alcs_onnx.pipeline.bench import bench
    from alcs_onnx.pipeline.common.training import Training
    from alcs_onnx.pipeline.common.workload import Measuring
    from alcs_onnx.pipeline.compare import compare
    from alcs_onnx.pipeline.compare_structures import (
        ComparisonOptions,
        SearchOptions,
        compare_structures,
    )
    from alcs_onnx.pipeline.compile import compile_model
    from alcs_onnx.pipeline.compress import CompressOptions, compress
    from alcs_onnx.pipeline.inspect.command import inspect
    from alcs_onnx.pipeline.optimize import ChannelOptions, optimize
    from alcs_onnx.pipeline.profile import profile
    from alcs_onnx.pipeline.sweep import sweep
else:
    __getattr__ = exports(
        __name__,
        {
            "ort": ["get_library_path"],
            "pipeline.bench": ["bench"],
            "pipeline.common.training": ["Training"],
            "pipeline.common.workload": ["Measuring"],
            "pipeline.compare": ["compare"],
            "pipeline.compare_structures": [
                "ComparisonOptions",
                "SearchOptions",
                "compare_structures",
            ],
            "pipeline.compile": ["compile_model"],
            "pipeline.compress": ["CompressOptions", "compress"],
            "pipeline.inspect.command": ["inspect"],
            "pipeline.optimize": ["ChannelOptions", "optimize"],
            "pipeline.profile": ["profile"],
            "pipeline.sweep": ["sweep"],
        },
    )

__all__ = [
    "ChannelOptions",
    "ComparisonOptions",
    "CompressOptions",
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
