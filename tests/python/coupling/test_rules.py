"""The coupling rule of each operator, on the smallest graph that shows it.

Each graph is also pruned at random and proved against the masked dense model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coupling_helpers import Proved, assert_close, assert_shrinks, feeds, prove_graph, run, start
from zoo.builder import Builder

from alcs_onnx import coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.rewrite.shrink import masked, shrink

Prove = Callable[..., Proved]


@pytest.fixture
def prove(tmp_path: Path, rng: np.random.Generator) -> Prove:
    def proved(b: Builder, *outputs: str) -> Proved:
        return prove_graph(b, tmp_path, rng, *outputs)

    return proved


# -- layers with weights -------------------------------------------------------------------


def test_conv(prove: Prove) -> None:
    b, x = start()
    p = prove(b, b.head(b.relu(b.conv("b", b.relu(x), 8, 6)), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("a.b") == p.at("b.w", 1) == [("a", i) for i in range(8)]
    assert p.at("b.w") == p.at("head.w", 1) == [("b", i) for i in range(6)]
    assert (p.role("a.w"), p.role("a.b"), p.role("b.w", 1)) == ("out", "vector", "in")
    assert "graph output" in p.why("head.w")
    assert "graph input" in p.why("a.w", 1)


def test_several_readers(prove: Prove) -> None:
    b, x = start()
    y = b.op("Concat", b.conv("b", x, 8, 4, 1), b.conv("c", x, 8, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert p.at("a.w") == p.at("b.w", 1) == p.at("c.w", 1)


def test_conv_1d(prove: Prove) -> None:
    b = Builder()
    x = b.conv("a", b.input((1, 3, 16)), 3, 8, rank=1)
    p = prove(b, b.head(b.conv("b", b.relu(x), 8, 6, rank=1), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("b.w", 1)


def test_grouped_conv(prove: Prove) -> None:
    """The same place of every group stays or goes, so that groups remain of one size."""
    b, x = start(12)
    p = prove(b, b.head(b.conv("b", x, 12, 6, group=3), 6))
    assert [channel for _, channel in p.at("b.w", 1)] == [0, 1, 2, 3]
    assert p.at("a.w") == 3 * p.at("b.w", 1)
    assert p.at("b.w") == 3 * p.at("b.w")[:2] == p.at("head.w", 1)
    assert p.free() == {"a": 4, "b": 2}


def test_depthwise_conv(prove: Prove) -> None:
    b, x = start()
    y = b.conv("b", x, 8, 8, group=8)
    p = prove(b, b.head(b.conv("c", y, 8, 4), 4))
    assert p.free() == {"a": 8, "c": 4}
    assert p.at("a.w") == p.at("b.w") == p.at("b.b") == p.at("c.w", 1)
    assert p.role("b.w") == "scale"


def test_depthwise_conv_with_several_outputs(prove: Prove) -> None:
    """Both outputs of an input channel go with it."""
    b, x = start(4)
    p = prove(b, b.head(b.conv("b", x, 4, 8, group=4), 8))
    assert p.free() == {"a": 4}
    assert p.at("b.w") == p.at("head.w", 1) == [("a", i // 2) for i in range(8)]


@pytest.mark.parametrize("group", [1, 2, 8])
def test_conv_transpose(prove: Prove, group: int) -> None:
    b, x = start()
    weights = [b.normal("b.w", 8, 8 // group, 2, 2), b.uniform("b.b", 8)]
    y = b.op("ConvTranspose", x, *weights, name="b", group=group, strides=[2, 2])
    p = prove(b, b.head(y, 8))
    assert p.at("a.w") == p.at("b.w", 0)
    assert p.at("b.b") == p.at("head.w", 1)
    if group == 8:
        assert p.at("a.w") == p.at("b.b")
        assert p.free() == {"a": 8}
    else:
        assert p.at("b.b") == group * p.at("b.w", 1)
        assert p.at("a.w") == group * p.at("a.w")[: 8 // group]
        assert p.free() == {"a": 8 // group, "b": 8 // group}


@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm(prove: Prove, trans_b: int) -> None:
    b, x = start()
    x = b.relu(b.gemm("b", b.op("Flatten", b.op("GlobalAveragePool", x)), 8, 6, trans_b))
    p = prove(b, b.gemm("c", x, 6, 5, trans_b))
    assert p.free() == {"a": 8, "b": 6}
    inputs = 1 if trans_b else 0
    assert p.at("a.w") == p.at("b.w", inputs)
    assert p.at("b.w", 1 - inputs) == p.at("b.b") == p.at("c.w", inputs)
    assert "graph output" in p.why("c.b")


def test_matmul(prove: Prove) -> None:
    b, x = start()
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    x = b.op("MatMul", x, b.normal("b.w", 8, 6), name="b")
    x = b.relu(b.op("Add", x, b.uniform("b.b", 6)))
    p = prove(b, b.op("MatMul", x, b.normal("c.w", 6, 5), name="c"))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("b.w", 0)
    assert p.at("b.w", 1) == p.at("b.b") == p.at("c.w", 0)


def test_matmul_of_two_activations_freezes(prove: Prove) -> None:
    """Attention between pixels: correct whatever is frozen."""
    b, x = start()
    q = b.op("Reshape", b.conv("q", x, 8, 6, 1), b.const([0, 6, 64]))
    k = b.op("Reshape", b.conv("k", x, 8, 6, 1), b.const([0, 6, 64]))
    scores = b.op("MatMul", b.op("Transpose", q, perm=[0, 2, 1]), k, name="scores")
    p = prove(b, b.op("Softmax", scores, axis=-1))
    assert "a" in p.free()
    for name in ("q.w", "k.w"):
        assert not p.why(name) or "scores" in p.why(name)


# -- channel by channel --------------------------------------------------------------------


def test_batch_normalization(prove: Prove) -> None:
    b, x = start()
    y = b.norm("n", b.relu(x), 8)
    p = prove(b, b.head(b.conv("b", b.relu(y), 8, 4), 4))
    for name in ("n.scale", "n.shift", "n.mean", "n.var"):
        assert p.at(name) == p.at("a.w") == p.at("b.w", 1)
    assert (p.role("n.scale"), p.role("n.mean")) == ("scale", "vector")


def test_instance_normalization(prove: Prove) -> None:
    b, x = start()
    y = b.op("InstanceNormalization", x, b.uniform("s", 8), b.uniform("t", 8))
    p = prove(b, b.head(y, 8))
    assert p.free() == {"a": 8}
    assert p.at("s") == p.at("t") == p.at("a.w") == p.at("head.w", 1)


def test_prelu(prove: Prove) -> None:
    b, x = start()
    x = b.op("PRelu", x, b.uniform("many", 8, 1, 1))
    x = b.op("PRelu", x, b.uniform("one", 1, 1, 1))
    p = prove(b, b.head(x, 8))
    assert p.free() == {"a": 8}
    assert p.at("many") == p.at("a.w")
    assert p.model.initializers["one"].size == 1


@pytest.mark.parametrize("op_type", ["Relu", "Sigmoid", "HardSwish", "Elu", "Sqrt", "Erf", "Neg"])
def test_unary(prove: Prove, op_type: str) -> None:
    b, x = start()
    p = prove(b, b.head(b.conv("b", b.op(op_type, b.op("Abs", x)), 8, 4), 4))
    assert p.free() == {"a": 8, "b": 4}


def test_identity_and_cast(prove: Prove) -> None:
    b, x = start()
    x = b.op("Cast", b.op("Identity", x), to=11)  # double
    p = prove(b, b.head(b.op("Cast", x, to=1), 8))
    assert p.free() == {"a": 8}


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Max"])
def test_binary_links_channels(prove: Prove, op_type: str) -> None:
    b, x = start()
    y = b.relu(b.op(op_type, b.conv("b", x, 8, 8), x))
    p = prove(b, b.head(b.op(op_type, b.conv("c", y, 8, 8), y), 8))
    assert p.free() == {"a": 8}
    assert p.at("a.w") == p.at("b.w") == p.at("b.w", 1) == p.at("c.w") == p.at("head.w", 1)


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1, 1), (8, 8, 8)])
def test_constant_of_channels(prove: Prove, shape: tuple[int, ...]) -> None:
    b, x = start()
    y = b.op("Mul", b.relu(x), b.uniform("factor", *shape))
    p = prove(b, b.head(b.relu(y), 8))
    assert p.at("factor", len(shape) - 3) == p.at("a.w")


@pytest.mark.parametrize("shape", [(), (1,), (8,), (8, 1), (1, 1, 1, 1)])
def test_constant_of_pixels(prove: Prove, shape: tuple[int, ...]) -> None:
    """Nothing of it counts channels, even where its size happens to be theirs."""
    b, x = start()
    p = prove(b, b.head(b.relu(b.op("Sub", b.relu(x), b.uniform("c", *shape))), 8))
    assert p.free() == {"a": 8}
    assert p.analysed.group("a").slots
    assert all(slot.tensor != "c" for group in p.analysed.groups for slot in group.slots)


def test_squeeze_and_excitation(prove: Prove) -> None:
    b, x = start()
    y = b.relu(b.conv("down", b.op("GlobalAveragePool", x), 8, 2, 1))
    y = b.op("Sigmoid", b.conv("up", y, 2, 8, 1))
    p = prove(b, b.head(b.op("Mul", x, y), 8))
    assert p.free() == {"a": 8, "down": 2}
    assert p.at("a.w") == p.at("down.w", 1) == p.at("up.w") == p.at("head.w", 1)


def test_one_channel_for_all(prove: Prove) -> None:
    """A map that scales all channels is one channel itself, and cannot go."""
    b, x = start()
    gate = b.op("Sigmoid", b.conv("attend", x, 8, 1, 1))
    p = prove(b, b.head(b.op("Mul", b.conv("b", x, 8, 6), gate), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.why("attend.w")
    assert p.at("b.w") == p.at("head.w", 1)


def test_where_and_comparison(prove: Prove) -> None:
    b, x = start()
    y = b.conv("b", x, 8, 8)
    chosen = b.op("Where", b.op("Greater", x, y), x, y)
    p = prove(b, b.head(chosen, 8))
    assert p.at("a.w") == p.at("b.w") == p.at("head.w", 1)


# -- channels moved about ------------------------------------------------------------------


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


def test_slice_with_a_step(prove: Prove) -> None:
    """Every other channel: what remains would no longer be every other one."""
    b, x = start()
    odd = b.op("Slice", x, *(b.const([v]) for v in (1, 8, 1, 2)), name="odd")
    p = prove(b, b.head(b.conv("b", odd, 4, 4), 4))
    assert not p.why("a.w") or "odd" in p.why("a.w")
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


# -- pixels and reductions -----------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        ["", np.array([1, 1, 2, 2], np.float32)],
        ["", "", np.array([1, 8, 16, 12])],
        [np.zeros(8, np.float32), np.array([1, 1, 0.5, 0.5], np.float32)],
    ],
)
def test_resize(prove: Prove, how: list[np.ndarray | str]) -> None:
    b, x = start()
    inputs = [v if isinstance(v, str) else b.const(v) for v in how]
    p = prove(b, b.head(b.op("Resize", x, *inputs, mode="nearest"), 8))
    assert p.free() == {"a": 8}


def test_pools(prove: Prove) -> None:
    b, x = start()
    for kind in ("MaxPool", "AveragePool", "LpPool"):
        x = b.op(kind, x, kernel_shape=[2, 2])
    y = b.op("Concat", b.op("GlobalAveragePool", x), b.op("GlobalMaxPool", x), axis=1)
    p = prove(b, b.gemm("head", b.op("Flatten", y), 16, 5))
    assert p.free() == {"a": 8}
    assert p.at("head.w", 1) == 2 * p.at("a.w")


@pytest.mark.parametrize("keep", [0, 1])
def test_mean_of_pixels(prove: Prove, keep: int) -> None:
    b, x = start()
    mean = b.op("ReduceMean", x, axes=[2, 3], keepdims=keep)
    p = prove(b, b.gemm("head", b.op("Flatten", mean), 8, 5))
    assert p.free() == {"a": 8}
    assert p.at("head.w", 1) == p.at("a.w")


def test_mean_of_channels(prove: Prove) -> None:
    b, x = start()
    mean = b.op("ReduceMean", x, axes=[1], keepdims=1, name="mean")
    p = prove(b, b.head(b.op("Mul", b.conv("b", x, 8, 6), mean), 6))
    assert "mean" in p.why("a.w")
    assert p.free() == {"b": 6}


def test_softmax(prove: Prove) -> None:
    b, x = start()
    rows = b.op("Softmax", x, axis=-1)
    channels = b.op("Softmax", b.conv("b", rows, 8, 6), axis=1, name="soft")
    p = prove(b, b.head(channels, 6))
    assert p.free() == {"a": 8}
    assert "soft" in p.why("b.w")


@pytest.mark.parametrize("op_type", ["LRN", "LpNormalization", "MeanVarianceNormalization"])
def test_normalisation_across_channels(prove: Prove, op_type: str) -> None:
    b, x = start()
    attributes: dict[str, Any] = {
        "LRN": {"size": 3, "alpha": 0.5},
        "LpNormalization": {"axis": 1},
        "MeanVarianceNormalization": {"axes": [1, 2, 3]},
    }
    y = b.op(op_type, b.conv("b", b.relu(x), 8, 6), name="mixes", **attributes[op_type])
    p = prove(b, b.head(y, 6))
    assert p.free() == {"a": 8}
    assert "mixes" in p.why("b.w")


def test_group_normalization(prove: Prove) -> None:
    b, x = start(opset=21)
    parts = [b.uniform("s", 6), b.uniform("t", 6)]
    y = b.conv("b", b.relu(x), 8, 6)
    y = b.op("GroupNormalization", y, *parts, num_groups=2, name="mixes")
    p = prove(b, b.head(b.conv("c", y, 6, 4), 4))
    assert p.free() == {"a": 8, "c": 4}
    assert "mixes" in p.why("b.w")


# -- quantized -----------------------------------------------------------------------------


def test_quantized_activation(prove: Prove) -> None:
    b = Builder()
    x = b.input((1, 3, 8, 8))
    for name, channels in (("a", 3), ("b", 8)):
        step, zero = b.const(np.float32(2**-5)), b.const(np.uint8(100))
        x = b.op("DequantizeLinear", b.op("QuantizeLinear", x, step, zero), step, zero)
        weight = b.rng.integers(-8, 9, (8, channels, 3, 3)).astype(np.float32) / 64
        # Exact sums, which no order rounds to another integer.
        x = b.op("Conv", x, b.const(weight, f"{name}.w"), name=name, pads=[1] * 4)
    p = prove(b, b.head(x, 8))
    assert p.free() == {"a": 8, "b": 8}
    assert p.at("a.w") == p.at("b.w", 1)


@pytest.mark.parametrize(("axis", "zero"), [(0, 0), (1, 0), (None, 0), (None, 5)])
def test_quantized_weight(prove: Prove, axis: int | None, zero: int) -> None:
    b, x = start()
    shape = (6, 8, 3, 3)
    count = () if axis is None else (shape[axis],)
    parts = [
        b.const(b.rng.integers(-99, 99, shape).astype(np.int8), "q"),
        b.const(b.rng.uniform(0.002, 0.004, count).astype(np.float32), "step"),
        b.const(np.full(count, zero, np.int8), "zero"),
    ]
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    weight = b.op("DequantizeLinear", *parts, **attributes)
    y = b.op("Conv", x, weight, b.uniform("bias", 6), name="b", pads=[1] * 4)
    p = prove(b, b.head(y, 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("q", 1) == p.at("a.w")
    assert p.at("q", 0) == p.at("bias") == p.at("head.w", 1)
    if axis is not None:
        assert p.at("step") == p.at("zero") == p.at("q", axis)


# -- what has to stay ----------------------------------------------------------------------


def test_graph_outputs_stay(prove: Prove) -> None:
    b, x = start()
    out = b.op("Add", x, b.conv("b", x, 8, 8))
    p = prove(b, out, b.head(b.conv("c", out, 8, 6), 6))
    assert p.free() == {"c": 6}
    for name in ("a.w", "b.w"):
        assert out in p.why(name)
        assert "output" in p.why(name)


def test_unknown_operator(tmp_path: Path, rng: np.random.Generator) -> None:
    b, x = start()
    (y,) = b.ops("Mystery", b.conv("b", x, 8, 8), count=1, domain="com.example", name="odd")
    b.declare(y, (1, 8, 8, 8))
    model = b.load(tmp_path, b.head(b.conv("c", b.relu(x), 8, 6), 6), y)
    analysed, _ = assert_shrinks(model, rng, runs=False)
    p = Proved(model, analysed)
    assert p.free() == {"a": 8, "c": 6}
    assert "odd" in p.why("b.w")
    assert "Mystery" in p.why("b.w")


def test_subgraphs(prove: Prove) -> None:
    """What a branch of If reads stays as it is."""
    from onnx import TensorProto, helper

    b, x = start()
    branches = {}
    for name, op_type in (("then_branch", "Relu"), ("else_branch", "Neg")):
        branches[name] = helper.make_graph(
            [helper.make_node(op_type, [x], ["r"])],
            name,
            [],
            [helper.make_tensor_value_info("r", TensorProto.FLOAT, [1, 8, 8, 8])],
        )
    largest = b.op("ReduceMax", b.input((1, 4), "flag"), keepdims=0)
    condition = b.op("Greater", largest, b.const(np.float32(0)))
    y = b.op("If", condition, name="branch", **branches)
    p = prove(b, b.head(b.conv("b", y, 8, 6), 6))
    assert "branch" in p.why("a.w")
    assert p.free() == {"b": 6}


def test_shared_weight(prove: Prove) -> None:
    """One array in two layers: what goes from one goes from both, or it is frozen."""
    b, x = start()
    weight = b.normal("shared", 8, 8, 3, 3)
    y = b.op("Conv", x, weight, name="b", pads=[1] * 4)
    z = b.op("Conv", b.relu(y), weight, name="c", pads=[1] * 4)
    p = prove(b, b.head(b.relu(z), 8))
    assert p.why("shared") or p.at("shared") == p.at("shared", 1) == p.at("a.w")
    assert p.at("head.w", 1) == p.at("shared")


def test_weight_shared_with_an_output(prove: Prove) -> None:
    """A layer whose channels are the graph's output holds the other that has its weight."""
    b, x = start()
    weight = b.normal("shared", 8, 8, 3, 3)
    y = b.op("Conv", x, weight, name="b", pads=[1] * 4)
    z = b.relu(b.conv("between", y, 8, 8))
    p = prove(b, b.op("Conv", z, weight, name="c", pads=[1] * 4))
    assert "output" in p.why("shared", 0)
    assert p.at("shared", 1) == p.at("a.w") == p.at("between.w")


