"""Operators whose parameters were attributes and are inputs now."""

from __future__ import annotations

import onnx

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades

_INT64 = onnx.TensorProto.INT64


@upgrades("Clip", below=11)
def clip(node: NodeUpgrade) -> None:
    """11: `min` and `max` are scalar inputs; an absent one still means the end of the type."""
    element = node.element_type(node.input(0))
    bounds = [node.as_input(name, element_type=element) for name in ("min", "max")]
    node.set_inputs(node.input(0), *bounds)


@upgrades("Pad", below=11)
def pad(node: NodeUpgrade) -> None:
    """11: `pads` is an input, and `value` too, which modes other than constant do not read."""
    value = node.as_input("value", element_type=node.element_type(node.input(0)))
    node.set_inputs(node.input(0), node.as_input("pads"), value)


@upgrades("Slice", below=10)
def slice_(node: NodeUpgrade) -> None:
    """10: `starts`, `ends` and `axes` are inputs, and `steps` is new.

    Without axes the bounds are those of the first axes; since 10 they are those of all.
    """
    count = len(next(a.ints for a in node.node.attribute if a.name == "starts"))
    starts, ends, axes = (node.as_input(name) for name in ("starts", "ends", "axes"))
    if not axes and count:
        axes = node.constant(range(count), _INT64, "axes")
    node.set_inputs(node.input(0), starts, ends, axes)


@upgrades("TopK", below=10)
def top_k(node: NodeUpgrade) -> None:
    """10: `k` is an input, a vector of one. (11 adds `largest` and `sorted`, on by default.)"""
    k = node.as_input("k")
    node.set_inputs(node.input(0), node.before("Unsqueeze", [k], "k_vector", axes=[0]))


@upgrades("ReduceSum", below=13)
@upgrades("Squeeze", below=13)
@upgrades("Unsqueeze", below=13)
def axes(node: NodeUpgrade) -> None:
    """13: `axes` is an input; an absent one still means all axes (Squeeze: all of size 1)."""
    node.set_inputs(node.input(0), node.as_input("axes"))


@upgrades("Split", below=13)
def split(node: NodeUpgrade) -> None:
    """13: `split` is an input; an absent one still means parts of one size."""
    node.set_inputs(node.input(0), node.as_input("split"))
