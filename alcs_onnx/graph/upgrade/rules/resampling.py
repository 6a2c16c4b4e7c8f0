"""Upsample and Resize before 11, which maps coordinates by rules of its own choice.

Until 10 there was one mapping, x = y / scale ("asymmetric" since), and nothing said how to round
it for nearest neighbours. ONNX Runtime rounds down along an axis that grows and up along one that
shrinks; "floor" and "ceil" since.
"""

from __future__ import annotations

import numpy as np
import onnx

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades

_FLOAT = onnx.TensorProto.FLOAT


@upgrades("Upsample", below=9)
def upsample_7(node: NodeUpgrade) -> None:
    """9: `scales` is an input."""
    node.set_inputs(node.input(0), node.as_input("scales"))


@upgrades("Upsample", below=10, to=11)
def upsample_9(node: NodeUpgrade) -> None:
    """10: it is Resize; scales are 1 at least here, so that there is one rounding."""
    x, scales = node.node.input
    _resize(node, x, scales, "floor")


@upgrades("Resize", below=11)
def resize_10(node: NodeUpgrade) -> None:
    """11: the mapping and the rounding are attributes, with other defaults; `roi` is new.

    Where one axis grows and another shrinks the two roundings need a node each. That is exact:
    the nearest neighbour is sought along each axis by itself.
    """
    x, scales = node.node.input
    known = node.scope.constant(scales)
    linear = any(a.name == "mode" and a.s == b"linear" for a in node.node.attribute)
    if linear or (known is not None and np.all(known >= 1)):
        _resize(node, x, scales, "floor")
    elif known is not None and np.all(known <= 1):
        _resize(node, x, scales, "ceil")
    else:
        one = node.constant(1, _FLOAT, "one")
        shrinking = node.before("Min", [scales, one], "shrinking")
        growing = node.before("Max", [scales, one], "growing")
        shrunk = node.before(
            "Resize", [x, _no_roi(node), shrinking], "shrunk", **_attributes("ceil"), mode="nearest"
        )
        _resize(node, shrunk, growing, "floor")


def _resize(node: NodeUpgrade, x: str, scales: str, rounding: str) -> None:
    node.node.op_type = "Resize"
    node.set_inputs(x, _no_roi(node), scales)
    node.set(**_attributes(rounding))


def _no_roi(node: NodeUpgrade) -> str:
    """The region of interest, which has to be given and is not read by this mapping."""
    return node.constant([], _FLOAT, "roi")


def _attributes(rounding: str) -> dict[str, str]:
    return {"coordinate_transformation_mode": "asymmetric", "nearest_mode": rounding}
