"""Coupling where operators are used in rare ways: correct or frozen, never wrong.

As in the tests of single rules, each graph is pruned at random and proved.
"""

from __future__ import annotations

import numpy as np
import pytest
from coupling_helpers import Prove, start
from zoo.builder import Builder

# -- one array in several places -----------------------------------------------------------


def test_vector_of_channels_and_of_pixels(prove: Prove) -> None:
    """An array that one node reads along channels, and another along the width of the image."""
    b, x = start()
    both = b.uniform("both", 8)
    y = b.op("Add", b.relu(x), both)  # the last axis: pixels
    y = b.op("Conv", y, b.normal("b.w", 8, 8, 1, 1), both, name="b")
    p = prove(b, b.head(b.relu(y), 8))
    assert p.model.initializers["both"].shape == (8,)


def test_weight_and_its_transpose(prove: Prove) -> None:
    """A matrix that one Gemm reads by rows and another by columns, as in tied autoencoders."""
    b, x = start()
    matrix = b.normal("tied", 6, 8)
    y = b.op("Flatten", b.op("GlobalAveragePool", x))
    y = b.op("Gemm", y, matrix, name="down", transB=1)
    y = b.op("Gemm", b.relu(y), matrix, name="up")
    p = prove(b, b.gemm("head", b.relu(y), 8, 5))
    assert p.at("tied", 1) == p.at("a.w") == p.at("head.w", 1)


def test_kernel_of_a_conv_and_of_its_transpose(prove: Prove) -> None:
    """Conv and ConvTranspose of one kernel, whose axes they read the other way round."""
    b, x = start()
    kernel = b.normal("tied", 6, 8, 2, 2)
    y = b.op("Conv", x, kernel, name="down", strides=[2, 2])
    y = b.op("ConvTranspose", b.relu(y), kernel, name="up", strides=[2, 2])
    p = prove(b, b.head(b.relu(b.op("Add", x, y)), 8))
    assert p.at("tied", 1) == p.at("a.w")


def test_weight_as_data(prove: Prove) -> None:
    """A weight of a conv that is also the operand of a sum of pixels."""
    b, x = start()
    kernel = b.normal("both", 8, 8, 1, 1)
    flat = b.op("Reshape", kernel, b.const([1, 1, 8, 8]))
    y = b.op("Add", b.op("Conv", x, kernel, name="b"), flat)
    prove(b, b.head(b.relu(y), 8))


def test_one_set_of_statistics(prove: Prove) -> None:
    """Two normalisations that read the same vectors, one of them twice."""
    b, x = start()
    ones = b.const(np.ones(8, np.float32), "ones")
    shift = b.uniform("shift", 8)
    y = b.op("BatchNormalization", b.relu(x), ones, shift, shift, ones)
    y = b.conv("b", b.relu(y), 8, 8)
    y = b.op("BatchNormalization", b.relu(y), ones, shift, shift, ones)
    prove(b, b.head(b.relu(b.conv("c", y, 8, 6)), 6))


# -- sizes and axes ------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [[0, 1, 2, 3], [1, 2, 3], [2, 3], [-2, -1]])
def test_resize_of_some_axes(prove: Prove, axes: list[int]) -> None:
    b, x = start(opset=18)
    sizes = b.const([[1, 8, 16, 12][axis] for axis in axes])
    y = b.op("Resize", x, "", "", sizes, axes=axes, mode="nearest")
    p = prove(b, b.head(y, 8))
    assert p.free() in ({"a": 8}, {})


def test_resize_of_channels(prove: Prove) -> None:
    """An operator that makes channels out of channels."""
    b, x = start()
    scales = b.const(np.array([1, 2, 1, 1], np.float32))
    p = prove(b, b.head(b.op("Resize", x, "", scales, mode="nearest", name="wider"), 16))
    assert "wider" in p.why("a.w")


def test_squeeze_of_all_ones(prove: Prove) -> None:
    """Squeeze without axes must not drop the axis of channels when one of them is left."""
    b, x = start()
    y = b.op("Squeeze", b.op("GlobalAveragePool", x))
    y = b.op("Unsqueeze", y, b.const([0]))
    prove(b, b.gemm("head", y, 8, 5), share=1.0)


def test_expand_and_tile(prove: Prove) -> None:
    b, x = start()
    y = b.op("Expand", b.op("GlobalAveragePool", x), b.const([1, 8, 8, 8]))
    y = b.op("Concat", y, b.op("Tile", x, b.const([1, 2, 1, 1])), axis=1)
    p = prove(b, b.head(y, 24))
    assert p.free() == {"a": 8}
    assert p.at("head.w", 1) == 3 * p.at("a.w")


