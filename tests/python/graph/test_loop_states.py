"""Shapes behind a Loop whose body does not declare any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from graph_helpers import FLOAT, conv_weight, model, op, store
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx.graph import Model, conv_layers, load_model, skipped_convs


def loop(states: str, results: str, nodes: Sequence[onnx.NodeProto], **weights: Any) -> Any:
    """Three rounds over `states`, called `s0`, `s1` inside, where `nodes` make `r0`, `r1`."""
    count = len(states.split())
    body = helper.make_graph(
        [op("Identity", "go", "on"), *nodes],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            *(helper.make_tensor_value_info(f"s{i}", FLOAT, None) for i in range(count)),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            *(helper.make_tensor_value_info(f"r{i}", FLOAT, None) for i in range(count)),
        ],
        [numpy_helper.from_array(np.asarray(x), name) for name, x in weights.items()],
    )
    return op("Loop", f"three true {states}", results, "loop", body=body)


def loaded(folder: Path, nodes: Sequence[onnx.NodeProto], channels: int = 4) -> Model:
    """The nodes between a Conv on `x` that makes `a` and a Conv on `l` that makes `y`."""
    rng = np.random.default_rng(0)
    weights: Mapping[str, Any] = {
        "v": conv_weight(rng, 4, 3, 1, 1), "w": conv_weight(rng, 2, channels, 1, 1),
        "three": np.array(3, np.int64), "true": np.array(True),
        "flat": np.array([0, 4, -1]), "square": np.array([0, 4, 8, 8]),
    }  # fmt: skip
    proto = model(
        [op("Conv", "x v", "a", "before"), *nodes, op("Conv", "l w", "y", "behind")],
        weights,
        ("N", 3, 8, 8),
    )
    return load_model(store(proto, folder))


def test_what_every_round_leaves_as_it_is_has_a_shape(tmp_path: Path) -> None:
    """At both sets of sizes, by constants of the body and of the graph around it."""
    round_ = [
        op("Reshape", "s0 flat", "f"), op("Mul", "f half", "h"), op("Reshape", "h square", "r0"),
    ]  # fmt: skip
    found = loaded(tmp_path, [loop("a", "l", round_, half=np.float32(0.5))])
    assert found.shapes["l"] == found.shapes["a"] == (1, 4, 8, 8)
    assert found.other_shapes["l"] == found.other_shapes["a"] != found.shapes["a"]
    assert [layer.name for layer in conv_layers(found)] == ["before", "behind"]


def test_what_a_round_changes_has_none(tmp_path: Path) -> None:
    found = loaded(tmp_path, [loop("a", "l", [op("Concat", "s0 s0", "r0", axis=1)])], 32)
    assert "l" not in found.shapes
    assert skipped_convs(found) == {
        "behind": "its input shape is not known: node 'loop' (Loop) does not tell the shape of "
        "its result, which may change from round to round"
    }


def test_what_takes_the_place_of_one_that_changes_has_none_either(tmp_path: Path) -> None:
    """After one round it is still what it was; after two it is not."""
    round_ = [op("Identity", "s1", "r0"), op("Concat", "s1 s1", "r1", axis=1)]
    found = loaded(tmp_path, [loop("a a", "l other", round_)], 16)
    assert not {"l", "other"} & found.shapes.keys()
    swapped = [op("Identity", "s1", "r0"), op("Neg", "s0", "r1")]
    found = loaded(tmp_path, [loop("a a", "l other", swapped)])
    assert found.shapes["l"] == found.shapes["other"] == (1, 4, 8, 8)
