"""Make a trained ONNX CNN meet a latency budget on an ordinary CPU.

The command line's functions, importable: `optimize`, `sweep`, `compress`, `compare_structures`,
`compile_model`, `inspect`, `profile`, `bench`, `compare` and `get_library_path`. They are imported
on first use, and torch only when training or reading data.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    from alcs_onnx.pipeline.common.training import Training
    from alcs_onnx.pipeline.common.workload import Measuring
    from alcs_onnx.pipeline.compare_structures import ComparisonOptions, SearchOptions
    from alcs_onnx.pipeline.compress import CompressOptions
    from alcs_onnx.pipeline.optimize import ChannelOptions

#: name -> the module that defines it.
_MODULES = {
    "ChannelOptions": "alcs_onnx.pipeline.optimize",
    "ComparisonOptions": "alcs_onnx.pipeline.compare_structures",
    "CompressOptions": "alcs_onnx.pipeline.compress",
    "Measuring": "alcs_onnx.pipeline.common.workload",
    "SearchOptions": "alcs_onnx.pipeline.compare_structures",
    "Training": "alcs_onnx.pipeline.common.training",
    "bench": "alcs_onnx.api",
    "compare": "alcs_onnx.api",
    "compare_structures": "alcs_onnx.api",
    "compile_model": "alcs_onnx.api",
    "compress": "alcs_onnx.api",
    "get_library_path": "alcs_onnx.ort",
    "inspect": "alcs_onnx.api",
    "optimize": "alcs_onnx.api",
    "profile": "alcs_onnx.api",
    "sweep": "alcs_onnx.api",
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