def test_one_channel_expanded(prove: Prove) -> None:
    b, x = start()
    y = b.op("Expand", b.conv("one", x, 8, 1), b.const([1, 6, 8, 8]))
    p = prove(b, b.head(b.conv("b", y, 6, 4), 4), share=1.0)
    assert p.why("one.w")


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_flatten_at_every_axis(prove: Prove, axis: int) -> None:
    b, x = start(4)
    flat = b.op("Flatten", x, axis=axis)
    back = b.op("Reshape", flat, b.const([1, 4, 8, 8]))
    prove(b, b.head(b.conv("b", back, 4, 4), 4))


def test_channels_in_place_of_the_batch(prove: Prove) -> None:
    """Every channel as an image of its own, through one filter for all of them."""
    b, x = start()
    y = b.conv("filter", b.op("Reshape", x, b.const([8, 1, 8, 8])), 1, 1)
    y = b.op("Reshape", y, b.const([1, 8, 8, 8]))
    prove(b, b.head(y, 8))


def test_nothing_between_something(prove: Prove) -> None:
    """A slice of no channels, joined with others."""
    b, x = start()
    none = b.op("Slice", x, *(b.const([v]) for v in (8, 8, 1)))
    y = b.op("Concat", none, x, axis=1)
    p = prove(b, b.head(b.conv("b", y, 8, 4), 4))
    assert p.free()["b"] == 4


def test_images_and_volumes(prove: Prove) -> None:
    """Three spatial axes, and a mean over one of them."""
    b = Builder()
    x = b.conv("a", b.input((1, 2, 4, 4, 4)), 2, 6, rank=3)
    x = b.conv("b", b.op("MaxPool", b.relu(x), kernel_shape=[2, 2, 2]), 6, 8, rank=3)
    x = b.op("ReduceMean", x, axes=[2], keepdims=0)
    p = prove(b, b.head(b.conv("c", x, 8, 4), 4))
    assert p.free() == {"a": 6, "b": 8, "c": 4}


def test_constant_image_beside_channels(prove: Prove) -> None:
    """Coordinates as further channels: their readers may ignore them like any other."""
    b, x = start()
    y = b.op("Concat", x, b.uniform("where", 1, 2, 8, 8), axis=1)
    p = prove(b, b.head(b.conv("b", y, 10, 4), 4))
    assert p.at("b.w", 1)[:8] == p.at("a.w")
    assert p.free()["b"] == 4


def test_broadcast_constant_adds_rows(prove: Prove) -> None:
    """A constant of more axes than the activation."""
    b, x = start()
    y = b.op("Flatten", b.op("GlobalAveragePool", x))
    y = b.op("Add", y, b.uniform("rows", 3, 1, 8))
    p = prove(b, b.op("MatMul", y, b.normal("m.w", 8, 5), name="m"))
    assert p.at("rows", 2) == p.at("a.w")


def test_channels_meet_pixels(prove: Prove) -> None:
    """A sum of a tensor and its transpose: channels of one are pixels of the other."""
    b, x = start()
    y = b.op("Add", x, b.op("Transpose", x, perm=[0, 2, 1, 3]), name="cross")
    p = prove(b, b.head(y, 8))
    assert "cross" in p.why("a.w")


def test_vector_meets_pixels(prove: Prove) -> None:
    """The output of a Gemm, added along the width of an image."""
    b, x = start()
    y = b.op("Flatten", b.op("GlobalAveragePool", x))
    y = b.gemm("b", y, 8, 8)
    prove(b, b.head(b.relu(b.op("Add", b.conv("c", x, 8, 8), y)), 8))


# -- groups --------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "outputs"), [(4, 8), (2, 8), (8, 16), (4, 4), (2, 2)])
def test_grouped_convs_of_all_kinds(prove: Prove, group: int, outputs: int) -> None:
    """Narrower groups or fewer of them: whichever, all remain of one size."""
    b, x = start()
    y = b.relu(b.conv("g", x, 8, outputs, group=group))
    z = b.relu(b.conv("b", y, outputs, 6))
    p = prove(b, b.head(z, 6), share=0.5)
    assert p.at("head.w", 1) == p.at("b.w")
    assert "a" in p.free()
    assert p.free()["b"] == 6


