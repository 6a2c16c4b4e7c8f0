"""The SimdSparseConv weight contract: pack, unpack, validate, and the golden file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graph_helpers import golden_cases
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.sparse_format import (
    SparseWeights,
    block_count,
    find_simd_group,
    group_mask_to_weight_mask,
    largest_fitting,
    pack,
    unpack,
    validate,
)


@st.composite
def weights(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """A weight with zeros, its conv groups and a group size that need not divide anything."""
    group = draw(st.integers(1, 4))
    rows = draw(st.integers(1, 9))
    kernel = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    shape = (group * rows, draw(st.integers(1, 4)), *kernel)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = rng.standard_normal(shape).astype(np.float32)
    weight[rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))] = 0
    return weight, group, draw(st.sampled_from([1, 2, 3, 4, 8, 16]))


@given(weights())
def test_unpack_restores_what_pack_stored(case: tuple[np.ndarray, int, int]) -> None:
    weight, group, g = case
    sparse = pack(weight, group, g)
    validate(sparse)
    assert sparse.values.shape == (sparse.stored_groups, g)
    np.testing.assert_array_equal(unpack(sparse, weight.shape), weight)


@given(weights())
def test_values_sit_where_the_contract_says(case: tuple[np.ndarray, int, int]) -> None:
    """position = block*K + column; lane i of a block is its i-th row inside one conv group."""
    weight, group, g = case
    sparse = pack(weight, group, g)
    rows, k = weight.shape[0] // group, sparse.columns
    per_group = -(-rows // g)
    matrix = weight.reshape(weight.shape[0], k)
    for position, lanes in zip(sparse.positions.tolist(), sparse.values, strict=True):
        block, column = divmod(position, k)
        conv_group, inner = divmod(block, per_group)
        for lane, value in enumerate(lanes):
            row = inner * g + lane
            expected = matrix[conv_group * rows + row, column] if row < rows else 0
            assert value == expected


@given(weights(), st.integers(0, 2**32 - 1))
def test_keep_decides_exactly_what_is_stored(
    case: tuple[np.ndarray, int, int], mask_seed: int
) -> None:
    weight, group, g = case
    blocks = block_count(weight.shape[0], group, g)
    columns = int(np.prod(weight.shape[1:]))
    keep = np.random.default_rng(mask_seed).random((blocks, columns)) < 0.5
    sparse = pack(weight, group, g, keep)
    np.testing.assert_array_equal(sparse.positions, np.flatnonzero(keep))
    mask = group_mask_to_weight_mask(keep, weight.shape, group, g)
    np.testing.assert_array_equal(unpack(sparse, weight.shape), np.where(mask, weight, 0))


def valid() -> SparseWeights:
    weight = np.arange(1, 2 * 6 * 2 + 1, dtype=np.float32).reshape(6, 2, 2)
    return pack(weight, 2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.array([1, 0, 2], np.int32)}, "values have shape"),
        ({"simd_group": 4}, "values have shape"),
        ({"out_channels": 7}, "do not divide"),
        ({"group": 0}, "must be positive"),
        ({"columns": 2**31}, "too many positions"),
        ({"columns": 3}, "lies outside"),
    ],
)
def test_validate_names_the_broken_rule(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AlcsError, match=message):
        validate(replace(valid(), **change))


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([0, 1, 1], "strictly increasing"),
        ([2, 1, 3], "strictly increasing"),
        ([-1, 1, 3], "lies outside"),
        ([0, 1, 16], "lies outside"),
    ],
)
def test_validate_refuses_positions(positions: list[int], message: str) -> None:
    sparse = valid()
    broken = replace(
        sparse, positions=np.array(positions, np.int32), values=sparse.values[: len(positions)]
    )
    with pytest.raises(AlcsError, match=message):
        validate(broken)


def test_validate_refuses_positions_of_another_type() -> None:
    sparse = valid()
    with pytest.raises(AlcsError, match="int32"):
        validate(replace(sparse, positions=sparse.positions.astype(np.int64)))


def test_impossible_geometry_is_refused() -> None:
    weight = np.ones((6, 2, 3), np.float32)
    with pytest.raises(AlcsError, match="conv groups"):
        pack(weight, 4, 2)
    with pytest.raises(AlcsError, match="SIMD group"):
        pack(weight, 1, 0)
    with pytest.raises(AlcsError, match="keep mask has shape"):
        pack(weight, 1, 2, np.ones((3, 5), bool))
    with pytest.raises(AlcsError, match="keep mask has shape"):
        group_mask_to_weight_mask(np.ones((2, 6), bool), weight.shape, 1, 2)
    with pytest.raises(AlcsError, match="do not fit"):
        unpack(pack(weight, 1, 2), (6, 2, 4))


@pytest.mark.parametrize("made_with", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("density", [0.1, 0.3])
def test_group_size_is_found_from_the_zeros(
    made_with: int, density: float, rng: np.random.Generator
) -> None:
    weight = rng.standard_normal((64, 32, 3, 3)).astype(np.float32)
    keep = rng.random((64 // made_with, 32 * 9)) < density
    weight[~group_mask_to_weight_mask(keep, weight.shape, 1, made_with)] = 0
    assert find_simd_group(weight, 1) == made_with


def test_nearly_dense_unstructured_zeros_are_not_worth_small_groups(
    rng: np.random.Generator,
) -> None:
    weight = rng.standard_normal((64, 32, 3, 3)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.2] = 0
    assert find_simd_group(weight, 1) >= 8


def test_group_size_of_dense_and_small_layers(rng: np.random.Generator) -> None:
    assert find_simd_group(rng.standard_normal((64, 8, 1)).astype(np.float32), 1) == 16
    assert find_simd_group(rng.standard_normal((64, 1, 3)).astype(np.float32), 64) == 1
    assert find_simd_group(np.zeros((64, 8, 1), np.float32), 1) == 16
    # 9 rows: blocks of 8 would be nearly half padding.
    assert find_simd_group(rng.standard_normal((9, 8, 1)).astype(np.float32), 1) == 4


def test_largest_fitting() -> None:
    cases = {(64, 8): 8, (6, 8): 4, (1, 8): 1, (3, 4): 2, (12, 12): 12, (5, 12): 4}
    assert {case: largest_fitting(*case) for case in cases} == cases


def test_golden_file() -> None:
    """The bytes that the C++ test reads too mean the same here."""
    cases = golden_cases()
    assert len(cases) >= 5
    for case in cases:
        shape = tuple(case["weight_shape"])
        dense = np.array(case["dense"], np.float32).reshape(shape)
        sparse = SparseWeights(
            values=np.array(case["values"], np.float32).reshape(-1, case["simd_group"]),
            positions=np.array(case["positions"], np.int32),
            out_channels=shape[0],
            group=case["group"],
            columns=int(np.prod(shape[1:])),
            simd_group=case["simd_group"],
        )
        np.testing.assert_array_equal(unpack(sparse, shape), dense, err_msg=case["name"])
        if case["all_zero_groups_dropped"]:
            again = pack(dense, case["group"], case["simd_group"])
            np.testing.assert_array_equal(again.positions, sparse.positions)
            np.testing.assert_array_equal(again.values, sparse.values)
