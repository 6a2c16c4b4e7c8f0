"""The nodes that are int8, as a minimum cut: against every choice there is."""

from __future__ import annotations

import itertools
from math import inf, isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError
from alcs_onnx.latency import NodeCost, PrecisionCosts, TensorCost
from alcs_onnx.solve import candidates, frontier, int8_regions, spend

#: Times of the tests are whole microseconds.
US = 1e-3


def every_choice(costs):
    names = [node.name for node in costs.nodes]
    for size in range(len(names) + 1):
        yield from map(frozenset, itertools.combinations(names, size))


def chain(*nodes, quantize=1.0, dequantize=1.0):
    """Nodes of (float, int8) one after the other, from an input of the graph to its output."""
    names = [f"n{i}" for i in range(len(nodes))]
    ends = ["", *names]
    tensors = tuple(
        TensorCost(f"t{i}", ends[i], tuple(names[i : i + 1]), i == len(names), quantize, dequantize)
        for i in range(len(ends))
    )
    return PrecisionCosts(tuple(map(lambda n, x: NodeCost(n, *x), names, nodes)), tensors)


@st.composite
def small_problems(draw):
    """Random graphs of up to 7 nodes: branches, tensors without readers, ties, impossible kinds."""
    times = st.one_of(st.none(), st.integers(0, 20).map(lambda n: n * US))
    prices = st.one_of(st.just(inf), st.integers(0, 12).map(lambda n: n * US))
    names = [f"n{i}" for i in range(draw(st.integers(1, 7)))]
    nodes = []
    for name in names:
        float_ms = draw(st.integers(0, 20)) * US if draw(st.integers(0, 9)) else None
        int8_ms = draw(times) if float_ms is not None else draw(st.integers(0, 20)) * US
        nodes.append(NodeCost(name, float_ms, int8_ms))
    tensors = []
    for index, producer in enumerate(["", *names, *names]):
        later = names[(index - 1) % len(names) + 1 :] if producer else names
        readers = draw(st.lists(st.sampled_from(later), unique=True)) if later else []
        output = draw(st.booleans())
        tensors.append(
            TensorCost(f"t{index}", producer, tuple(readers), output, draw(prices), draw(prices))
        )
    forced = {node.name for node in nodes if node.float_ms is None}
    losses = {name: 0 if name in forced else draw(st.integers(0, 5)) / 4 for name in names}
    return PrecisionCosts(tuple(nodes), tuple(tensors)), losses


def total(costs, losses, price, int8):
    return costs.latency(int8) + price * sum(losses[name] for name in int8)


@settings(max_examples=300)
@given(small_problems(), st.sampled_from([0.0, US, 10 * US]))
def test_the_cut_is_the_best_of_all_choices(problem, price):
    costs, losses = problem
    best = min(total(costs, losses, price, int8) for int8 in every_choice(costs))
    if not isfinite(best):
        with pytest.raises(AlcsError, match="no choice of float32 and int8"):
            int8_regions(costs, losses, price)
        return
    found = int8_regions(costs, losses, price)
    assert total(costs, losses, price, found) == pytest.approx(best, abs=1e-5 * US)
    equal = [
        int8
        for int8 in every_choice(costs)
        if total(costs, losses, price, int8) == pytest.approx(best, abs=1e-5 * US)
    ]
    assert all(found <= int8 for int8 in equal)


@settings(max_examples=200)
@given(small_problems())
def test_a_frontier_is_the_lower_convex_hull(problem):
    costs, losses = problem
    choices = {int8: costs.latency(int8) for int8 in every_choice(costs)}
    safe = [ms for int8, ms in choices.items() if not any(losses[name] for name in int8)]
    if not isfinite(min(safe)):
        with pytest.raises(AlcsError, match="no choice of float32 and int8"):
            frontier(costs, losses)
        return
    corners = frontier(costs, losses, most=50)
    for corner in corners:
        assert corner.latency_ms == pytest.approx(choices[corner.int8])
        assert corner.loss == pytest.approx(sum(losses[name] for name in corner.int8))
    assert corners[0].latency_ms == pytest.approx(min(choices.values()))
    assert corners[-1].loss == 0
    for left, right in itertools.pairwise(corners):
        assert right.int8 <= left.int8
        assert right.loss < left.loss
        price = (right.latency_ms - left.latency_ms) / (left.loss - right.loss)
        least = min(total(costs, losses, price, int8) for int8 in choices)
        assert left.latency_ms + price * left.loss == pytest.approx(least, abs=1e-4 * US)


def test_one_fast_node_is_not_worth_its_edges():
    slow, fast = (1.0, 5.0), (3.0, 2.0)
    assert int8_regions(chain(slow, fast, slow)) == frozenset()
    assert int8_regions(chain(slow, fast, fast, fast, slow)) == {"n1", "n2", "n3"}
    assert int8_regions(chain(slow, fast, slow, quantize=0.25, dequantize=0.25)) == {"n1"}


