"""Operators that move channels about, or cut and join them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coupling_helpers import Prove, start
from zoo.builder import Builder


def test_concat(prove: Prove) -> None:
    b, x = start()
    y = b.conv("b", x, 8, 4)
    p = prove(b, b.head(b.conv("c", b.op("Concat", y, x, y, axis=1), 16, 4), 4))
    assert p.free() == {"a": 8, "b": 4, "c": 4}
    assert p.at("c.w", 1) == [*p.at("b.w"), *p.at("a.w"), *p.at("b.w")]


def test_concat_of_pixels(prove: Prove) -> None:
    """Side by side, channels are the same ones."""
    b, x = start()
    y = b.op("Concat", x, b.conv("b", x, 8, 8), axis=2)
    p = prove(b, b.head(y, 8))
    assert p.free() == {"a": 8}
    assert p.at("a.w") == p.at("b.w") == p.at("head.w", 1)


def test_split(prove: Prove) -> None:
    b, x = start()
    first, second = b.ops("Split", x, b.const([3, 5]), count=2, axis=1)
    y = b.op("Concat", b.conv("b", first, 3, 4), b.conv("c", second, 5, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert p.at("a.w") == [*p.at("b.w", 1), *p.at("c.w", 1)]
    assert sorted(p.free().values()) == [3, 4, 4, 5]


def test_split_before_opset_13(prove: Prove) -> None:
    """Sizes are an attribute, which is there afterwards where it was not."""
    for given, sizes in (([3, 5], [3, 5]), (None, [4, 4])):
        attributes: dict[str, Any] = {"split": given} if given else {}
        b, x = start(opset=12)
        parts = b.ops("Split", x, count=2, axis=1, **attributes)
        made = [b.conv(n, part, size, 4) for n, part, size in zip("bc", parts, sizes, strict=True)]
        p = prove(b, b.head(b.op("Concat", *made, axis=1), 8))
        assert p.at("a.w") == [*p.at("b.w", 1), *p.at("c.w", 1)]
        assert sorted(p.free().values()) == sorted([*sizes, 4, 4])


def test_split_halves_of_one_sum(prove: Prove) -> None:
    """Where halves are added, a channel of one stays with that of the other."""
    b, x = start()
    first, second = b.ops("Split", x, count=2, axis=1)
    p = prove(b, b.head(b.op("Add", first, second), 4))
    assert p.at("a.w") == 2 * p.at("head.w", 1)
    assert p.free() == {"a": 4}


def test_slice(prove: Prove) -> None:
    b, x = start()
    middle = b.op("Slice", x, *(b.const([v]) for v in (2, -1, 1)))
    y = b.op("Concat", b.conv("b", middle, 5, 4), b.conv("c", x, 8, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert p.at("b.w", 1) == p.at("a.w")[2:7]
    assert p.at("c.w", 1) == p.at("a.w")
    assert not p.why("a.w")


def test_slice_of_pixels(prove: Prove) -> None:
    b, x = start()
    small = b.op("Slice", x, *(b.const(v) for v in ([0, 0], [99, 99], [2, 3], [2, 2])))
    p = prove(b, b.head(small, 8))
    assert p.free() == {"a": 8}


@pytest.mark.parametrize(("first", "end", "step"), [(1, 8, 3), (-2, -(2**31), -2)])
def test_slice_with_a_step(prove: Prove, first: int, end: int, step: int) -> None:
    """What remains is no longer every so many: it becomes a Gather."""
    b, x = start()
    some = b.op("Slice", x, *(b.const([v]) for v in (first, end, 1, step)))
    taken = list(range(8))[first:end:step]
    y = b.op("Concat", b.conv("b", some, len(taken), 4), b.conv("c", x, 8, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert p.at("b.w", 1) == [p.at("a.w")[i] for i in taken]
    assert not p.why("a.w")


def test_slice_with_a_step_and_of_another_axis(prove: Prove) -> None:
    """A Gather takes of one axis only."""
    b, x = start()
    numbers = ([1, 0], [8, 5], [1, 2], [2, 1])
    odd = b.op("Slice", x, *(b.const(v) for v in numbers), name="odd")
    p = prove(b, b.head(b.conv("b", odd, 4, 4), 4))
    assert p.why("a.w") == "node 'odd' (Slice) takes channels by steps, and cuts other axes"
    assert p.free()["b"] == 4


def test_pad_on_channels(prove: Prove) -> None:
    """Channels of zeros come and go with those that they are added to."""
    b, x = start(4)
    y = b.conv("b", x, 4, 8)
    padded = b.op("Pad", x, b.const([0, 2, 0, 0, 0, 2, 0, 0]))
    p = prove(b, b.head(b.relu(b.op("Add", y, padded)), 8))
    assert p.at("b.w")[2:6] == p.at("a.w")
    assert len(set(p.at("b.w"))) == 8
    assert p.at("head.w", 1) == p.at("b.w")
    assert not p.why("b.w")


def test_pad_on_pixels(prove: Prove) -> None:
    b, x = start()
    padded = b.op("Pad", x, b.const([0, 0, 1, 2, 0, 0, 1, 0]), mode="reflect")
    p = prove(b, b.head(padded, 8))
    assert p.free() == {"a": 8}


def test_gather(prove: Prove) -> None:
    """Channels may occur in a selection several times, or not at all."""
    b, x = start()
    chosen = [3, 0, 3, -1, 1, 5]
    y = b.op("Gather", x, b.const(chosen), axis=1)
    y = b.op("Concat", b.conv("b", y, 6, 4), b.conv("c", x, 8, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert p.at("b.w", 1) == [p.at("a.w")[i] for i in chosen]
    assert p.at("c.w", 1) == p.at("a.w")
    assert set(p.free()) >= {p.at("a.w")[0][0], p.at("a.w")[2][0], "b", "c"}


def test_gather_of_one_channel(prove: Prove) -> None:
    """Where the axis disappears the channel has to stay, at its place."""
    b, x = start()
    one = b.op("Gather", x, b.const(np.int64(3)), axis=1, name="look")
    y = b.conv("b", b.op("Unsqueeze", one, b.const([1])), 1, 4)
    y = b.op("Concat", y, b.conv("c", x, 8, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert "look" in p.why("a.w")
    assert p.free()["b"] == p.free()["c"] == 4


def test_permutation(prove: Prove) -> None:
    b, x = start()
    order = [2, 7, 1, 0, 5, 4, 6, 3]
    y = b.op("Gather", x, b.const(order), axis=1)
    p = prove(b, b.head(b.conv("b", y, 8, 4), 4))
    assert p.free() == {"a": 8, "b": 4}
    assert p.at("b.w", 1) == [p.at("a.w")[i] for i in order]


def test_shuffle(prove: Prove) -> None:
    """Reshape, Transpose, Reshape: channel i of three rows of four goes to place 3·i + row."""
    b, x = start(12)
    y = b.op("Reshape", b.conv("g", x, 12, 12, 1, group=3), b.const([1, 3, 4, 8, 8]))
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3, 4]), b.const([1, 12, 8, 8]))
    p = prove(b, b.head(b.conv("b", y, 12, 4), 4))
    assert p.at("g.w") == 3 * p.at("g.w")[:4]
    assert p.at("b.w", 1) == [p.at("g.w")[row * 4 + i] for i in range(4) for row in range(3)]
    assert p.free() == {"a": 4, "g": 4, "b": 4}


def test_reshape_to_rows_of_pixels(prove: Prove) -> None:
    b, x = start()
    y = b.op("Reshape", b.op("Reshape", x, b.const([1, 8, -1])), b.const([0, 0, 4, 16]))
    p = prove(b, b.head(b.conv("b", y, 8, 4), 4))
    assert p.free() == {"a": 8, "b": 4}


@pytest.mark.parametrize("how", ["Flatten", "Reshape"])
def test_flatten(prove: Prove, how: str) -> None:
    """Each channel is as many columns of the Gemm as it has pixels."""
    b, x = start(4)
    x = b.op("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4])
    flat = b.op("Flatten", x) if how == "Flatten" else b.op("Reshape", x, b.const([1, -1]))
    p = prove(b, b.gemm("head", flat, 16, 5))
    assert p.at("head.w", 1) == [p.at("a.w")[i // 4] for i in range(16)]
    assert p.free() == {"a": 4}


def test_flatten_of_channels_last(prove: Prove) -> None:
    b, x = start(4)
    x = b.op("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4])
    flat = b.op("Flatten", b.op("Transpose", x, perm=[0, 2, 3, 1]))
    p = prove(b, b.gemm("head", flat, 16, 5))
    assert p.at("head.w", 1) == 4 * p.at("a.w")


def test_channels_last_island(prove: Prove) -> None:
    b, x = start()
    y = b.op("MatMul", b.op("Transpose", x, perm=[0, 2, 3, 1]), b.normal("m.w", 8, 6), name="m")
    y = b.relu(b.op("Add", y, b.uniform("m.b", 6)))
    p = prove(b, b.head(b.op("Transpose", y, perm=[0, 3, 1, 2]), 6))
    assert p.free() == {"a": 8, "m": 6}
    assert p.at("m.w", 0) == p.at("a.w")
    assert p.at("m.w", 1) == p.at("m.b") == p.at("head.w", 1)


def test_squeeze_and_unsqueeze(prove: Prove) -> None:
    b, x = start()
    y = b.op("Squeeze", b.op("GlobalAveragePool", x), b.const([0, 2, 3]))
    y = b.op("Unsqueeze", b.op("Sigmoid", y), b.const([0, 2, 3]))
    p = prove(b, b.head(b.op("Mul", x, y), 8))
    assert p.free() == {"a": 8}


def test_squeeze_and_unsqueeze_before_opset_13(prove: Prove) -> None:
    for named in (True, False):
        b, x = start(opset=12)
        x = b.conv("wide", x, 8, 8)
        pooled = b.op("GlobalAveragePool", x)
        if named:
            scale = b.op("Squeeze", pooled, axes=[2, 3])
            scale = b.op("Unsqueeze", b.op("Sigmoid", scale), axes=[2, 3])
        else:  # drops the batch of 1, too
            scale = b.op("Unsqueeze", b.op("Sigmoid", b.op("Squeeze", pooled)), axes=[0, 2, 3])
        p = prove(b, b.head(b.op("Mul", x, scale), 8))
        assert p.free() == {"a": 8, "wide": 8}


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(prove: Prove, mode: str) -> None:
    """Four channels make one, and stay or go together."""
    b, x = start()
    y = b.op("DepthToSpace", x, blocksize=2, mode=mode)
    p = prove(b, b.head(b.conv("b", y, 2, 4), 4))
    first, second = p.at("b.w", 1)
    four = [first, second] * 4 if mode == "DCR" else [first] * 4 + [second] * 4
    assert p.at("a.w") == four
    assert p.free() == {"a": 2, "b": 4}


def test_space_to_depth(prove: Prove) -> None:
    b, x = start(3)
    y = b.op("SpaceToDepth", x, blocksize=2)
    p = prove(b, b.head(b.conv("b", y, 12, 4), 4))
    assert p.at("b.w", 1) == 4 * p.at("a.w")
    assert p.free() == {"a": 3, "b": 4}


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_slice_with_numbers_of_one_type(prove: Prove, dtype: type, count: int) -> None:
    """What is counted anew has the type of what was given: all of them are of one."""
    b, x = start()
    numbers = [[2, 0], [7, 99], [1, 3], [1, 2]]
    if count == 2:
        numbers = [[0, 2], [1, 7]]
    y = b.op("Slice", x, *(b.const(np.array(v, dtype)) for v in numbers[:count]))
    p = prove(b, b.head(b.conv("b", y, 5, 4), 4))
    assert p.at("b.w", 1) == p.at("a.w")[2:7]
    assert not p.why("a.w")


def test_gather_of_pixels_at_run_time(prove: Prove) -> None:
    """The places are computed; the channels lie along another axis."""
    b, x = start()
    order = b.op("ArgMax", b.input((1, 4), "scores"), axis=1, keepdims=0)
    p = prove(b, b.head(b.op("Gather", x, order, axis=2), 8))
    assert p.free() == {"a": 8}


def test_rows_of_a_table(prove: Prove) -> None:
    """Entries of what is looked up at computed places are channels: those of the sum."""
    b, x = start()
    row = b.op("ArgMax", b.input((1, 5), "scores"), axis=1, keepdims=0)
    row = b.op("Gather", b.normal("table", 5, 8), row, axis=0)
    y = b.op("Add", x, b.op("Unsqueeze", row, b.const([2, 3])))
    p = prove(b, b.head(y, 8))
    assert p.free() == {"a": 8}
    assert p.at("table", 1) == p.at("a.w") == p.at("head.w", 1)


def test_rows_of_a_table_at_places_made_of_sizes(prove: Prove) -> None:
    """An embedding of positions along an open axis, here that of the samples."""
    b = Builder()
    x = b.conv("a", b.input(("N", 3, 8, 8)), 3, 8)
    count = b.op("Gather", b.op("Shape", x), b.const(np.int64(0)), axis=0)
    places = b.op("Range", b.const(np.int64(0)), count, b.const(np.int64(1)))
    row = b.op("Gather", b.normal("table", 8, 5), places, axis=1)  # [8, N]
    row = b.op("Unsqueeze", b.op("Transpose", row, perm=[1, 0]), b.const([2, 3]))
    p = prove(b, b.head(b.op("Add", x, row), 8))
    assert p.free() == {"a": 8}
    assert p.at("table") == p.at("a.w")


def test_a_tensor_made_of_sizes_is_told_as_that(prove: Prove) -> None:
    b = Builder()
    x = b.conv("a", b.input(("N", 3, 8, 8)), 3, 8)
    same = b.op("Cos", b.op("ConstantOfShape", b.op("Shape", x)))
    p = prove(b, b.head(b.op("Add", x, same, name="plus"), 8))
    assert p.why("a.w").startswith("node 'plus' (Add) combines them with ")
    assert p.why("a.w").endswith(", which is made of sizes")