def test_weight_shared_between_places(prove: Prove) -> None:
    """A vector as bias of two layers of different groups joins them."""
    b, x = start()
    bias = b.uniform("shared", 8)
    y = b.op("Conv", x, b.normal("b.w", 8, 8, 3, 3), bias, name="b", pads=[1] * 4)
    z = b.op("Conv", b.relu(y), b.normal("c.w", 8, 8, 3, 3), bias, name="c", pads=[1] * 4)
    p = prove(b, b.head(b.relu(z), 8))
    assert p.why("shared") or p.at("shared") == p.at("b.w") == p.at("c.w")


def test_weight_that_is_an_output(prove: Prove) -> None:
    """An initializer that the graph gives out keeps its shape."""
    b, x = start()
    y = b.op("Mul", b.relu(x), b.uniform("factor", 8, 1, 1))
    p = prove(b, b.head(b.relu(y), 8), "factor")
    assert "output" in p.why("a.w")


# -- bad input -----------------------------------------------------------------------------


@pytest.fixture
def two_layers(tmp_path: Path) -> Model:
    b, x = start()
    return b.load(tmp_path, b.head(b.conv("b", b.relu(x), 8, 6), 6))


def mask(count: int, *gone: int) -> np.ndarray:
    kept = np.ones(count, bool)
    kept[list(gone)] = False
    return kept