def test_a_slow_node_between_fast_ones_is_taken_along():
    fast, slow = (9.0, 1.0), (1.0, 2.5)
    assert int8_regions(chain(fast, slow, fast)) == {"n0", "n1", "n2"}
    assert int8_regions(chain(fast, (1.0, 4.0), fast)) == {"n0", "n2"}
    assert int8_regions(chain(fast, (1.0, None), fast)) == {"n0", "n2"}


def test_a_tensor_is_quantized_once_for_all_its_readers():
    nodes = (NodeCost("p", 1, None), *(NodeCost(f"r{i}", 2, 1) for i in range(3)))
    readers = ("r0", "r1", "r2")
    tensors = [TensorCost("t", "p", readers, False, 2.5, 1)]
    assert int8_regions(PrecisionCosts(nodes, tuple(tensors))) == set(readers)
    tensors = [TensorCost("t", "p", readers, False, 3.5, 1)]
    assert int8_regions(PrecisionCosts(nodes, tuple(tensors))) == frozenset()


def test_infinite_prices_keep_nodes_together():
    nodes = (NodeCost("conv", 5, 1), NodeCost("relu", 0, 0), NodeCost("odd", 1, None))
    tie = TensorCost("c", "conv", ("relu",), False, inf, inf)
    free = TensorCost("r", "relu", ("odd",), False, 1, 1)
    assert int8_regions(PrecisionCosts(nodes, (tie, free))) == {"conv", "relu"}
    tied = TensorCost("r", "relu", ("odd",), False, inf, inf)
    assert int8_regions(PrecisionCosts(nodes, (tie, tied))) == frozenset()


def test_a_few_corners_are_those_that_matter_most():
    costs = chain(*[(4.0, 1.0), (6.0, 1.0), (9.0, 1.0)], quantize=0.0, dequantize=0.0)
    losses = {"n0": 1.0, "n1": 1.0, "n2": 1.0}
    assert [c.int8 for c in frontier(costs, losses)] == [
        {"n0", "n1", "n2"}, {"n1", "n2"}, {"n2"}, frozenset()
    ]  # fmt: skip
    assert len(frontier(costs, losses, most=3)) == 3
    assert [c.int8 for c in frontier(costs, {})] == [{"n0", "n1", "n2"}]


def test_a_model_that_takes_seconds_is_cut_as_well():
    costs = chain((4000.0, 100.0), (100.0, 9000.0), (4000.0, 100.0), quantize=5.0, dequantize=5.0)
    assert int8_regions(costs) == {"n0", "n2"}


def test_candidates_are_few_and_different():
    costs = chain((1.0, 4.0), (9.0, 6.5), (1.0, None), (9.0, 1.0), (1.0, 2.0))
    found = candidates(costs)
    assert [set(int8) for int8 in found] == [set(), {"n0", "n1", "n3", "n4"}, {"n1", "n3"}, {"n3"}]
    assert candidates(chain((1.0, None))) == (frozenset(),)
    assert candidates(chain((5.0, 1.0))) == (frozenset(), frozenset(["n0"]))


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_what_is_no_time_is_refused(bad):
    with pytest.raises(AlcsError, match="is no time"):
        int8_regions(chain((bad, 1.0)))
    with pytest.raises(AlcsError, match="is no time"):
        int8_regions(chain((1.0, 1.0), quantize=bad))
    with pytest.raises(AlcsError, match="neither in float32 nor in int8"):
        NodeCost("n", None, None)
    with pytest.raises(AlcsError, match="without costs"):
        PrecisionCosts((), (TensorCost("t", "n", (), True, 1, 1),))
    with pytest.raises(AlcsError, match="two ends"):
        frontier(chain((1.0, 1.0)), {}, most=1)


@given(small_problems(), st.integers(0, 60))
@settings(max_examples=150)
def test_room_is_spent_on_loss(problem, room):
    costs, losses = problem
    try:
        fastest = int8_regions(costs)
    except AlcsError:
        return
    limit = costs.latency(fastest) + room * US
    spent = spend(costs, losses, fastest, limit)
    assert spent.int8 <= fastest
    assert spent.latency_ms == pytest.approx(costs.latency(spent.int8))
    assert spent.latency_ms <= limit + 1e-9
    assert spent.loss <= sum(losses[name] for name in fastest)
    # No single node more, with what has to be float32 beside it, would fit.
    for name in spent.int8:
        if losses[name] > 0:
            try:
                less = int8_regions(costs.only(spent.int8 - {name}))
            except AlcsError:
                continue
            better = sum(losses[n] for n in less) < spent.loss
            assert not better or costs.latency(less) > limit


def test_what_takes_most_loss_for_its_time_comes_first():
    costs = chain((9, 1), (9, 1), (9, 1), quantize=0.0, dequantize=0.0)
    losses = {"n0": 1.0, "n1": 4.0, "n2": 2.0}
    everything = frozenset(losses)
    assert spend(costs, losses, everything, 3).int8 == everything
    assert spend(costs, losses, everything, 11).int8 == {"n0", "n2"}
    assert spend(costs, losses, everything, 19).int8 == {"n0"}
    assert spend(costs, losses, everything, 27).int8 == frozenset()
