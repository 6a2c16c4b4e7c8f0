"""Masks that do not fit, and analyses that are used again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coupling_helpers import assert_close, feeds, run, start

from alcs_onnx import coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.rewrite import masked, shrink


@pytest.fixture
def two_layers(tmp_path: Path) -> Model:
    b, x = start()
    return b.load(tmp_path, b.head(b.conv("b", b.relu(x), 8, 6), 6))


def mask(count: int, *gone: int) -> np.ndarray:
    kept = np.ones(count, bool)
    kept[list(gone)] = False
    return kept


@pytest.mark.parametrize("change", [shrink, masked])
@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"a": np.zeros(8, bool)}, "'a'"),
        ({"a": mask(7, 0)}, "'a'"),
        ({"nowhere": mask(8, 0)}, "'nowhere'"),
        ({"head": mask(5, 0)}, "output"),
    ],
    ids=["nothing left", "wrong length", "unknown group", "frozen group"],
)
def test_masks_that_do_not_fit(
    two_layers: Model, change: Callable[..., Model], keep: dict[str, np.ndarray], words: str
) -> None:
    analysed = coupling.analyse(two_layers)
    with pytest.raises(AlcsError, match=words) as caught:
        change(two_layers, analysed, keep)
    assert "\n" not in str(caught.value)


def test_coupling_of_another_model(two_layers: Model, tmp_path: Path) -> None:
    analysed = coupling.analyse(two_layers)
    b, x = start()
    other = b.load(tmp_path, b.head(b.conv("b", x, 8, 6), 6))
    for change in (shrink, masked):
        with pytest.raises(AlcsError, match="another model"):
            change(other, analysed, {"a": mask(8, 0)})


def test_coupling_outlives_training(two_layers: Model) -> None:
    analysed = coupling.analyse(two_layers)
    trained = two_layers.with_initializers({"a.w": 2 * two_layers.initializers["a.w"]})
    keep = {"a": mask(8, 0)}
    values = feeds(trained, np.random.default_rng(0))
    small, dense = shrink(trained, analysed, keep), masked(trained, analysed, keep)
    assert_close(run(small, values), run(dense, values), "shrunk against masked")


def test_analysis_is_repeatable(two_layers: Model) -> None:
    first, second = coupling.analyse(two_layers), coupling.analyse(two_layers)
    assert [g.name for g in first.groups] == [g.name for g in second.groups]
    for one, two in zip(first.groups, second.groups, strict=True):
        for a, b in zip(one.slots, two.slots, strict=True):
            assert (a.tensor, a.axis, a.role, a.node) == (b.tensor, b.axis, b.role, b.node)
            np.testing.assert_array_equal(a.indices, b.indices)
