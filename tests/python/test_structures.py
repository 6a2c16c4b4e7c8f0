"""Groups of weights, their scores and projections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.importance import l2, scores
from alcs_onnx.structures import SimdStructure, get_structure
from alcs_onnx.types import ConvLayer


def conv(out_channels=6, in_channels=4, group=1, kernel=(3, 3)):
    sizes = (1, in_channels, *(8 for _ in kernel)), (1, out_channels, *(8 for _ in kernel))
    ones, zeros = tuple(1 for _ in kernel), tuple(0 for _ in kernel * 2)
    return ConvLayer(
        "conv", "w", None, out_channels, in_channels, group, kernel, ones, zeros, ones, *sizes
    )


@st.composite
def layers(draw):
    group = draw(st.integers(1, 3))
    return conv(
        group * draw(st.integers(1, 9)),
        group * draw(st.integers(1, 3)),
        group,
        draw(st.sampled_from([(1,), (3,), (1, 1), (2, 3)])),
    )


def weight_of(layer):
    return np.random.default_rng(0).standard_normal(layer.weight_shape).astype(np.float32)


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
    projected = structure.project(weight, keep, layer)
    mask = structure.weight_mask(keep, layer)
    assert projected.shape == weight.shape
    assert projected.dtype == np.float32
    assert (projected[mask] == weight[mask]).all()
    assert (projected[~mask] == 0).all()
    assert (structure.project(projected, keep, layer) == projected).all()
    assert (l2(structure.grouped(projected, layer))[~keep] == 0).all()


@given(layers(), st.sampled_from([1, 2, 4, 8]))
def test_the_scores_hold_the_energy_of_the_weight(layer, simd_group):
    structure, weight = SimdStructure(simd_group), weight_of(layer)
    [score] = scores({"conv": weight}, {"conv": layer}, structure).values()
    assert score.shape == structure.mask_shape(layer)
    assert np.square(score, dtype=float).sum() == pytest.approx(
        np.square(weight, dtype=float).sum(), rel=1e-5
    )


def test_the_projection_is_the_nearest_point():
    layer, structure = conv(4, 2, kernel=(1, 1)), SimdStructure(2)
    weight = weight_of(layer)
    keep = np.array([[True, False], [False, True]])
    best = np.square(structure.project(weight, keep, layer) - weight).sum()
    generator = np.random.default_rng(1)
    for _ in range(200):
        other = generator.standard_normal(weight.shape) * structure.weight_mask(keep, layer)
        assert np.square(other - weight).sum() >= best - 1e-6


def test_small_and_depthwise_layers_have_smaller_groups():
    structure = SimdStructure(8)
    assert structure.members(conv(16, 16, 16)) == 1
    assert structure.mask_shape(conv(16, 16, 16)) == (16, 9)
    assert structure.members(conv(6, 4)) == 4
    assert structure.mask_shape(conv(6, 4)) == (2, 36)


def test_unknown_names_and_sizes_are_refused():
    assert get_structure("simd", 4).mask_shape(conv(8, 4)) == (2, 36)
    with pytest.raises(AlcsError, match="structure 'knit' is not known: use simd"):
        get_structure("knit", 4)
    with pytest.raises(AlcsError, match="0 weights is not possible"):
        get_structure("simd", 0)
    with pytest.raises(AlcsError, match="score 'beauty' is not known: use l2"):
        scores({}, {}, SimdStructure(4), "beauty")
    with pytest.raises(AlcsError, match="keep mask has shape"):
        SimdStructure(4).project(
            np.zeros((8, 4, 3, 3), np.float32), np.ones((1, 1), bool), conv(8, 4)
        )
