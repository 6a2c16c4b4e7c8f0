"""The kinds of data that can be loaded, one registration each."""

from alcs_onnx.train.sources import folder, function, npz

__all__ = ["folder", "function", "npz"]
