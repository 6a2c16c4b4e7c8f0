"""Make a trained ONNX CNN meet a latency budget on an ordinary CPU.

The command line's functions, importable: `optimize`, `sweep`, `compress`, `compare_structures`,
`compile_model`, `inspect`, `profile`, `bench`, `compare` and `get_library_path`. They are imported
on first use, and torch only when training or reading data.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

#: name -> the module that defines it.
_MODULES = {
    "ChannelOptions": "alcs_onnx.pipeline.optimize",
    "ComparisonOptions": "alcs_onnx.pipeline.compare_structures",
    "CompressOptions": "alcs_onnx.pipeline.compress",
    "Measuring": "alcs_onnx.pipeline.common.workload",
    "SearchOptions": "alcs_onnx.pipeline.compare_structures",
    "Training": "alcs_onnx.pipeline.common.training",
    "bench": "alcs_onnx.pipeline.bench",
    "compare": "alcs_onnx.pipeline.compare",
    "compare_structures": "alcs_onnx.pipeline.compare_structures",
    "compile_model": "alcs_onnx.pipeline.compile",
    "compress": "alcs_onnx.pipeline.compress",
    "get_library_path": "alcs_onnx.ort",
    "inspect": "alcs_onnx.pipeline.inspect.command",
    "optimize": "alcs_onnx.pipeline.optimize",
    "profile": "alcs_onnx.pipeline.profile",
    "sweep": "alcs_onnx.pipeline.sweep",
}
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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'alcs_onnx' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)
