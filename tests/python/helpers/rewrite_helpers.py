"""What the tests of rewrites share: loading, comparing, one stored op as a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from graph_helpers import (
    assert_same,
    feed,
    model,
    op,
    run,
    store,
)

from alcs_onnx.graph import Model, Node, load_model, save_model, serialize
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, OP_DOMAIN
from alcs_onnx.types import Activation

Rng = np.random.Generator
NONE = Activation()


def load(
    tmp_path: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Any],
    shape: Sequence[int | str] = (1, 8, 9, 9),
    **kwargs: Any,
) -> Model:
    return load_model(store(model(nodes, weights, shape, **kwargs), tmp_path))


def same(result: Model, loaded: Model, rng: Rng, shape: Sequence[int] = (1, 8, 9, 9)) -> None:
    """The written file is valid and runs, without the library, like the loaded model."""
    written = serialize(result)
    onnx.checker.check_model(written, full_check=True)
    x = feed(shape, rng)
    assert_same(run(written, x), run(serialize(loaded), x, optimise=False))


def activation(node: Node) -> Activation:
    slope, low, high = (node.float_attribute(n, np.nan) for n in ("slope", "low", "high"))
    return Activation(slope=slope, low=low, high=high, gate=node.int_attribute("gate", -1))


def golden_model(case: Mapping[str, Any], residual: bool) -> onnx.ModelProto:
    """One op node holding a golden case as it is stored."""
    m, g = case["weight_shape"][0], case["simd_group"]
    weights = {
        "values": np.array(case["values"], np.float32).reshape(-1, g),
        "positions": np.array(case["positions"], np.int32),
        "bias": np.array(case["bias"], np.float32),
    }
    attributes = {
        "out_channels": m, "in_channels": case["x_shape"][1], "simd_group": g,
        "group": case["group"], "kernel_shape": case["weight_shape"][2:],
        "strides": case["strides"], "pads": case["pads"], "dilations": case["dilations"],
        "slope": 1.0, "low": NONE.low, "high": NONE.high,
    }  # fmt: skip
    kind = OP_CONV_ADD if residual else OP_CONV
    inputs = "x values positions bias" + (" res" if residual else "")
    node = op(kind, inputs, "y", "conv", domain=OP_DOMAIN, **attributes)
    shapes = {"x": case["x_shape"]} | ({"res": case["y_shape"]} if residual else {})
    return model([node], weights, inputs=shapes, domains={OP_DOMAIN: 1})


def load_again(result: Model, folder: Path) -> Model:
    save_model(result, folder / "again.onnx")
    return load_model(folder / "again.onnx")
