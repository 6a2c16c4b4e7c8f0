"""Importance of channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.importance import CHANNEL_SCORES, channel_scores
from alcs_onnx.types import ChannelGroup, ChannelSlot


def slot(tensor, axis, role, indices):
    indices = np.asarray(indices)
    return ChannelSlot(tensor, axis, role, "node", indices.reshape(len(indices), -1))


def group(channels, *slots):
    return ChannelGroup("g", channels, slots)


def paper(energy):
    """score(u) = e_u / (sum of e_v over v >= u), in ascending order, term by term (eq. 2)."""
    order = sorted(range(len(energy)), key=lambda u: energy[u])
    return {
        u: energy[u] / sum(energy[v] for v in order[position:]) for position, u in enumerate(order)
    }


@pytest.fixture
def chain(rng):
    """Two convolutions with 6 channels between them."""
    weights = {
        "w1": rng.standard_normal((6, 3, 3, 3)).astype(np.float32),
        "b1": rng.standard_normal(6).astype(np.float32),
        "w2": rng.standard_normal((4, 6, 3, 3)).astype(np.float32),
    }
    every = np.arange(6)
    return weights, group(
        6, slot("w1", 0, "out", every), slot("b1", 0, "vector", every), slot("w2", 1, "in", every)
    )


def test_sp_lamp_is_equation_2(chain):
    weights, channels = chain
    energy = [
        float(np.square(weights["w1"][u].astype(float)).sum())
        * float(np.square(weights["w2"][:, u].astype(float)).sum())
        for u in range(6)
    ]
    expected = paper(energy)
    scores = channel_scores(weights, channels)
    assert scores.dtype == np.float32
    assert scores == pytest.approx([expected[u] for u in range(6)])
    assert scores[int(np.argmax(energy))] == 1.0
    assert np.count_nonzero(scores == 1.0) == 1


def test_the_last_layer_is_equation_3_and_lamp_always_is(chain):
    weights, channels = chain
    energy = np.square(weights["w1"], dtype=float).sum(axis=(1, 2, 3))
    expected = list(dict(sorted(paper(energy).items())).values())
    last = group(6, channels.slots[0])
    assert channel_scores(weights, last) == pytest.approx(expected)
    assert channel_scores(weights, channels, "lamp") == pytest.approx(expected)


def test_without_a_producer_the_consumers_count(chain):
    weights, channels = chain
    energy = np.square(weights["w2"], dtype=float).sum(axis=(0, 2, 3))
    read = group(6, channels.slots[2])
    expected = [paper(energy)[u] for u in range(6)]
    for score in ("sp-lamp", "lamp"):
        assert channel_scores(weights, read, score) == pytest.approx(expected)


def test_producers_and_consumers_add_up(rng):
    """A residual group: two layers write the channels, two read them."""
    weights = {n: rng.standard_normal((4, 4)).astype(np.float32) for n in ("a", "b", "c", "d")}
    every = np.arange(4)
    residual = group(
        4,
        slot("a", 0, "out", every),
        slot("b", 0, "out", every),
        slot("c", 1, "in", every),
        slot("d", -1, "in", every),
    )
    squares = {name: np.square(array, dtype=float) for name, array in weights.items()}
    energy = (squares["a"].sum(1) + squares["b"].sum(1)) * (squares["c"] + squares["d"]).sum(0)
    expected = paper(energy)
    assert channel_scores(weights, residual) == pytest.approx([expected[u] for u in range(4)])


def test_a_depthwise_weight_multiplies_whatever_its_width(rng):
    every = np.arange(5)
    weights = {
        "w": rng.standard_normal((5, 3, 1, 1)).astype(np.float32),
        "dw": np.repeat(rng.standard_normal((5, 1, 1, 1)), 25).reshape(5, 1, 5, 5),
        "next": rng.standard_normal((2, 5, 1, 1)).astype(np.float32),
    }
    weights["narrow"] = weights["dw"][:, :, :1, :1]
    slots = [slot("w", 0, "out", every), slot("next", 1, "in", every)]
    energy = (
        np.square(weights["w"], dtype=float).sum((1, 2, 3))
        * np.square(weights["next"], dtype=float).sum((0, 2, 3))
        * np.square(weights["narrow"]).ravel()
    )
    expected = [paper(energy)[u] for u in range(5)]
    for name in ("dw", "narrow"):
        scores = channel_scores(weights, group(5, *slots, slot(name, 0, "scale", every)))
        assert scores == pytest.approx(expected)


def test_slices_of_a_concatenation_and_of_a_flattened_layer(rng):
    """Channel c of 3 is at 4 + c of one reader and at 2c, 2c + 1 of another."""
    weights = {
        "w": rng.standard_normal((3, 2)).astype(np.float32),
        "cat": rng.standard_normal((5, 9, 1, 1)).astype(np.float32),
        "fc": rng.standard_normal((6, 10)).astype(np.float32),
    }
    parts = group(
        3,
        slot("w", 0, "out", [0, 1, 2]),
        slot("cat", 1, "in", [4, 5, 6]),
        slot("fc", 0, "in", [[0, 1], [2, 3], [4, 5]]),
    )
    energy = [
        np.square(weights["w"][c], dtype=float).sum()
        * (
            np.square(weights["cat"][:, 4 + c], dtype=float).sum()
            + np.square(weights["fc"][2 * c : 2 * c + 2], dtype=float).sum()
        )
        for c in range(3)
    ]
    assert channel_scores(weights, parts) == pytest.approx([paper(energy)[c] for c in range(3)])


def test_magnitudes_are_relative_to_their_group(chain):
    weights, channels = chain
    for score, norm in (("l1", 1), ("l2", 2)):
        expected = np.linalg.norm(weights["w1"].reshape(6, -1).astype(float), norm, axis=1)
        scores = channel_scores(weights, channels, score)
        assert scores == pytest.approx(expected / expected.mean())
        louder = {**weights, "w1": weights["w1"] * 1000}
        assert channel_scores(louder, channels, score) == pytest.approx(scores)


def test_taylor_is_the_square_of_the_change_of_the_loss(chain, rng):
    weights, channels = chain
    gradients = {"w1": rng.standard_normal((6, 3, 3, 3)).astype(np.float32)}
    expected = np.square((weights["w1"].astype(float) * gradients["w1"]).sum((1, 2, 3)))
    assert channel_scores(weights, channels, "taylor", gradients) == pytest.approx(
        expected, rel=1e-4
    )
    with pytest.raises(AlcsError, match="'taylor' needs gradients of the loss: give labelled"):
        channel_scores(weights, channels, "taylor")
    with pytest.raises(AlcsError, match="the gradients of 'w1' are missing"):
        channel_scores(weights, channels, "taylor", {})


def test_uniform_ranks_by_l2_and_spreads_evenly(chain):
    weights, channels = chain
    scores = channel_scores(weights, channels, "uniform")
    assert sorted(scores) == pytest.approx(np.arange(1, 7) / 6)
    assert list(np.argsort(scores)) == list(np.argsort(channel_scores(weights, channels, "l2")))


@pytest.mark.parametrize("score", ["sp-lamp", "lamp"])
def test_of_equal_channels_the_first_is_the_larger(score):
    weights = {"w": np.array([[1.0], [2.0], [1.0], [2.0]])}
    scores = channel_scores(weights, group(4, slot("w", 0, "out", range(4))), score)
    assert scores == pytest.approx([1 / 9, 1.0, 1 / 10, 4 / 8])  # energies 1 4 1 4
    assert channel_scores(
        weights, group(4, slot("w", 0, "out", range(4))), "uniform"
    ) == pytest.approx([0.5, 1.0, 0.25, 0.75])


@pytest.mark.parametrize("score", ["sp-lamp", "lamp"])
def test_a_group_of_zeros_has_one_channel_to_keep(score):
    weights = {"w": np.zeros((3, 2), np.float32), "v": np.ones((2, 3), np.float32)}
    both = group(3, slot("w", 0, "out", range(3)), slot("v", 1, "in", range(3)))
    assert list(channel_scores(weights, both, score)) == [1.0, 0.0, 0.0]
    assert list(channel_scores(weights, both, "l2")) == [0.0, 0.0, 0.0]
    assert channel_scores(weights, group(1, slot("w", 0, "out", [0])), score) == [1.0]


@given(st.lists(st.sampled_from([0.0, 1e-18, 1e-3, 0.5, 1.0, 7.0, 1e18]), min_size=1, max_size=40))
def test_scores_rise_with_the_energy_and_lie_in_0_to_1(values):
    weights = {"w": np.array(values, np.float32)[:, None], "v": np.array(values, np.float32)}
    slots = (slot("w", 0, "out", range(len(values))), slot("v", 0, "in", range(len(values))))
    scores = channel_scores(weights, group(len(values), *slots))
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[int(np.argmax(values))] == 1.0
    order = np.argsort(values, kind="stable")
    assert (np.diff(scores[order][np.append(np.diff(np.sort(values)) > 0, True)]) >= 0).all()


def test_products_of_many_factors_stay_in_range(rng):
    weights = {f"s{i}": rng.uniform(1e-15, 2e-15, 8).astype(np.float32) for i in range(30)}
    weights["w"] = rng.standard_normal((8, 2)).astype(np.float32) * np.float32(1e15)
    slots = [slot(f"s{i}", 0, "scale", range(8)) for i in range(30)]
    scores = channel_scores(weights, group(8, slot("w", 0, "out", range(8)), *slots))
    assert np.count_nonzero(scores) == 8
    assert scores.max() == 1.0


def test_bad_input_is_named(chain):
    weights, channels = chain
    with pytest.raises(AlcsError, match="score 'magic' is not known: use l1, l2, lamp"):
        channel_scores(weights, channels, "magic")
    with pytest.raises(AlcsError, match="group 'g': the weights of 'w2' are missing"):
        channel_scores({"w1": weights["w1"]}, channels)
    for score in sorted(set(CHANNEL_SCORES) - {"taylor"}):
        broken = {**weights, "w1": np.full((6, 3), np.nan)}
        with pytest.raises(AlcsError, match="the weights of 'w1' are not finite"):
            channel_scores(broken, channels, score)
