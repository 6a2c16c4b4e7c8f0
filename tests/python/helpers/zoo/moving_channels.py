"""Graphs that move channels about: pads, slices, gathers, shuffles, blocks of depth."""

from __future__ import annotations

import numpy as np
import onnx

from .builder import Builder


def pad_shortcut() -> onnx.ModelProto:
    """Residual stages whose shortcuts skip pixels and append channels of zeros."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 16, 16)), 3, 8))
    for stage, width in enumerate((8, 16)):
        y = b.relu(b.conv(f"down{stage}", x, width, 2 * width, stride=2))
        y = b.conv(f"body{stage}", y, 2 * width, 2 * width)
        bounds = [b.const(v) for v in ([0, 0], [99, 99], [2, 3], [2, 2])]
        small = b.op("Slice", x, *bounds)
        pads = [0, width // 2, 0, 0, 0, width // 2, 0, 0]
        x = b.relu(b.op("Add", y, b.op("Pad", small, b.const(pads))))
    return b.proto(b.head(x, 32))


def slices() -> onnx.ModelProto:
    """Overlapping slices, one with a step and one backwards, each read by its own conv."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 12))
    parts = []
    for name, (start, end, step, width) in {
        "front": (0, 8, 1, 8),
        "tail": (-6, 12, 1, 6),
        "odd": (1, 12, 2, 6),
        "back": (-1, -13, -3, 4),
    }.items():
        bounds = [b.const([v]) for v in (start, end, 1, step)]
        parts.append(b.conv(name, b.op("Slice", x, *bounds), width, 8))
    return b.proto(b.head(b.op("Concat", *parts, axis=1), 32))


def gathers() -> onnx.ModelProto:
    """A permutation of channels under a sum, and a selection with repeats."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 12))
    order = b.rng.permutation(12)
    y = b.op("Gather", b.conv("body", x, 12, 12), b.const(order), axis=1)
    y = b.relu(b.op("Add", x, y))
    y = b.op("Gather", y, b.const([3, 0, 3, 11, -2, 5]), axis=1)
    return b.proto(b.head(b.relu(b.conv("tail", y, 6, 12)), 12))


def gather_one() -> onnx.ModelProto:
    """One channel alone, whose axis disappears, beside a reader of all."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 12))
    one = b.op("Gather", x, b.const(np.int64(7)), axis=1)
    one = b.conv("one", b.op("Unsqueeze", one, b.const([1])), 1, 6)
    y = b.relu(b.op("Concat", one, b.conv("body", x, 12, 6), axis=1))
    return b.proto(b.head(b.relu(b.conv("tail", y, 12, 12)), 12))


def splits() -> onnx.ModelProto:
    """Uneven parts, some taking part in sums, put together in another order."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 16))
    one, two, three = b.ops("Split", x, b.const([4, 4, 8]), count=3, axis=1)
    two = b.op("Add", b.conv("two", one, 4, 4), two)
    three = b.relu(b.conv("three", three, 8, 8))
    y = b.op("Concat", three, two, one, axis=1)
    return b.proto(b.head(b.relu(b.conv("tail", y, 16, 12)), 12))


def space_to_depth() -> onnx.ModelProto:
    """Pixels of a block become channels, and a 1×1 conv reads them."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    y = b.op("SpaceToDepth", x, blocksize=2)
    return b.proto(b.head(b.relu(b.conv("tail", y, 32, 16, 1)), 16))


def depth_to_space(mode: str = "DCR") -> onnx.ModelProto:
    """Sub-pixel upsampling in the middle and at the end, where it makes the output."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 32))
    y = b.op("DepthToSpace", x, blocksize=2, mode=mode)
    y = b.relu(b.conv("middle", y, 8, 16))
    y = b.conv("last", y, 16, 12)
    return b.proto(b.op("DepthToSpace", y, blocksize=2, mode=mode))


def depth_to_space_crd() -> onnx.ModelProto:
    """The same with the block inside the channel."""
    return depth_to_space("CRD")


def shuffle_of_three() -> onnx.ModelProto:
    """Grouped convolutions of three groups with a shuffle between, as in ShuffleNet."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 24))
    for index in range(2):
        y = b.relu(b.conv(f"enter{index}", x, 24, 12, 1, group=3))
        y = b.op("Reshape", y, b.const([0, 3, 4, 8, 8]))
        y = b.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        y = b.op("Reshape", y, b.const([0, -1, 8, 8]))
        y = b.conv(f"depth{index}", y, 12, 12, group=12)
        y = b.conv(f"leave{index}", y, 12, 24, 1, group=3)
        x = b.relu(b.op("Add", x, y))
    return b.proto(b.head(x, 24))


def shuffle_before_dense() -> onnx.ModelProto:
    """The shuffled channels go through a depthwise layer into one that reads all of them."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 24))
    y = b.relu(b.conv("enter", x, 24, 12, 1, group=3))
    y = b.op("Reshape", y, b.const([1, 3, 4, 8, 8]))
    y = b.op("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = b.op("Reshape", y, b.const([1, 12, 8, 8]))
    y = b.conv("leave", b.conv("depth", y, 12, 12, group=12), 12, 24, 1)
    return b.proto(b.head(b.relu(b.op("Add", x, y)), 24))


def shuffle_by_gather() -> onnx.ModelProto:
    """A shuffle written as Reshape, Transpose, Reshape and two Gathers of halves."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 16))
    y = b.op("Reshape", x, b.const([8, 2, 64]))
    y = b.op("Transpose", y, perm=[1, 0, 2])
    y = b.op("Reshape", y, b.const([2, -1, 8, 8, 8]))
    halves = [b.op("Gather", y, b.const(np.int64(i)), axis=0) for i in range(2)]
    y = b.op("Concat", halves[0], b.relu(b.conv("right", halves[1], 8, 8)), axis=1)
    return b.proto(b.head(b.relu(b.conv("tail", y, 16, 8)), 8))


GRAPHS = {
    "pad_shortcut": pad_shortcut,
    "slices": slices,
    "gathers": gathers,
    "gather_one": gather_one,
    "splits": splits,
    "space_to_depth": space_to_depth,
    "depth_to_space": depth_to_space,
    "depth_to_space_crd": depth_to_space_crd,
    "shuffle_of_three": shuffle_of_three,
    "shuffle_before_dense": shuffle_before_dense,
    "shuffle_by_gather": shuffle_by_gather,
}
