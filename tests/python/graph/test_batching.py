"""The same model for any batch: equal to the file sample by sample, or a reason with the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import Array, assert_same, conv_weight, model, op, run, store, vector

from alcs_onnx.graph import Batching, free_batch, load_model, serialize
from alcs_onnx.graph.shapes import infer

Rng = np.random.Generator
SAMPLES = 3
CONV = op("Conv", "x w", "a", "conv")
"""Its result `a` is [N, 4, 6, 6]."""


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def at_batch(batching: Batching, samples: int) -> bytes:
    """The free model as a file of a fixed batch."""
    free = batching.model
    inputs = tuple(
        replace(info, shape=(samples, *info.shape[1:])) if info.name in batching.inputs else info
        for info in free.inputs
    )
    return serialize(infer(replace(free, inputs=inputs, other_inputs={}), {}))


def assert_free(path: Path, rng: Rng) -> Batching:
    """Free, and at a batch the results of the file for the samples, one below the other."""
    loaded = load_model(path, needs_conv=False)
    batching = free_batch(loaded)
    assert batching.reason == ""
    assert batching.model.origin is None
    weights = {name for name, array in loaded.initializers.items() if array.dtype == np.float32}
    assert batching.model.initializers.keys() >= weights
    feeds = {
        info.name: rng.standard_normal(
            (SAMPLES, *info.shape[1:]) if info.name in batching.inputs else info.shape
        ).astype(info.dtype)
        for info in loaded.inputs
    }
    singles = [
        run(path, {n: x[i : i + 1] if n in batching.inputs else x for n, x in feeds.items()})
        for i in range(SAMPLES)
    ]
    expected = [np.concatenate(parts) for parts in zip(*singles, strict=True)]
    assert_same(run(at_batch(batching, SAMPLES), feeds), expected)
    return batching


#: Between the convolution and the output: nodes that read `a` and give `y`, and their constants.
FREE: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "rounded channel by channel": (
        [op("QuantizeLinear", "a steps zeros", "b", axis=1),
         op("DequantizeLinear", "b steps zeros", "y", axis=1)],
        {"steps": np.array([0.1, 0.2, 0.1, 0.3], np.float32), "zeros": np.zeros(4, np.uint8)},
    ),
    "rounded by one scale": (
        [op("QuantizeLinear", "a step zero", "b"), op("DequantizeLinear", "b step zero", "y")],
        {"step": np.float32(0.1), "zero": np.int8(3)},
    ),
    "reshape that copies no zero": (
        [op("GlobalAveragePool", "a", "b"), op("Reshape", "b flat", "y", allowzero=1)],
        {"flat": ints(1, 4)},
    ),
    "normalisation of groups": (
        [op("Reshape", "a groups", "b"), op("InstanceNormalization", "b one zero", "c"),
         op("Reshape", "c back", "y")],
        {"groups": ints(1, 2, -1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32),
         "back": ints(1, 4, 6, 6)},
    ),
    "several rows of a sample": (
        [op("Reshape", "a rows", "b"), op("Softmax", "b", "c", axis=1),
         op("Reshape", "c back", "y")],
        {"rows": ints(2, 72), "back": ints(1, 4, 6, 6)},
    ),
    "resize to sizes": (
        [op("Resize", "a - - sizes", "y", mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        {"sizes": ints(1, 4, 9, 15)},
    ),
    "a constant joined to each sample": (
        [op("Reshape", "a tokens", "b"), op("Concat", "token b token", "y", axis=1)],
        {"tokens": ints(1, 4, 36), "token": np.arange(36, dtype=np.float32).reshape(1, 1, 36)},
    ),
    "repeated by a constant target": (
        [op("GlobalAveragePool", "a", "b"), op("Expand", "b target", "c"), op("Mul", "c a", "y")],
        {"target": ints(1, 4, 6, 6)},
    ),
    "attention": (
        [op("Reshape", "a rows", "q"), op("Transpose", "q", "k", perm=[0, 2, 1]),
         op("MatMul", "q k", "s"), op("Softmax", "s", "t", axis=-1), op("MatMul", "t q", "y")],
        {"rows": ints(1, 4, 36)},
    ),
    "product with one matrix": (
        [op("Flatten", "a", "b"), op("Gemm", "b m c", "d", transB=1), op("MatMul", "d v", "y")],
        {"m": np.eye(5, 144, dtype=np.float32), "c": np.ones((1, 5), np.float32),
         "v": np.ones(5, np.float32)},
    ),
    "other axes cut, padded, put in and taken out": (
        [op("Slice", "a zero far batch_and_height steps", "b"), op("Pad", "b pads", "c"),
         op("Unsqueeze", "c one", "d"), op("Squeeze", "d one", "e"),
         op("ReduceMean", "e", "f", axes=[2], keepdims=0), op("Gather", "f picks", "g", axis=1),
         op("ArgMax", "g", "h", axis=-1, keepdims=0), op("Cast", "h", "y", to=1)],
        {"zero": ints(0, 1), "far": ints(2**31 - 1, 5), "batch_and_height": ints(0, 2),
         "steps": ints(1, 1), "pads": ints(0, 0, 1, 0, 0, 0, 0, 1), "one": ints(1),
         "picks": ints(3, 1)},
    ),
    "sizes computed from the number of samples": (
        [op("Shape", "a", "s"), op("Gather", "s first", "n", axis=0), op("Concat", "n rest", "t",
                                                                         axis=0),
         op("Expand", "row t", "r"), op("Flatten", "a", "f"), op("Concat", "f r", "y", axis=1)],
        {"first": ints(0), "rest": ints(3), "row": np.array([[1, 2, 3]], np.float32)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("name", FREE)
def test_a_batch_gives_what_each_sample_gives(
    name: str, batch: int | str, tmp_path: Path, rng: Rng
) -> None:
    nodes, constants = FREE[name]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), **constants}
    assert_free(store(model([CONV, *nodes], weights, (batch, 3, 8, 8)), tmp_path), rng)


def test_sizes_of_some_axes_say_nothing_of_samples(tmp_path: Path, rng: Rng) -> None:
    resize = op("Resize", "a - - sizes", "y", mode="linear", axes=[2, 3])
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "sizes": ints(9, 5)}
    assert_free(store(model([CONV, resize], weights, opset=18), tmp_path), rng)


#: Nodes that read `a` and give `y`, constants, what the reason says of the node `it`.
MIXED: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], str]] = {
    "samples moved": (
        [op("Transpose", "a", "y", "it", perm=[1, 0, 2, 3])], {}, "moves the axis of the samples",
    ),
    "softmax over samples": (
        [op("Softmax", "a", "y", "it", axis=0)], {}, "along the axis of the samples",
    ),
    "one number of everything": ([op("ReduceMean", "a", "y", "it")], {}, "reduces all axes"),
    "mean over samples": (
        [op("ReduceMean", "a", "y", "it", axes=[-4, 2])], {}, "along the axis of the samples",
    ),
    "samples joined": ([op("Concat", "a a", "y", "it", axis=0)], {}, "along the axis of"),
    "sample taken": ([op("Gather", "a p", "y", "it", axis=0)], {"p": ints(0)}, "some of the"),
    "samples cut": (
        [op("Slice", "a p q", "y", "it")], {"p": ints(0), "q": ints(1)}, "some of the samples",
    ),
    "samples padded": (
        [op("Pad", "a p", "y", "it")], {"p": ints(1, 0, 0, 0, 0, 0, 0, 0)}, "pads the axis",
    ),
    "batch removed": (
        [op("Squeeze", "a p", "y", "it")], {"p": ints(0)}, "along the axis of the samples",
    ),
    "axis in front": ([op("Unsqueeze", "a p", "y", "it")], {"p": ints(0)}, "in front of"),
    "rows of a constant": (
        [op("Mul", "a c", "y", "it")], {"c": np.ones((3, 1, 1, 1), np.float32)}, "'c' has 3 rows",
    ),
    "axis put in front by broadcasting": (
        [op("Mul", "a c", "y", "it")], {"c": np.ones((1, 1, 1, 1, 1), np.float32)},
        "in front of the samples of 'a'",
    ),
    "samples contracted": (
        [op("Flatten", "a", "b"), op("Gemm", "b c", "y", "it", transA=1)],
        {"c": np.ones((1, 5), np.float32)}, "transposes the axis",
    ),
    "samples resized": (
        [op("Resize", "a - c", "y", "it", mode="nearest")],
        {"c": np.array([2, 1, 1, 1], np.float32)}, "resizes the axis",
    ),
    "positions of maxima": (
        [op("MaxPool", "a", "b i", "it", kernel_shape=[2, 2]), op("Cast", "i", "c", to=1),
         op("Add", "b c", "y")], {}, "count through all samples",
    ),
    "unknown operator": ([op("Det", "a", "y", "it")], {}, "not known to work sample by sample"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_what_takes_no_batch_is_told_with_the_node(name: str, tmp_path: Path, rng: Rng) -> None:
    nodes, constants, why = MIXED[name]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), **constants}
    loaded = load_model(store(model([CONV, *nodes], weights), tmp_path))
    batching = free_batch(loaded)
    (node,) = (node for node in nodes if node.name == "it")
    assert batching.reason.startswith(f"node 'it' ({node.op_type}): ")
    assert why in batching.reason
    assert batching.model is loaded
    assert (batching.inputs, batching.size) == (("x",), 1)


def test_numbers_of_samples_are_no_data(tmp_path: Path, rng: Rng) -> None:
    """A factor that is the batch, and a table that is read by the number of each sample."""
    w = {"w": conv_weight(rng, 4, 3, 3, 3)}
    nodes = [CONV, op("Size", "a", "n"), op("Cast", "n", "f", to=1), op("Mul", "a f", "y", "it")]
    loaded = load_model(store(model(nodes, w, ("N", 3, 8, 8)), tmp_path))
    assert "'it' (Mul): it computes with the size 'f'" in free_batch(loaded).reason
    nodes = [CONV, op("Shape", "a", "s"), op("Gather", "s zero", "n", axis=0),
             op("Range", "zero n one", "r", "it"), op("Gather", "a r", "y", axis=0)]  # fmt: skip
    constants = {**w, "zero": np.array(0), "one": np.array(1)}
    loaded = load_model(store(model(nodes, constants, ("N", 3, 8, 8)), tmp_path))
    assert free_batch(loaded).reason.startswith("node 'it' (Range): ")


@pytest.mark.parametrize("batch", [1, "N"])
def test_inputs_without_a_batch_stay_as_they_are(
    batch: int | str, tmp_path: Path, rng: Rng
) -> None:
    nodes = [
        CONV,
        op("Add", "a threshold", "b"),
        op("Reshape", "scale column", "s"),
        op("Mul", "b s", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "column": ints(1, 4, 1, 1)}
    inputs: Mapping[str, Any] = {"scale": (4,), "x": (batch, 3, 8, 8), "threshold": ()}
    path = store(model(nodes, weights, inputs=inputs), tmp_path)
    assert assert_free(path, rng).inputs == ("x",)


def test_a_batch_of_two_that_the_file_fixes(tmp_path: Path, rng: Rng) -> None:
    nodes = [CONV, op("Reshape", "a flat", "b"), op("Add", "b c", "y")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "flat": ints(2, 144), "c": vector(rng, 144)}
    path = store(model(nodes, weights, (2, 3, 8, 8)), tmp_path)
    batching = free_batch(load_model(path))
    assert (batching.reason, batching.size) == ("", 2)
    x = rng.standard_normal((4, 3, 8, 8)).astype(np.float32)
    halves = [run(path, {"x": half})[0] for half in (x[:2], x[2:])]
    assert_same(run(at_batch(batching, 4), {"x": x}), [np.concatenate(halves)])


def test_what_is_written_stays_the_file(tmp_path: Path, rng: Rng) -> None:
    nodes, constants = FREE["reshape that copies no zero"]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), **constants}
    loaded = load_model(store(model([CONV, *nodes], weights), tmp_path))
    before = serialize(loaded)
    free = free_batch(loaded).model
    trained = {"w": free.initializers["w"] + 1}
    assert serialize(loaded) == before
    graph = onnx.load_from_string(serialize(loaded.with_initializers(trained))).graph
    assert [node.op_type for node in graph.node] == ["Conv", "GlobalAveragePool", "Reshape"]


@pytest.mark.parametrize(
    "name",
    ["FastestDet", "efficientnet-lite0", "mobilenetv2", "yolox_common_det", "yunet_n_640",
     "resnet20_cifar"],
)  # fmt: skip
def test_real_models_take_any_batch(name: str, shared: Path) -> None:
    batching = free_batch(load_model(shared / "models" / f"{name}.onnx"))
    assert batching.reason == ""
    assert all(0 in batching.model.varying_axes(info.name) for info in batching.model.outputs)
