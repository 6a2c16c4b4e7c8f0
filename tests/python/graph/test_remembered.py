"""What is derived from a model is derived once, and goes with the model."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graph_helpers import conv_weight, model, op, store

from alcs_onnx.graph import Model, conv_layers, load_model, model_macs
from alcs_onnx.graph.remembered import once_per_model


@pytest.fixture
def path(tmp_path: Path, rng: np.random.Generator) -> Path:
    nodes = [op("Conv", "x w", "a", "conv"), op("Relu", "a", "y", "relu")]
    return store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}), tmp_path)


def test_each_model_is_looked_at_once(path: Path) -> None:
    seen: list[str] = []

    @once_per_model
    def length(model: Model) -> int:
        seen.append(model.name)
        return len(model.nodes)

    first = load_model(path)
    second = replace(first, name="second", nodes=first.nodes[:1])
    assert [length(m) for m in (first, second, first, second)] == [len(first.nodes), 1] * 2
    assert seen == [first.name, "second"]


def test_layers_stay_the_same_objects(path: Path) -> None:
    loaded = load_model(path)
    assert conv_layers(loaded) is conv_layers(loaded)
    assert conv_layers(replace(loaded)) == conv_layers(loaded)


def test_a_forgotten_model_is_freed(path: Path) -> None:
    loaded = load_model(path)
    assert conv_layers(loaded)
    assert model_macs(loaded)
    alive = weakref.ref(loaded)
    del loaded
    gc.collect()
    assert alive() is None
