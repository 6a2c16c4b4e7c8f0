"""Targets of how much is kept, and how a network's is shared out over its layers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.latency import Estimator
from alcs_onnx.solve import RULES, KeepTarget, kept_counts
from alcs_onnx.solve.counts import share_out
from alcs_onnx.types import LayerCurve


def energies(seed=0, **sizes):
    generator = np.random.default_rng(seed)
    return {name: generator.random(size) + 0.01 for name, size in sizes.items()}


@pytest.mark.parametrize(
    ("text", "layer", "value", "unit"),
    [
        ("2%", "", 2, "%"),
        ("50x", "", 50, "x"),
        ("4300", "", 4300, ""),
        ("conv1=12", "conv1", 12, ""),
        ("a=b/conv.1=0.5%", "a=b/conv.1", 0.5, "%"),
        (" c=30%time ", "c", 30, "%time"),
    ],
)
def test_targets_are_read(text, layer, value, unit):
    assert KeepTarget.parse(text) == KeepTarget(layer, value, unit)


@pytest.mark.parametrize("text", ["", "all", "0%", "-3", "101%", "0.5x", "30%time", "conv=", "5ms"])
def test_other_texts_are_refused(text):
    with pytest.raises(AlcsError):
        KeepTarget.parse(text)


def parse(*texts):
    return [KeepTarget.parse(text) for text in texts]


def test_layers_take_their_own_targets_and_the_rest_shares():
    found = energies(a=10, b=100, c=40)
    members = {"a": 4, "b": 1, "c": 2}
    counts = kept_counts(parse("a=3", "b=20%"), found, members)
    assert counts == {"a": 3, "b": 20, "c": 40}
    counts = kept_counts(parse("a=3", "10%"), found, members)
    assert counts["a"] == 3
    assert counts["b"] + 2 * counts["c"] == 18  # 10 % of 100 + 2 * 40 weights
    assert kept_counts(parse("a=0.1%"), found, members)["a"] == 1
    assert kept_counts(parse("a=99"), found, members)["a"] == 10


def test_a_share_of_run_time():
    curve = LayerCurve("a", (0, 50, 100), (1.0, 2.0, 5.0), 6.0)
    estimator = Estimator.from_curves(0.0, [curve])
    found = energies(a=100)
    assert kept_counts(parse("a=40%time"), found, {"a": 1}, estimator=estimator) == {"a": 50}
    with pytest.raises(AlcsError, match="needs a latency table"):
        kept_counts(parse("a=40%time"), found, {"a": 1})
    with pytest.raises(AlcsError, match="measured for other groups"):
        kept_counts(parse("a=40%time"), energies(a=10), {"a": 1}, estimator=estimator)


def test_contradictions_are_refused():
    found, members = energies(a=10), {"a": 1}
    for texts, message in [
        (("a=1", "a=2"), "two targets"),
        (("2%", "3%"), "two targets"),
        (("z=1",), "'z' is no layer"),
        (("a=1", "50%"), "none is left"),
    ]:
        with pytest.raises(AlcsError, match=message):
            kept_counts(parse(*texts), found, members)
    with pytest.raises(AlcsError, match="rule 'luck' is not known"):
        kept_counts(parse("50%"), found, members, rule="luck")


@pytest.mark.parametrize("seed", range(5))
def test_energy_is_the_projection_onto_a_number_of_weights(seed):
    """Brute force over all counts of three layers, each with at least one weight."""
    found = energies(seed, a=4, b=5, c=3)
    ordered = {name: -np.sort(-energy) for name, energy in found.items()}
    for weights in range(3, 13):
        counts = share_out(found, dict.fromkeys(found, 1), weights, "energy")
        kept = sum(ordered[name][:count].sum() for name, count in counts.items())
        best = max(
            sum(ordered[name][:n].sum() for name, n in zip(found, choice, strict=True))
            for choice in product(range(1, 5), range(1, 6), range(1, 4))
            if sum(choice) <= weights
        )
        assert kept == pytest.approx(best)
        assert sum(counts.values()) == weights


@given(
    st.sampled_from(sorted(RULES)),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 5),
    st.floats(0.05, 1),
)
def test_shares_fill_the_number_and_never_exceed_it(rule, sizes, member, share):
    found = energies(1, **{f"l{i}": size for i, size in enumerate(sizes)})
    members = {name: 1 + (i * member) % 5 for i, name in enumerate(found)}
    total = sum(found[name].size * members[name] for name in found)
    counts = share_out(found, members, share * total, rule)
    floor = sum(members.values())
    used = sum(counts[name] * members[name] for name in found)
    assert all(1 <= counts[name] <= found[name].size for name in found)
    assert used <= max(share * total, floor)
    assert used > share * total - max(members.values()) or used == floor


def test_uniform_keeps_the_same_share_of_every_layer():
    found = energies(0, a=100, b=1000, c=10)
    counts = share_out(found, {"a": 1, "b": 2, "c": 30}, 0.3 * 2400, "uniform")
    assert counts["a"] / 100 == pytest.approx(0.3, abs=0.02)
    assert counts["b"] / 1000 == pytest.approx(0.3, abs=0.02)
