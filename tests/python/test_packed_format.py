"""Quantized weights in few bits: what is stored, that it comes back, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_helpers import golden_cases
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.codebooks import CODEBOOKS, get_codebook
from alcs_onnx.errors import AlcsError
from alcs_onnx.packed_format import (
    IndexedGroups,
    PackedWeights,
    best_index_bits,
    pack_quantized,
    read_bits,
    unpack_levels,
    unpack_quantized,
    validate_packed,
    write_bits,
)
from alcs_onnx.sparse_format import blocks_view, pack, unpack
from alcs_onnx.types import Codebook, QuantizedWeight

GOLDEN = Path(__file__).parents[1] / "golden" / "packed_weights.txt"


@st.composite
def quantized(draw: st.DrawFn) -> tuple[QuantizedWeight, int, int]:
    """A quantized weight whose pruned groups are whole, its conv groups and a group size."""
    levels = CODEBOOKS[draw(st.sampled_from(sorted(CODEBOOKS)))]
    group = draw(st.integers(1, 4))
    rows = draw(st.integers(1, 9))
    kernel = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    shape = (group * rows, draw(st.integers(1, 20)), *kernel)
    g = draw(st.sampled_from([1, 2, 3, 4, 8, 16, rows]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    weight = random_quantized(rng, shape, levels.name, group, g, density)
    return (weight, group, g)


def random_quantized(
    rng: np.random.Generator, shape: tuple[int, ...], name: str, group: int, g: int, density: float
) -> QuantizedWeight:
    """Random levels in a share of the groups; a scale for each channel or for the layer."""
    levels = get_codebook(name)
    found = rng.choice(np.array(levels.levels, np.int8), shape)
    keep = rng.random(blocks_view(found, group, g).shape[:2]) < density
    rows, padded = shape[0] // group, -(-(shape[0] // group) // g) * g
    spread = np.repeat(keep.reshape(group, -1, keep.shape[1]), g, axis=1)
    assert spread.shape[1] == padded
    found[~spread[:, :rows].reshape(shape)] = 0
    scale = rng.uniform(0.01, 2, rng.choice([1, shape[0]])).astype(np.float32)
    return QuantizedWeight(found, scale, levels)


@given(quantized())
def test_unpack_restores_what_pack_stored(case: tuple[QuantizedWeight, int, int]) -> None:
    weight, group, g = case
    packed = pack_quantized(weight, group, g)
    sparse = unpack_quantized(packed)
    np.testing.assert_array_equal(unpack(sparse, weight.levels.shape), weight.values())
    plain = pack(weight.values(), group, g)
    np.testing.assert_array_equal(sparse.positions, plain.positions)
    np.testing.assert_array_equal(sparse.values, plain.values)
    assert packed.bits == weight.codebook.bits
    assert packed.codes.nbytes == -(-packed.stored * g * packed.bits // 8)
    assert packed.gaps.nbytes == -(-packed.stored * packed.index_bits // 8)
    assert sparse.stored_groups <= packed.stored


@given(quantized())
def test_groups_lie_where_the_gaps_say(case: tuple[QuantizedWeight, int, int]) -> None:
    """Bit by bit, by the words of the contract."""
    weight, group, g = case
    packed = pack_quantized(weight, group, g)

    def number(stream: np.ndarray, index: int, bits: int) -> int:
        places = range(index * bits, (index + 1) * bits)
        return sum((int(stream[b // 8]) >> b % 8 & 1) << i for i, b in enumerate(places))

    positions, levels = unpack_levels(packed)
    expected = dict(zip(positions.tolist(), levels.tolist(), strict=True))
    rows, position = weight.levels.shape[0] // group, -1
    for i in range(packed.stored):
        position += 1 + number(packed.gaps, i, packed.index_bits)
        first = position // packed.columns % -(-rows // g) * g
        codes = [number(packed.codes, i * g + lane, packed.bits) for lane in range(g)]
        found = [packed.first_level + packed.level_step * code for code in codes]
        found[rows - first :] = [0] * (g - len(found[: rows - first]))
        if any(found):
            assert found == expected.pop(position)
        else:
            gap = number(packed.gaps, i, packed.index_bits)
            assert gap == 2**packed.index_bits - 1, "a dummy takes the largest gap"
    assert not expected


@given(
    st.lists(st.integers(1, 300), max_size=60),
    st.integers(1, 64),
)
def test_index_bits_are_the_best_there_are(steps: list[int], group_bits: int) -> None:
    positions = np.cumsum(np.array(steps, np.int64)) - 1

    def size(bits: int) -> int:
        stored = 0
        for step in steps:
            gap = step - 1
            while gap >= 2**bits:
                gap -= 2**bits
                stored += 1
            stored += 1
        return stored * (group_bits + bits)

    groups = IndexedGroups.at(positions, group_bits)
    assert size(best_index_bits(groups)) == min(map(size, range(12)))
    without = best_index_bits(IndexedGroups.at(positions, group_bits, zero_level=False))
    largest = max((step - 1 for step in steps), default=0)
    assert 2**without > largest
    assert without == 0 or 2 ** (without - 1) <= largest


@given(st.integers(0, 32), st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_bits_come_back(bits: int, numbers: list[int]) -> None:
    values = np.array([n % 2**bits for n in numbers], np.int64)
    stream = write_bits(values, bits)
    assert stream.size == -(-len(numbers) * bits // 8)
    np.testing.assert_array_equal(read_bits(stream, len(numbers), bits), values)


@pytest.mark.parametrize("density", [0.02, 0.2, 0.6])
@pytest.mark.parametrize("name", ["ternary", "4bit", "8bit"])
def test_size_is_that_of_the_arithmetic(
    name: str, density: float, rng: np.random.Generator
) -> None:
    """ADMM-NN-S section 3.1: bits of weights, dummies and indices, at the best index."""
    weight = random_quantized(rng, (256, 128, 3, 3), name, 1, 4, density)
    packed = pack_quantized(weight, 1, 4)
    positions = unpack_levels(packed)[0].tolist()
    gaps = [b - a - 1 for a, b in zip([-1, *positions[:-1]], positions, strict=True)]
    bits = 4 * weight.codebook.bits
    least = min(sum(gap // 2**i + 1 for gap in gaps) * (bits + i) for i in range(16))
    assert 0 <= packed.codes.nbytes + packed.gaps.nbytes - least / 8 < 2
    assert packed.weight_bytes < unpack_quantized(packed).values.nbytes / 2


def test_dense_layer_needs_no_index(rng: np.random.Generator) -> None:
    packed = pack_quantized(random_quantized(rng, (64, 16, 3, 3), "binary", 1, 8, 1), 1, 8)
    assert (packed.index_bits, packed.gaps.size) == (0, 0)
    assert packed.codes.nbytes == 64 * 16 * 9 // 8


def test_keep_masks_what_is_stored(rng: np.random.Generator) -> None:
    weight = random_quantized(rng, (16, 8, 3, 3), "4bit", 1, 4, 1)
    keep = rng.random((4, 72)) < 0.3
    sparse = unpack_quantized(pack_quantized(weight, 1, 4, keep))
    np.testing.assert_array_equal(sparse.positions, np.flatnonzero(keep))


def test_levels_outside_the_set_are_refused(rng: np.random.Generator) -> None:
    binary = get_codebook("binary")
    one = np.ones(1, np.float32)
    levels = np.ones((4, 2, 1, 1), np.int8)
    levels[1, 0] = 0
    with pytest.raises(AlcsError, match="0 is no level of 'binary'"):
        pack_quantized(QuantizedWeight(levels, one, binary), 1, 4)
    assert unpack_levels(pack_quantized(QuantizedWeight(levels, one, binary), 1, 1))[0].size == 7
    levels[1, 0] = 4
    with pytest.raises(AlcsError, match="4 is no level of '3bit'"):
        pack_quantized(QuantizedWeight(levels, one, get_codebook("3bit")), 1, 4)
    with pytest.raises(AlcsError, match=r"\[3\] scales for 4 output channels"):
        pack_quantized(QuantizedWeight(levels, np.ones(3, np.float32), binary), 1, 4)


def valid() -> PackedWeights:
    """Groups at 0, 1 and 9 of 2 x 6; 3 bits, 3 index bits."""
    levels = np.zeros((4, 6, 1), np.int8)
    levels[0, :2] = 3
    levels[2, 3] = -3
    weight = QuantizedWeight(levels, np.ones(1, np.float32), get_codebook("3bit"))
    packed = pack_quantized(weight, 1, 2)
    assert (packed.stored, packed.index_bits) == (3, 3)
    return packed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 0}, "bits is 0, expected 1 to 8"),
        ({"bits": 9}, "bits is 9"),
        ({"index_bits": -1}, "index_bits is -1"),
        ({"index_bits": 33}, "index_bits is 33"),
        ({"stored": 13}, "stored is 13, expected 0 to 12"),
        ({"stored": 1}, "codes are uint8"),
        ({"first_level": 128}, "first_level"),
        ({"level_step": 0}, "level_step"),
        ({"simd_group": 4}, "codes are uint8"),
        ({"out_channels": 5, "group": 2}, "do not divide"),
        ({"columns": 0}, "must be positive"),
        ({"columns": 2**31}, "too many positions"),
        ({"columns": 4}, "position lies outside"),
        ({"scales": np.ones(2, np.float32)}, "2 scales for 4"),
        ({"scales": np.array([np.inf], np.float32)}, "not a finite number"),
        ({"codes": np.zeros(4, np.uint8)}, r"expected uint8 \[3\]"),
        ({"codes": np.zeros(3, np.int8)}, "codes are int8"),
        ({"gaps": np.zeros(0, np.uint8)}, r"gaps are uint8 \[0\]"),
        ({"gaps": np.array([255, 1], np.uint8)}, "position lies outside"),
    ],
)
def test_validate_names_the_broken_rule(change: dict[str, Any], message: str) -> None:
    validate_packed(valid())
    with pytest.raises(AlcsError, match=message):
        validate_packed(replace(valid(), **change))


def test_bits_behind_the_end_are_refused() -> None:
    packed = pack_quantized(
        QuantizedWeight(np.ones((1, 3, 1), np.int8), np.ones(1, np.float32), get_codebook("3bit")),
        1,
        1,
    )
    with pytest.raises(AlcsError, match="end in bits that are not zero"):
        unpack_levels(replace(packed, codes=packed.codes | np.array([0, 2], np.uint8)))


def test_golden_file() -> None:
    """The bytes that the C++ test reads too mean the same here, and are what is written."""
    cases = golden_cases(GOLDEN)
    assert len(cases) >= 5
    for case in cases:
        shape = tuple(case["weight_shape"])
        levels = np.array(case["levels"], np.int8).reshape(shape)
        bits, count, first, step = (
            case[name] for name in ("bits", "count", "first_level", "level_step")
        )
        scale = np.array(case["scales_times_4"], np.float32) / np.float32(4)
        weight = QuantizedWeight(levels, scale, Codebook("golden", bits, count, first, step))
        packed = pack_quantized(weight, case["group"], case["simd_group"])
        for name in ("codes", "gaps"):
            np.testing.assert_array_equal(getattr(packed, name), case[name], case["name"])
        for name in ("bits", "index_bits", "stored", "first_level", "level_step"):
            assert getattr(packed, name) == case[name], case["name"]
        sparse = unpack_quantized(packed)
        np.testing.assert_array_equal(sparse.positions, case["positions"])
        np.testing.assert_array_equal(sparse.values.reshape(-1) * 4, case["values_times_4"])
