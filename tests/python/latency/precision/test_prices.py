"""Prices of conversions by the number of elements."""

from __future__ import annotations

import pytest

from alcs_onnx.latency.precision.prices import fitted


def test_a_line_is_found_again():
    price = fitted([(n, 0.004 + 3e-7 * n) for n in (10, 1_000, 50_000, 2_000_000)], 0.001)
    for elements in (1, 30_000, 1_000_000):
        assert price(elements) == pytest.approx(0.004 + 3e-7 * elements)


def test_small_tensors_count_as_much_as_large_ones():
    price = fitted([(100, 0.01), (100, 0.02), (1_000_000, 1.0)], 0.0)
    assert 0.01 < price(100) < 0.02
    assert price(1_000_000) == pytest.approx(1.0, rel=0.1)


def test_nothing_is_cheaper_than_the_cheapest_node_or_negative():
    assert fitted([(10_000, 1.0)], 0.25)(5_000) == 0.5
    assert fitted([(10_000, 1.0)], 0.25)(100) == 0.25
    falling = fitted([(1_000, 1.0), (2_000, 0.5)], 0.25)
    assert falling.base_ms > 0
    assert falling.ms_per_element == 0
    assert fitted([], 0.25)(10**9) == 0.25
    assert fitted([(0, 1.0), (10, 0.0)], 0.25)(10) == 0.25


def test_small_tensors_alone_say_what_starting_takes_and_not_what_elements_do():
    """The scores of a classifier take 2 us: 400 times as many values do not take 800 us."""
    price = fitted([(1_000, 0.002)], 0.0001)
    assert price(1_000) == pytest.approx(0.002)
    assert 0.002 < price(400_000) < 0.5
    several = fitted([(10, 0.002), (1_000, 0.0022), (64, 0.002)], 0.0001)
    assert several(64) == pytest.approx(0.002, rel=0.1)
    assert several(400_000) < 0.5
