"""Data to train, compare and calibrate with: what every source provides, and the sources.

All of it is numpy: torch is needed for none, and a loader of the user's may give its tensors.
"""

from alcs_onnx.data.checks import class_count
from alcs_onnx.data.images import ImageSamples
from alcs_onnx.data.options import DataOptions
from alcs_onnx.data.preprocess import Preprocess
from alcs_onnx.data.runtime import RuntimeBatch, runtime_batches
from alcs_onnx.data.samples import Batch, Data, Loss, Metric, Samples
from alcs_onnx.data.sources import load_data

__all__ = [
    "Batch",
    "Data",
    "DataOptions",
    "ImageSamples",
    "Loss",
    "Metric",
    "Preprocess",
    "RuntimeBatch",
    "Samples",
    "class_count",
    "load_data",
    "runtime_batches",
]
