"""The drawing of graphs: nothing overlaps, edges lead down, long ones are straight."""

from __future__ import annotations

import random
import time
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.report.html.graph_layout import Layout, layered_layout
from alcs_onnx.report.html.graph_layout.ordering import crossings, order_rows
from alcs_onnx.report.html.graph_layout.ranks import Edge, assign_ranks
from alcs_onnx.report.html.graph_layout.rows import with_bends

Size = tuple[float, float]
_SIZE = (176.0, 56.0)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Size], list[Edge]]:
    """Any acyclic graph of up to 30 nodes, their numbers in any order."""
    count = draw(st.integers(0, 30))
    kinds = st.sampled_from([_SIZE, (40.0, 20.0), (300.0, 90.0)])
    sizes = draw(st.lists(kinds, min_size=count, max_size=count))
    numbers = draw(st.permutations(range(count)))
    pairs = st.tuples(st.integers(0, max(count - 1, 0)), st.integers(0, max(count - 1, 0)))
    drawn = draw(st.lists(pairs.filter(lambda p: p[0] != p[1]), max_size=60)) if count > 1 else []
    return sizes, [(numbers[min(pair)], numbers[max(pair)]) for pair in drawn]


def boxes(layout: Layout, sizes: list[Size]) -> list[tuple[float, float, float, float]]:
    return [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (x, y), (w, h) in zip(layout.centres, sizes, strict=True)
    ]


def assert_legal(layout: Layout, sizes: list[Size], edges: list[Edge]) -> None:
    places = boxes(layout, sizes)
    near = 0.2  # coordinates are rounded to tenths
    for left, top, right, bottom in places:
        assert left >= -near
        assert top >= -near
        assert right <= layout.width + near
        assert bottom <= layout.height + near
    in_order = sorted(places, key=lambda box: box[1])
    for index, a in enumerate(in_order):
        for b in in_order[index + 1 :]:
            if b[1] >= a[3]:
                break
            assert a[2] <= b[0] + near or b[2] <= a[0] + near, f"{a} and {b} overlap"
    assert len(layout.routes) == len(edges)
    for (source, target), route in zip(edges, layout.routes, strict=True):
        assert layout.ranks[target] > layout.ranks[source]
        assert route[0] == pytest.approx((layout.centres[source][0], places[source][3]), abs=near)
        assert route[-1] == pytest.approx((layout.centres[target][0], places[target][1]), abs=near)
        assert all(a[1] <= b[1] + near for a, b in pairwise(route)), "an edge leads up"


def assert_nothing_cut(layout: Layout, sizes: list[Size]) -> None:
    """No bend of an edge lies on a node."""
    places = boxes(layout, sizes)
    for route in layout.routes:
        for x, y in route[1:-1]:
            for left, top, right, bottom in places:
                assert not (left < x < right and top < y < bottom)


@given(graphs())
def test_any_graph(graph: tuple[list[Size], list[Edge]]) -> None:
    sizes, edges = graph
    layout = layered_layout(sizes, edges)
    assert_legal(layout, sizes, edges)
    assert_nothing_cut(layout, sizes)
    assert layered_layout(sizes, edges) == layout


@given(graphs())
def test_crossings_are_counted(graph: tuple[list[Size], list[Edge]]) -> None:
    sizes, edges = graph
    split = with_bends(assign_ranks(len(sizes), edges), list(dict.fromkeys(edges)))
    rows = order_rows(split)
    assert sorted(v for row in rows for v in row) == list(range(len(split.ranks)))
    place = {vertex: i for row in rows for i, vertex in enumerate(row)}
    links = [(v, w) for v in range(len(split.ranks)) for w in split.below[v]]
    counted = sum(
        (place[a] - place[c]) * (place[b] - place[d]) < 0
        for (a, b), (c, d) in combinations(links, 2)
        if split.ranks[a] == split.ranks[c]
    )
    assert crossings(rows, split.below) == counted


def test_empty_graph() -> None:
    assert layered_layout([], []) == Layout((), (), (), 0.0, 0.0)


def test_cycle() -> None:
    with pytest.raises(ValueError, match="cycle"):
        layered_layout([_SIZE] * 3, [(0, 1), (1, 2), (2, 0)])


def test_equal_edges_have_equal_routes() -> None:
    layout = layered_layout([_SIZE] * 2, [(0, 1), (0, 1)])
    assert layout.routes[0] == layout.routes[1]


def test_deep_chain_is_one_column() -> None:
    sizes, edges = [_SIZE] * 2000, [(i, i + 1) for i in range(1999)]
    layout = timed("chain", sizes, edges)
    assert layout.ranks == tuple(range(2000))
    assert len({x for x, _ in layout.centres}) == 1


def test_trees_and_ladders_do_not_cross() -> None:
    tree = [((i - 1) // 2, i) for i in range(1, 63)]
    ladder = [(i, i + 2) for i in range(60)] + [(i, i + 3) for i in range(0, 59, 2)]
    for count, edges in ((63, tree), (62, ladder)):
        split = with_bends(assign_ranks(count, edges), edges)
        assert crossings(order_rows(split), split.below) == 0


def test_long_edge_is_straight_and_beside_the_nodes() -> None:
    sizes, edges = [_SIZE] * 12, [(i, i + 1) for i in range(11)] + [(0, 11)]
    layout = layered_layout(sizes, edges)
    bends = layout.routes[-1][1:-1]
    assert len({x for x, _ in bends}) == 1
    assert_nothing_cut(layout, sizes)


def test_source_stands_above_its_reader() -> None:
    """What only feeds the end of a chain is not drawn at its beginning."""
    edges = [(i, i + 1) for i in range(9)] + [(10, 9)]
    assert layered_layout([_SIZE] * 11, edges).ranks[10] == 8


def test_separate_parts_share_the_page() -> None:
    sizes = [_SIZE] * 500
    layout = layered_layout(sizes, [])
    assert_legal(layout, sizes, [])
    assert 0.5 < layout.width / layout.height < 4


def test_network_of_a_thousand_nodes_stays_narrow() -> None:
    """Residual blocks with a branch each: two or three nodes side by side, one column each."""
    edges = []
    for i in range(0, 1000, 4):
        edges += [(i, i + 1), (i + 1, i + 2), (i, i + 3), (i + 2, i + 3), (i + 3, i + 4)]
    sizes = [_SIZE] * 1001
    layout = timed("residual", sizes, edges)
    assert_legal(layout, sizes, edges)
    assert layout.width < 3 * _SIZE[0]


def test_dense_random_graph(seed: int) -> None:
    """Far more long edges than rows have room for: some are drawn straight."""
    rng = random.Random(seed)
    edges = [(i, i + 1) for i in range(499)]
    edges += sorted({tuple(sorted(rng.sample(range(500), 2))) for _ in range(1500)})  # type: ignore[misc]
    sizes = [_SIZE] * 500
    assert_legal(timed("dense", sizes, edges), sizes, edges)


def timed(name: str, sizes: list[Size], edges: list[Edge]) -> Layout:
    start = time.perf_counter()
    layout = layered_layout(sizes, edges)
    print(f"{name}: {len(sizes)} nodes, {len(edges)} edges in {time.perf_counter() - start:.3f} s")
    return layout
