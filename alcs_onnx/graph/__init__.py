"""ONNX graphs: load, normalise, shape-infer, edit, save. Only here: `onnx` and graphsurgeon."""

from alcs_onnx.graph.batching import Batching, free_batch
from alcs_onnx.graph.convs import conv_layer, conv_layers, skipped_convs
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.evaluate import read_sizes
from alcs_onnx.graph.file import ModelFile, read_file
from alcs_onnx.graph.folded import folded
from alcs_onnx.graph.fully_connected import as_convolutions, reason_no_convolution
from alcs_onnx.graph.load import load_model, require_conv
from alcs_onnx.graph.macs import model_macs
from alcs_onnx.graph.match_activation import FoundActivation, match_activation
from alcs_onnx.graph.model import AttributeValue, Model, Node, Opaque, TensorInfo
from alcs_onnx.graph.obstacles import told
from alcs_onnx.graph.part import part, stages
from alcs_onnx.graph.precision import as_float32
from alcs_onnx.graph.proto import int4_dtype
from alcs_onnx.graph.save import loadable, save_model, serialize
from alcs_onnx.graph.size_values import values_of_sizes
from alcs_onnx.graph.surgeon import Node as GraphNode
from alcs_onnx.graph.surgeon import Tensor, constant
from alcs_onnx.graph.tensors import (
    ComputedTensor,
    computed_tensors,
    self_contained,
    with_outputs,
)

__all__ = [
    "AttributeValue",
    "Batching",
    "ComputedTensor",
    "FoundActivation",
    "GraphEditor",
    "GraphNode",
    "Model",
    "ModelFile",
    "Node",
    "Opaque",
    "Tensor",
    "TensorInfo",
    "as_convolutions",
    "as_float32",
    "computed_tensors",
    "constant",
    "conv_layer",
    "conv_layers",
    "folded",
    "free_batch",
    "int4_dtype",
    "load_model",
    "loadable",
    "match_activation",
    "model_macs",
    "part",
    "read_file",
    "read_sizes",
    "reason_no_convolution",
    "require_conv",
    "save_model",
    "self_contained",
    "serialize",
    "skipped_convs",
    "stages",
    "told",
    "values_of_sizes",
    "with_outputs",
]
