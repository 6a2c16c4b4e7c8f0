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
    from alcs_onnx.pipeline import (
        ChannelOptions,
        ComparisonOptions,
        CompressOptions,
        Measuring,
        SearchOptions,
        Training,
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
    if name not in __all__:
        raise AttributeError(f"module 'alcs_onnx' has no attribute '{name}'")
    return getattr(
        import_module("alcs_onnx.ort" if name == "get_library_path" else "alcs_onnx.pipeline"), name
    )
