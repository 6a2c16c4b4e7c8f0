"""What every node costs: multiply-accumulates, one registration for each operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import onnx

from alcs_onnx.graph.functions import SPARSE_CONVS, WORD_OPS
from alcs_onnx.graph.model import Model, Node, Opaque
from alcs_onnx.graph.proto import subgraphs
from alcs_onnx.graph.remembered import once_per_model
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL
from alcs_onnx.types import Shape


@dataclass(frozen=True)
class MacRule:
    """How the products of one operator are counted.

    `count` gets the node, the shapes of the inputs in `needs` and that of the first output.
    `weight` is the input that a layer has as its weights, None where there is not just one,
    and `zero_point` the one with the integer that stands for a zero in them, where it has one.
    """

    count: Callable[[Node, Sequence[Shape], Shape], int]
    needs: tuple[int, ...]
    weight: int | None = 1
    needs_output: bool = True
    zero_point: int | None = None


def _conv(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    return prod(output) * prod(shapes[0][1:])


def _conv_transpose(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    return prod(shapes[0]) * prod(shapes[1][1:])


def _product(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    return prod(output) * (shapes[0][-1] if shapes[0] else 1)


def _gemm(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    return prod(output) * shapes[0][0 if node.int_attribute("transA", 0) else -1]


def _recurrent(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    """Each step of each sample multiplies with all weights."""
    return prod(shapes[0][:2]) * (prod(shapes[1]) + prod(shapes[2]))


def _einsum(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    """Two operands: one product for each value of all letters."""
    sizes: dict[str, int] = {}
    terms = node.str_attribute("equation", "").replace(" ", "").split("->")[0].split(",")
    for term, shape in zip(terms, shapes, strict=True):
        sizes |= zip(term, shape, strict=True)
    return prod(sizes.values())


def _sparse_conv(node: Node, shapes: Sequence[Shape], output: Shape) -> int:
    """As the dense layer, whatever its channels lie in: axes behind the second are an image's."""
    kernel = node.ints_attribute("kernel_shape")
    pixels = output[0] * prod(output[2 : 2 + len(kernel)])
    channels = node.int_attribute("in_channels", 0) // max(node.int_attribute("group", 1), 1)
    return pixels * node.int_attribute("out_channels", 0) * channels * prod(kernel)


#: (domain, operator) -> its rule. THE registration of costs.
MACS: Mapping[tuple[str, str], MacRule] = {
    ("", "Conv"): MacRule(_conv, (1,)),
    ("", "ConvInteger"): MacRule(_conv, (1,), zero_point=3),
    ("", "DeformConv"): MacRule(_conv, (1,)),
    ("", "QLinearConv"): MacRule(_conv, (3,), weight=3, zero_point=5),
    ("com.microsoft", "FusedConv"): MacRule(_conv, (1,)),
    ("", "ConvTranspose"): MacRule(_conv_transpose, (0, 1)),
    ("", "Gemm"): MacRule(_gemm, (0,)),
    ("", "MatMul"): MacRule(_product, (0,)),
    ("", "MatMulInteger"): MacRule(_product, (0,), zero_point=3),
    ("", "QLinearMatMul"): MacRule(_product, (0,), weight=3, zero_point=5),
    ("", "Einsum"): MacRule(_einsum, (0, 1), weight=None),
    **{
        ("", name): MacRule(_recurrent, (0, 1, 2), weight=None, needs_output=False)
        for name in ("GRU", "LSTM", "RNN")
    },
    **{(OP_DOMAIN, name): MacRule(_sparse_conv, (), weight=None) for name in SPARSE_CONVS},
}

#: Operators of ONNX that multiply and accumulate without a rule here for how often.
_NOT_COUNTED = ("Attention", "CausalConvWithState", "DFT", "LinearAttention", "STFT")


@once_per_model
def model_macs(model: Model) -> int:
    """Multiply-accumulates of one run, as far as they are known."""
    return sum(node_macs(model, node) or 0 for node in model.nodes)


def node_macs(model: Model, node: Node) -> int | None:
    """Multiply-accumulates of one node at its dense count, batch included.

    0 for operators that have none. None where a shape that it takes is not known, for an
    unknown operator, for one whose products are not counted, and for control flow around
    operators that have some.
    """
    rule = MACS.get((node.domain, node.op_type))
    if rule is None:
        counted = is_known(node) and not node.is_op(*_NOT_COUNTED)
        return 0 if counted and not _multiplies_inside(node) else None
    shapes = [model.shapes.get(node.input(index)) for index in rule.needs]
    output = model.shapes.get(node.outputs[0]) if node.outputs else None
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes) or (output is None and rule.needs_output):
        return None
    try:
        return rule.count(node, known, output or ())
    except (IndexError, ValueError):  # shapes that the operator does not take
        return None


def is_known(node: Node) -> bool:
    """Whether the operator is one of ONNX or of this package."""
    if node.domain == OP_DOMAIN:
        return node.op_type in (*SPARSE_CONVS, *WORD_OPS, OP_MAX_POOL)
    return bool(onnx.defs.has(node.op_type, domain=node.domain))


def _multiplies_inside(node: Node) -> bool:
    nodes = (inner for graph in inner_graphs(node) for inner in graph.node)
    return any(
        (inner.domain, inner.op_type) in MACS
        or (inner.domain == "" and inner.op_type in _NOT_COUNTED)
        for inner in nodes
    )


def inner_graphs(node: Node) -> list[onnx.GraphProto]:
    """The subgraphs of a control-flow node, those inside them too."""
    attributes = []
    for value in node.attributes.values():
        if isinstance(value, Opaque):
            attributes.append(onnx.AttributeProto.FromString(value.data))
    found: list[onnx.GraphProto] = []
    open_graphs = [graph for attribute in attributes for graph in subgraphs(attribute)]
    while open_graphs:
        graph = open_graphs.pop()
        found.append(graph)
        open_graphs += [g for n in graph.node for a in n.attribute for g in subgraphs(a)]
    return found