@pytest.mark.parametrize(("inputs", "outputs", "group"), [(8, 4, 2), (4, 8, 4), (4, 12, 2)])
def test_grouped_transposed_of_all_kinds(
    prove: Prove, inputs: int, outputs: int, group: int
) -> None:
    b, x = start(inputs)
    weights = [b.normal("t.w", inputs, outputs // group, 2, 2), b.uniform("t.b", outputs)]
    y = b.op("ConvTranspose", x, *weights, name="t", group=group)
    prove(b, b.head(b.relu(b.conv("b", b.relu(y), outputs, 6)), 6), share=0.5)


def test_grouped_layers_of_different_groups(prove: Prove) -> None:
    """Each with its own idea of what belongs together, on one tensor."""
    b, x = start(12)
    y = b.op("Concat", b.conv("b", x, 12, 6, group=3), b.conv("c", x, 12, 8, group=2), axis=1)
    prove(b, b.head(b.relu(y), 14))


# -- quantized -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(), (1,)])
def test_one_scale_of_either_rank(prove: Prove, size: tuple[int, ...]) -> None:
    """One scale may be a scalar or a vector of one."""
    b, x = start()
    parts = [
        b.const(b.rng.integers(-99, 99, (6, 8, 3, 3)).astype(np.int8), "q"),
        b.const(np.full(size, 0.003, np.float32)),
        b.const(np.full(size, 4, np.int8)),
    ]
    weight = b.op("DequantizeLinear", *parts)
    p = prove(b, b.head(b.op("Conv", x, weight, name="b", pads=[1] * 4), 6))
    assert p.free() == {"a": 8, "b": 6}


def test_scales_of_activation_channels(prove: Prove) -> None:
    """Activations quantized channel by channel: the scales go with them."""
    b = Builder()
    x = b.conv("a", b.input((1, 3, 8, 8)), 3, 8)
    parts = [
        b.const(b.rng.uniform(0.02, 0.04, 8).astype(np.float32), "step"),
        b.const(np.full(8, 100, np.uint8), "zero"),
    ]
    y = b.op("QuantizeLinear", x, *parts, axis=1)
    p = prove(b, b.head(b.op("DequantizeLinear", y, *parts, axis=1), 8))
    assert p.at("step") == p.at("zero") == p.at("a.w")


def test_quantized_linear_layer(prove: Prove) -> None:
    """MatMul with an 8-bit matrix that has a scale and a zero point for each row."""
    b, x = start()
    parts = [
        b.const(b.rng.integers(-99, 99, (8, 5)).astype(np.int8), "q"),
        b.const(b.rng.uniform(0.002, 0.004, 8).astype(np.float32), "step"),
        b.const(np.arange(8, dtype=np.int8), "zero"),
    ]
    matrix = b.op("DequantizeLinear", *parts, axis=0)
    y = b.op("Flatten", b.op("GlobalAveragePool", x))
    p = prove(b, b.op("MatMul", y, matrix, name="m"))
    assert p.at("q") == p.at("step") == p.at("zero") == p.at("a.w")


# -- nodes that give out more, or read less ------------------------------------------------


def test_pool_that_tells_where(prove: Prove) -> None:
    """Positions of maxima are counted over all channels."""
    b, x = start()
    y, where = b.ops("MaxPool", x, count=2, kernel_shape=[2, 2], name="pool")
    at = b.op("Cast", b.op("Mod", where, b.const([7])), to=1)
    p = prove(b, b.head(b.op("Add", y, at), 8))
    assert not p.free()


def test_layers_that_nothing_connects(prove: Prove) -> None:
    """Two networks in one file."""
    b, x = start()
    y = b.conv("b", b.input((1, 2, 4, 4), "other"), 2, 6)
    p = prove(b, b.head(x, 8), b.head(y, 6, name="second"))
    assert p.free() == {"a": 8, "b": 6}


def test_layer_on_an_input_alone(prove: Prove) -> None:
    b = Builder()
    p = prove(b, b.conv("a", b.input((1, 3, 8, 8)), 3, 8))
    assert not p.free()
    assert "output" in p.why("a.w")


def test_weight_that_is_an_input(prove: Prove) -> None:
    """A conv whose weights the caller gives."""
    b, x = start()
    weight = b.input((6, 8, 1, 1), "weight")
    y = b.op("Conv", x, weight, name="given")
    p = prove(b, b.head(b.conv("b", y, 6, 4), 4))
    assert "given" in p.why("a.w")
    assert p.free() == {"b": 4}


def test_product_with_a_constant_from_the_left(prove: Prove) -> None:
    """Mixes rows of pixels, for each channel alike."""
    b, x = start()
    y = b.op("MatMul", b.normal("left", 8, 8), x, name="left")
    prove(b, b.head(b.conv("b", y, 8, 4), 4))


def test_recurrent_layer(prove: Prove) -> None:
    """An operator without a rule that the runtime knows: frozen, and still correct."""
    b, x = start()
    y = b.op("Reshape", b.conv("b", x, 8, 6), b.const([6, 1, 64]))
    y, _ = b.ops(
        "GRU",
        b.op("Transpose", y, perm=[0, 1, 2]),
        b.normal("w", 1, 12, 64),
        b.normal("r", 1, 12, 4),
        count=2,
        hidden_size=4,
        name="recurrent",
    )
    p = prove(b, b.op("Reshape", y, b.const([1, -1])))
    assert "recurrent" in p.why("b.w")
    assert p.free() == {"a": 8}


def test_einsum(prove: Prove) -> None:
    b, x = start()
    y = b.op("Einsum", b.relu(x), b.normal("e", 8, 6), equation="nchw,cd->ndhw", name="sum")
    p = prove(b, b.head(b.conv("b", y, 6, 4), 4))
    assert p.free()["b"] == 4
