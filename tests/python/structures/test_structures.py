"""Groups of weights, their scores and projections."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from conv_layers import conv, layers
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.importance import SCORES, scores
from alcs_onnx.importance.groups import l2
from alcs_onnx.sparse_format import pack
from alcs_onnx.structures import (
    RANKED,
    STRUCTURES,
    SimdStructure,
    get_structure,
    largest_groups,
    structure_sequence,
)


def weight_of(layer):
    return np.random.default_rng(0).standard_normal(layer.weight_shape).astype(np.float32)


def project(structure, weight, keep, layer):
    """The nearest weight that has only the kept groups."""
    return np.where(structure.weight_mask(keep, layer), weight, np.float32(0))


def test_the_papers_example():
    """Figure 3: groups of two adjacent filters at one place (ALCS section III-B)."""
    layer = conv(4, 3, kernel=(1, 1))
    weight = np.arange(12, dtype=np.float32).reshape(4, 3, 1, 1)
    grouped = SimdStructure(2).grouped(weight, layer)
    assert grouped.shape == (2, 3, 2)
    assert grouped[1, 2].tolist() == [8, 11]  # channels 2 and 3, column 2
    assert l2(grouped)[1, 2] == pytest.approx(np.hypot(8, 11))


@given(layers(), st.sampled_from([1, 2, 4, 8]), st.integers(0, 1000))
def test_projection_keeps_exactly_the_kept_groups(layer, simd_group, seed):
    structure, weight = SimdStructure(simd_group), weight_of(layer)
    keep = np.random.default_rng(seed).random(structure.mask_shape(layer)) < 0.5
    projected = project(structure, weight, keep, layer)
    mask = structure.weight_mask(keep, layer)
    assert projected.shape == weight.shape
    assert projected.dtype == np.float32
    assert (projected[mask] == weight[mask]).all()
    assert (projected[~mask] == 0).all()
    assert (project(structure, projected, keep, layer) == projected).all()
    assert (l2(structure.grouped(projected, layer))[~keep] == 0).all()


@given(layers(), st.sampled_from([1, 2, 4, 8]))
def test_the_scores_hold_the_energy_of_the_weight(layer, simd_group):
    structure, weight = SimdStructure(simd_group), weight_of(layer)
    [score] = scores({"conv": weight}, {"conv": layer}, structure).values()
    assert score.shape == structure.mask_shape(layer)
    assert np.square(score, dtype=float).sum() == pytest.approx(
        np.square(weight, dtype=float).sum(), rel=1e-5
    )


@given(layers(), st.sampled_from([1, 2, 4, 8]))
def test_the_sum_of_magnitudes(layer, simd_group):
    structure, weight = SimdStructure(simd_group), weight_of(layer)
    [score] = scores({"conv": weight}, {"conv": layer}, structure, "l1").values()
    assert score.shape == structure.mask_shape(layer)
    assert score.dtype == np.float32
    assert score.sum(dtype=float) == pytest.approx(np.abs(weight).sum(dtype=float), rel=1e-5)


@given(layers(), st.sampled_from(sorted(SCORES)), st.sampled_from(sorted(STRUCTURES)))
def test_every_score_is_what_solvers_take(layer, score, name):
    structure, weight = get_structure(name, 4), weight_of(layer)
    [found] = scores({"conv": weight}, {"conv": layer}, structure, score).values()
    assert found.shape == structure.mask_shape(layer)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    [larger] = scores({"conv": 2 * weight}, {"conv": layer}, structure, score).values()
    assert (larger >= found).all()


def test_the_projection_is_the_nearest_point():
    layer, structure = conv(4, 2, kernel=(1, 1)), SimdStructure(2)
    weight = weight_of(layer)
    keep = np.array([[True, False], [False, True]])
    best = np.square(project(structure, weight, keep, layer) - weight).sum()
    generator = np.random.default_rng(1)
    for _ in range(200):
        other = generator.standard_normal(weight.shape) * structure.weight_mask(keep, layer)
        assert np.square(other - weight).sum() >= best - 1e-6


ALL = [get_structure(name, 2) for name in RANKED]
SMALL = [conv(4, 3, kernel=(1, 1)), conv(2, 2, kernel=(2,)), conv(4, 4, 2, kernel=(1, 2))]


@pytest.mark.parametrize("layer", SMALL, ids=["1x1", "1d", "grouped"])
@pytest.mark.parametrize("structure", ALL, ids=list(RANKED))
def test_the_projection_onto_a_count_is_the_best_of_all_masks(structure, layer):
    """Brute force over every mask with at most that many groups; and idempotent."""
    weight = weight_of(layer)
    shape = structure.mask_shape(layer)
    groups = int(np.prod(shape))
    for count in range(groups + 1):
        keep = largest_groups(structure, weight, layer, count)
        found = project(structure, weight, keep, layer)
        assert int(keep.sum()) == count
        best = min(
            np.square(
                weight - np.where(structure.weight_mask(mask, layer), weight, 0), dtype=float
            ).sum()
            for chosen in combinations(range(groups), count)
            for mask in [np.isin(np.arange(groups), chosen).reshape(shape)]
        )
        assert np.square(weight - found, dtype=float).sum() == pytest.approx(best, abs=1e-9)
        again = largest_groups(structure, found, layer, count)
        assert (project(structure, found, again, layer) == found).all()


@given(layers(), st.sampled_from(sorted(STRUCTURES)), st.integers(0, 1000))
def test_masks_group_the_weights_as_they_are_viewed(layer, name, seed):
    """A mask spreads to exactly the members of its groups, and storage holds no other weight."""
    structure = get_structure(name, 4)
    keep = np.random.default_rng(seed).random(structure.mask_shape(layer)) < 0.5
    mask = structure.weight_mask(keep, layer)
    again = structure.group_mask(mask, layer)
    assert again.dtype == np.bool_
    assert (again == keep).all()
    stored = pack(mask.astype(np.float32), layer.group, structure.storage_group(layer))
    if layer.rows_per_group % structure.storage_group(layer) == 0:
        assert stored.values.all()


def test_what_the_axes_mean():
    weight = np.zeros((4, 3, 2, 2), np.float32)
    weight[1] = 1
    layer = conv(4, 3, kernel=(2, 2))
    expected = {"simd": 12, "unstructured": 12, "filter": 1, "channel": 3, "shape": 12}
    count = {name: get_structure(name, 2).grouped(weight, layer).any(-1).sum() for name in expected}
    assert count == expected


@pytest.mark.parametrize("name", STRUCTURES)
def test_what_structures_say_of_themselves(name):
    structure, layer = get_structure(name, 8), conv(16, 4, group=2)
    resized = structure.sized(2).mask_shape(layer) != structure.mask_shape(layer)
    assert resized == structure.has_group_size
    keep = np.ones(structure.mask_shape(layer), np.bool_)
    keep.reshape(-1)[0] = False
    [first, *rest] = structure.weight_mask(keep, layer)
    assert structure.removes_filters == (not first.any() and all(row.all() for row in rest))
    if structure.removes_filters:
        assert keep.shape == (2, 8)


def test_combinations_are_sequences():
    assert [s.name for s in structure_sequence("shape+filter", 4)] == ["shape", "filter"]
    with pytest.raises(AlcsError, match="twice"):
        structure_sequence("shape+shape", 4)
    with pytest.raises(AlcsError, match="structure 'column' is not known"):
        structure_sequence("shape+column", 4)
    with pytest.raises(AlcsError, match="-1 groups cannot be kept"):
        largest_groups(SimdStructure(2), weight_of(SMALL[0]), SMALL[0], -1)


def test_small_and_depthwise_layers_have_smaller_groups():
    structure = SimdStructure(8)
    assert structure.members(conv(16, 16, 16)) == 1
    assert structure.mask_shape(conv(16, 16, 16)) == (16, 9)
    assert structure.members(conv(6, 4)) == 4
    assert structure.mask_shape(conv(6, 4)) == (2, 36)


def test_unknown_names_and_sizes_are_refused():
    assert get_structure("simd", 4).mask_shape(conv(8, 4)) == (2, 36)
    with pytest.raises(AlcsError, match="structure 'knit' is not known: use block, channel"):
        get_structure("knit", 4)
    with pytest.raises(AlcsError, match="0 weights is not possible"):
        get_structure("simd", 0)
    with pytest.raises(AlcsError, match="score 'beauty' is not known: use l1, l2"):
        scores({}, {}, SimdStructure(4), "beauty")
    with pytest.raises(AlcsError, match="keep mask has shape"):
        SimdStructure(4).weight_mask(np.ones((1, 1), bool), conv(8, 4))


def runs_of_four(mask, layer):
    """The kept weights in every run of four input channels; what is missing counts as kept not."""
    along = np.moveaxis(mask.reshape(layer.out_channels, -1, *layer.kernel_shape), 1, -1)
    along = np.pad(along, [(0, 0)] * (along.ndim - 1) + [(0, -along.shape[-1] % 4)])
    return along.reshape(*along.shape[:-1], -1, 4)


@pytest.mark.parametrize("layer", [conv(3, 8), conv(4, 6), conv(4, 16, 2, kernel=(3,))])
@pytest.mark.parametrize(("share", "n"), [(0, 0), (0.01, 1), (0.25, 1), (0.5, 2), (0.7, 3), (1, 4)])
def test_a_pattern_keeps_the_largest_of_every_run(layer, share, n):
    structure, weight = get_structure("n:4", 4), weight_of(layer)
    groups = int(np.prod(structure.mask_shape(layer)))
    keep = largest_groups(structure, weight, layer, int(np.ceil(share * groups)))
    mask = structure.weight_mask(keep, layer)
    kept, there = (runs_of_four(m, layer) for m in (mask, np.ones(layer.weight_shape, bool)))
    assert (kept.sum(-1) == np.minimum(n, there.sum(-1))).all()
    sizes = runs_of_four(np.abs(weight), layer)
    least = np.where(kept, sizes, np.inf).min(-1)
    assert (np.where(kept, 0, sizes).max(-1) <= least).all()
    again = largest_groups(structure, weight * mask, layer, int(np.ceil(share * groups)))
    assert (again == keep).all() or layer.in_channels // layer.group % 4


def test_a_pattern_is_not_joined_with_others():
    with pytest.raises(AlcsError, match="n:4 cannot be joined with others"):
        structure_sequence("filter+n:4", 4)
