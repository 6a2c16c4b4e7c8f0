"""Training and evaluation data: what every source provides, and the sources."""

from alcs_onnx.train.data.checks import class_count
from alcs_onnx.train.data.images import ImageSamples, subset
from alcs_onnx.train.data.options import DataOptions
from alcs_onnx.train.data.preprocess import Augment, Preprocess
from alcs_onnx.train.data.samples import Batch, Data, Samples
from alcs_onnx.train.data.sources import load_data

__all__ = [
    "Augment",
    "Batch",
    "Data",
    "DataOptions",
    "ImageSamples",
    "Preprocess",
    "Samples",
    "class_count",
    "load_data",
    "subset",
]
