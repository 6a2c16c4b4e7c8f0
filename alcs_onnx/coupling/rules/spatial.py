"""Operators that move or sum pixels within each channel."""

from __future__ import annotations

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples, input_changed
from alcs_onnx.graph import Node, told

_CHANNEL_AXIS = 1


@couples("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool",
         needs_shapes=False)  # fmt: skip
def pool(linker: Linker, node: Node) -> None:
    """Channel by channel, along axis 1."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    if found.axis != _CHANNEL_AXIS and source not in linker.model.shapes:
        linker.pass_frozen(source, output, f"{told(node)} reads it in a shape that is not known")
    else:
        linker.set(output, _CHANNEL_AXIS, linker.along(source, _CHANNEL_AXIS, node))
    ids = linker.channels[output].ids
    for name in node.outputs[1:]:  # indices into the whole tensor
        linker.set_frozen(name, f"{told(node)} numbers its pixels")
        if name:
            linker.freeze(ids, f"{told(node)} numbers its pixels over all channels")


def _resize_resize(node: Node, kept: Kept) -> Changes:
    """Sizes, where given, count the channels that are left."""
    found = kept.along(node.outputs[0])
    if found is None or not node.input(3):
        return Changes()
    full = kept.model.shapes[node.outputs[0]]
    rank = len(full)
    axes = [axis % rank for axis in node.ints_attribute("axes", tuple(range(rank)))]
    if found[0] not in axes:
        return Changes()
    sizes = kept.value(node.inputs[3])
    if sizes is None:
        sizes = np.array([full[axis] for axis in axes], np.int64)
    after = sizes.copy()
    after[axes.index(found[0])] = int(found[1].sum())
    return input_changed(node, kept, 3, sizes, after)


@couples("Resize", "Upsample", resize=_resize_resize)
def resize(linker: Linker, node: Node) -> None:
    """Other axes are scaled; one of channels has to keep its size."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    same = found.axis is not None and linker.shape(output)[found.axis] == found.ids.size
    if found.axis is None or same:
        return linker.set(output, found.axis, found.ids)
    return linker.pass_frozen(source, output, f"{told(node)} scales the axis of the channels")


@couples("GridSample", "RoiAlign", "MaxRoiPool")
def sample(linker: Linker, node: Node) -> None:
    """Channels of the first input along axis 1; the coordinates stay."""
    ids = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    linker.set(node.outputs[0], _CHANNEL_AXIS, ids)
    for name in node.inputs[1:]:
        linker.freeze_tensor(name, f"{told(node)} reads it as coordinates")


@couples("DepthToSpace")
def depth_to_space(linker: Linker, node: Node) -> None:
    """Blocks of b x b channels become one: they stay or go together."""
    ids = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    block = node.int_attribute("blocksize", 1) ** 2
    if node.str_attribute("mode", "DCR") == "CRD":
        together = ids.reshape(-1, block)
        linker.link(together, together[:, :1])
        linker.set(node.outputs[0], _CHANNEL_AXIS, together[:, 0])
        return
    together = ids.reshape(block, -1)
    linker.link(together, together[:1])
    linker.set(node.outputs[0], _CHANNEL_AXIS, together[0])


@couples("SpaceToDepth")
def space_to_depth(linker: Linker, node: Node) -> None:
    """Each channel becomes b x b, all of them together once for each pixel of the block."""
    ids = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    block = node.int_attribute("blocksize", 1) ** 2
    linker.set(node.outputs[0], _CHANNEL_AXIS, np.tile(ids, block))
