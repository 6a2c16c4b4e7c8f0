"""Small models, data and runs for the training tests; needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx.graph import Model, load_model
from alcs_onnx.reporter import Silent
from alcs_onnx.sparse_format import blocks_view, group_mask_to_weight_mask
from alcs_onnx.train import (
    AS_IT_IS,
    Data,
    DataOptions,
    Preprocess,
    Project,
    Projection,
    Start,
    TrainConfig,
    TrainResult,
    TrainRun,
    admm,
    finetune,
    load_data,
)

#: A schedule under which `classifier` learns `patterns`.
CONFIG = TrainConfig(
    finetune_optimizer="sgd",
    rho=0.1,
    lr=0.05,
    admm_epochs=4,
    finetune_epochs=4,
    batch_size=32,
    threads=1,
)


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


#: Layers of `classifier` that tests prune.
PRUNABLE = {"stem": "stem.weight", "body": "body.weight"}


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


def run_onnx(path: Path, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs of a file in ONNX Runtime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, dict(feeds))
    return outputs


def pattern_data(model: Model, folder: Path) -> Data:
    """320 samples of `patterns` for training and 200 for testing, by way of a file."""
    train, test = patterns(320), patterns(200, seed=1)
    np.savez(
        folder / "patterns.npz",
        x_train=train["x"], y_train=train["y"], x_test=test["x"], y_test=test["y"],
    )  # fmt: skip
    options = DataOptions(Preprocess(mean=(0.5,), std=(0.3,)))
    return load_data(str(folder / "patterns.npz"), model, options)


def keep_largest(share: float, simd_group: int = 4) -> Any:
    """Projection on `share` of the SIMD groups of every layer, the largest ones."""

    def project(weights: Mapping[str, np.ndarray]) -> Projection:
        masks = {}
        for layer, weight in weights.items():
            norms = np.linalg.norm(blocks_view(weight, 1, simd_group), axis=2)
            kept = norms >= np.quantile(norms, 1 - share)
            masks[layer] = group_mask_to_weight_mask(kept, weight.shape, 1, simd_group)
        return Projection(masks, 1.25)

    return project


def same(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def dense(model: Model, data: Data) -> dict[str, np.ndarray]:
    """Weights of the dense model trained on the data."""
    config = replace(CONFIG, finetune_epochs=12, finetune_lr=0.1)
    return dict(finetune(model, PRUNABLE, TrainRun(data, config)).weights)


def prune(
    model: Model,
    prunable: Mapping[str, str],
    project: Project,
    run: TrainRun,
    start: Start = AS_IT_IS,
) -> TrainResult:
    """`admm`, then `finetune` with the masks that it ended with; the history has both stages."""
    first = admm(model, prunable, project, run, start=start)
    second = finetune(model, prunable, run, start=Start(first.weights, first.keep))
    history = first.history + second.history
    return replace(second, history=history, predicted_ms=first.predicted_ms)


class InterruptedRunError(Exception):
    pass


class StopAfter(Silent):
    """Ends the run in the middle of an epoch, after a number of whole ones."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def finish(self, line: str) -> None:
        self.left -= 1

    def advance(self, loss: float) -> None:
        if self.left <= 0:
            raise InterruptedRunError
