"""ONNX graphs: load, normalise, shape-infer, edit, save. The only user of `onnx`."""

from alcs_onnx.graph.convs import conv_layer, conv_layers, skipped_convs
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.file import ModelFile, read_file
from alcs_onnx.graph.fully_connected import as_convolutions, reason_no_convolution
from alcs_onnx.graph.load import load_model, require_conv
from alcs_onnx.graph.macs import model_macs
from alcs_onnx.graph.match_activation import FoundActivation, match_activation
from alcs_onnx.graph.model import AttributeValue, Model, Node, Opaque, TensorInfo
from alcs_onnx.graph.proto import int4_dtype
from alcs_onnx.graph.save import save_model, serialize
from alcs_onnx.graph.tensors import (
    ComputedTensor,
    computed_tensors,
    self_contained,
    with_outputs,
)

__all__ = [
    "AttributeValue",
    "ComputedTensor",
    "FoundActivation",
    "GraphEditor",
    "Model",
    "ModelFile",
    "Node",
    "Opaque",
    "TensorInfo",
    "as_convolutions",
    "computed_tensors",
    "conv_layer",
    "conv_layers",
    "int4_dtype",
    "load_model",
    "match_activation",
    "model_macs",
    "read_file",
    "reason_no_convolution",
    "require_conv",
    "save_model",
    "self_contained",
    "serialize",
    "skipped_convs",
    "with_outputs",
]