@pytest.mark.parametrize("change", [shrink, masked])
@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"a": np.zeros(8, bool)}, "'a'"),
        ({"a": mask(7, 0)}, "'a'"),
        ({"nowhere": mask(8, 0)}, "'nowhere'"),
        ({"head": mask(5, 0)}, "output"),
    ],
    ids=["nothing left", "wrong length", "unknown group", "frozen group"],
)
def test_masks_that_do_not_fit(
    two_layers: Model, change: Callable[..., Model], keep: dict[str, np.ndarray], words: str
) -> None:
    analysed = coupling.analyse(two_layers)
    with pytest.raises(AlcsError, match=words) as caught:
        change(two_layers, analysed, keep)
    assert "\n" not in str(caught.value)


def test_coupling_of_another_model(two_layers: Model, tmp_path: Path) -> None:
    analysed = coupling.analyse(two_layers)
    b, x = start()
    other = b.load(tmp_path, b.head(b.conv("b", x, 8, 6), 6))
    for change in (shrink, masked):
        with pytest.raises(AlcsError, match="another model"):
            change(other, analysed, {"a": mask(8, 0)})


def test_coupling_outlives_training(two_layers: Model) -> None:
    analysed = coupling.analyse(two_layers)
    trained = two_layers.with_initializers({"a.w": 2 * two_layers.initializers["a.w"]})
    keep = {"a": mask(8, 0)}
    values = feeds(trained, np.random.default_rng(0))
    small, dense = shrink(trained, analysed, keep), masked(trained, analysed, keep)
    assert_close(run(small, values), run(dense, values), "shrunk against masked")


def test_analysis_is_repeatable(two_layers: Model) -> None:
    first, second = coupling.analyse(two_layers), coupling.analyse(two_layers)
    assert [g.name for g in first.groups] == [g.name for g in second.groups]
    for one, two in zip(first.groups, second.groups, strict=True):
        for a, b in zip(one.slots, two.slots, strict=True):
            assert (a.tensor, a.axis, a.role, a.node) == (b.tensor, b.axis, b.role, b.node)
            np.testing.assert_array_equal(a.indices, b.indices)
