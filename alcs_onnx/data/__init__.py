"""Data to train, compare and calibrate with: what every source provides, and the sources.

All of it is numpy: torch is needed for none, and a loader of the user's may give its tensors.
"""

from alcs_onnx.data.calibration import SMALLEST, Pictures, load_pictures, training_pictures
from alcs_onnx.data.checks import class_count
from alcs_onnx.data.facts import ValueRange, input_range
from alcs_onnx.data.images import ImageSamples
from alcs_onnx.data.options import DEFAULT_SAMPLES, DataOptions, PictureOptions
from alcs_onnx.data.preprocess import PRESETS, Preprocess
from alcs_onnx.data.runtime import RuntimeBatch, first_batches, runtime_batches
from alcs_onnx.data.samples import Batch, Data, IndexedSamples, Loss, Metric, Samples
from alcs_onnx.data.sources import load_data
from alcs_onnx.data.users_code import users_code, users_function

__all__ = [
    "DEFAULT_SAMPLES",
    "PRESETS",
    "SMALLEST",
    "Batch",
    "Data",
    "DataOptions",
    "ImageSamples",
    "IndexedSamples",
    "Loss",
    "Metric",
    "PictureOptions",
    "Pictures",
    "Preprocess",
    "RuntimeBatch",
    "Samples",
    "ValueRange",
    "class_count",
    "first_batches",
    "input_range",
    "load_data",
    "load_pictures",
    "runtime_batches",
    "training_pictures",
    "users_code",
    "users_function",
]
