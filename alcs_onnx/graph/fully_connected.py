"""Fully connected layers as convolutions, for pruning that is to balance both kinds."""

from __future__ import annotations

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.load import normalise
from alcs_onnx.graph.model import Model, Node
from alcs_onnx.graph.passes import linear_as_conv
from alcs_onnx.graph.shapes import infer
from alcs_onnx.reporter import SILENT, Reporter


def as_convolutions(model: Model, reporter: Reporter = SILENT) -> Model:
    """The model with its fully connected layers as Conv nodes of the same names and outputs.

    They are `conv_layers` then, whose weights compete with those of the other convolutions:
    ADAM-ADMM section 5.1 prunes both kinds in balance. Gemm and MatMul with constant float32
    weights [K, M] and inputs [N, K] are converted (`passes/linear_as_conv.py` has the algebra);
    `reporter` is told of each one that is left alone. What stands behind them is folded
    as behind any convolution. A model without such layers is returned as it is.
    """
    editor = GraphEditor(model)
    if not linear_as_conv.run(editor, reporter.note):
        return model
    known = {name: (model.dtypes[name], shape) for name, shape in model.shapes.items()}
    return normalise(infer(editor.snapshot(), known), known, reporter.note)


def reason_no_convolution(model: Model, node: Node) -> str:
    """Why `as_convolutions` leaves a Gemm or MatMul alone; empty where it converts it."""
    editor = GraphEditor(model)
    return linear_as_conv.reason_against(editor, editor.node(node.name))
