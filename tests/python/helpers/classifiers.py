"""Small classifiers of images and images that they learn, for tests of data and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx.graph import Model, load_model


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray],
    opset: int = 18,
) -> Path:
    """Write an ONNX file of float inputs and inferred outputs."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def classifier(
    folder: Path,
    *,
    classes: int = 4,
    channels: int = 3,
    size: int = 8,
    final: str | None = None,
    nhwc: bool = False,
    seed: int = 0,
) -> Model:
    """Conv 3×3 → Relu → Conv 3×3 + input → Relu → mean → Gemm; weight names have dots."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        fan = int(np.prod(shape[1:]))
        weight: np.ndarray = rng.standard_normal(shape) * (2 / fan) ** 0.5
        return weight.astype(np.float32)

    weights = {
        "stem.weight": normal(8, channels, 3, 3),
        "stem.bias": np.zeros(8, np.float32),
        "body.weight": normal(8, 8, 3, 3),
        "body.bias": np.zeros(8, np.float32),
        "head.weight": normal(classes, 8),
        "head.bias": np.zeros(classes, np.float32),
    }
    node = helper.make_node
    first = "x"
    nodes = []
    if nhwc:
        nodes.append(node("Transpose", ["x"], ["nchw"], name="to_nchw", perm=[0, 3, 1, 2]))
        first = "nchw"
    nodes += [
        node("Conv", [first, "stem.weight", "stem.bias"], ["a"], name="stem", pads=[1] * 4),
        node("Relu", ["a"], ["b"], name="stem_relu"),
        node("Conv", ["b", "body.weight", "body.bias"], ["c"], name="body", pads=[1] * 4),
        node("Add", ["c", "b"], ["d"], name="join"),
        node("Relu", ["d"], ["e"], name="body_relu"),
        node("GlobalAveragePool", ["e"], ["f"], name="pool"),
        node("Flatten", ["f"], ["g"], name="flatten"),
        node("Gemm", ["g", "head.weight", "head.bias"], ["y"], name="head", transB=1),
    ]
    output = "y"
    if final is not None:
        nodes.append(node(final, ["y"], ["p"], name="final", axis=1))
        output = "p"
    shape = [size, size, channels] if nhwc else [channels, size, size]
    path = save(folder / "classifier.onnx", nodes, {"x": ["N", *shape]}, [output], weights)
    return load_model(path)


def patterns(count: int, *, classes: int = 4, size: int = 8, seed: int = 0) -> dict[str, Any]:
    """Images uint8 [count, 3, size, size] of stripes at `classes` angles, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    angle = labels[:, None, None] * np.pi / classes
    rows, columns = np.mgrid[:size, :size]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 + phase)
    noise = rng.standard_normal((count, 3, size, size)) * 0.3
    images = np.clip(128 + 80 * (wave[:, None] + noise), 0, 255).astype(np.uint8)
    return {"x": images, "y": labels.astype(np.int64)}
