"""Integer weights in blocks of output channels by words of four input channels."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.integer_format import (
    IntegerWeights,
    WordGeometry,
    pack_integers,
    reason_no_words,
    unpack_integers,
    validate_integers,
)


@st.composite
def geometries(draw: st.DrawFn) -> WordGeometry:
    kernel = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    kind = draw(st.sampled_from(["plain", "depthwise", "grouped"]))
    if kind == "depthwise":
        channels = draw(st.integers(2, 11))
        return WordGeometry(channels, channels, channels, kernel, 4)
    group = draw(st.integers(2, 3)) if kind == "grouped" else 1
    step = 4 * group if kind == "grouped" else 1
    m, c = (step * draw(st.integers(1, 3 if kind == "grouped" else 19)) for _ in range(2))
    return WordGeometry(m, c, group, kernel, draw(st.sampled_from([4, 8, 12])))


@given(geometries(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.6, 1.0]))
def test_what_is_packed_comes_back(geometry: WordGeometry, seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.integers(-128, 128, geometry.weight_shape, np.int8)
    levels[rng.random(levels.shape) >= density] = 0
    packed = pack_integers(levels, geometry.group, geometry.simd_group)
    assert packed.geometry == geometry
    validate_integers(packed)
    back, stored = unpack_integers(packed)
    np.testing.assert_array_equal(back, levels)
    assert stored[levels != 0].all()


@given(geometries(), st.integers(0, 2**32 - 1))
def test_exactly_what_is_kept_is_stored(geometry: WordGeometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.integers(-128, 128, geometry.weight_shape, np.int8)
    keep = rng.random((geometry.blocks, geometry.columns)) < 0.5
    packed = pack_integers(levels, geometry.group, geometry.simd_group, keep)
    assert packed.positions.size == keep.sum()
    back, stored = unpack_integers(packed)
    np.testing.assert_array_equal(back, np.where(stored, levels, 0))


def test_worked_example() -> None:
    """Five input channels, six output channels: the last words are filled up with zeros."""
    levels = np.arange(1, 61, dtype=np.int8).reshape(6, 5, 2)  # two taps
    packed = pack_integers(levels, 1, 4)
    assert packed.values.shape == (8, 4, 4)
    np.testing.assert_array_equal(packed.positions, np.arange(8))
    # The first block at the second tap of the first word: channels 0 to 3 of rows 0 to 3.
    np.testing.assert_array_equal(packed.values[1], levels[:4, :4, 1])
    # At the first tap of the second word: channel 4, and three that there are not.
    np.testing.assert_array_equal(packed.values[2, :, 0], levels[:4, 4, 0])
    assert not packed.values[2, :, 1:].any()
    # The second block has two rows that there are not.
    np.testing.assert_array_equal(packed.values[4, :2], levels[4:, :4, 0])
    assert not packed.values[4, 2:].any()


def test_depthwise_words() -> None:
    levels = np.arange(1, 13, dtype=np.int8).reshape(6, 1, 2)
    packed = pack_integers(levels, 6, 4)
    np.testing.assert_array_equal(packed.values[:, :, 0].T[:, :2], levels[:4, 0])
    np.testing.assert_array_equal(packed.values[:, :2, 0].T[:, 2:], levels[4:, 0])


@pytest.mark.parametrize(
    ("shape", "group", "simd_group", "message"),
    [
        ((8, 8, 3), 1, 6, "6 rows, expected a multiple of 4"),
        ((8, 1, 3), 8, 8, "8 rows, expected 4 in a depthwise convolution"),
        ((8, 2, 3), 2, 4, "2 input channels of each of 2 conv groups"),
        ((6, 4, 3), 2, 4, "3 output channels of each of 2 conv groups"),
        ((8, 8, 3), 1, 0, "sizes must be positive"),
        ((8, 8), 1, 4, r"int8 \[8, 8\] is no int8 weight"),
    ],
)
def test_impossible_geometries(
    shape: tuple[int, ...], group: int, simd_group: int, message: str
) -> None:
    with pytest.raises(AlcsError, match=message):
        pack_integers(np.ones(shape, np.int8), group, simd_group)


def test_weights_that_are_too_large() -> None:
    with pytest.raises(AlcsError, match="too many positions"):
        WordGeometry(2**20, 2**20, 1, (1, 1), 4)


def test_reasons() -> None:
    assert not reason_no_words(5, 3, 1)
    assert not reason_no_words(6, 6, 6)
    assert "input channels" in reason_no_words(12, 6, 6)


def test_invalid_weights() -> None:
    good = pack_integers(np.ones((8, 8, 3), np.int8), 1, 4)
    validate_integers(good)
    last = prod((good.geometry.blocks, good.geometry.columns))
    for wrong, message in (
        (replace(good, positions=good.positions[::-1]), "strictly increasing"),
        (replace(good, positions=good.positions + 1), f"outside 0..{last - 1}"),
        (replace(good, positions=good.positions.astype(np.int64)), "vector of int32"),
        (replace(good, values=good.values[1:]), "values are int8"),
        (replace(good, values=good.values.astype(np.int16)), "values are int16"),
    ):
        with pytest.raises(AlcsError, match=message):
            validate_integers(wrong)
        with pytest.raises(AlcsError, match=message):
            unpack_integers(wrong)


def test_a_mask_of_another_shape() -> None:
    with pytest.raises(AlcsError, match="the keep mask has shape"):
        pack_integers(np.ones((8, 8, 3), np.int8), 1, 4, np.ones((2, 2), np.bool_))


def test_nothing_is_valid() -> None:
    packed = pack_integers(np.zeros((8, 8, 3), np.int8), 1, 4)
    assert packed.density == 0
    assert not unpack_integers(packed)[0].any()
    assert isinstance(packed, IntegerWeights)
