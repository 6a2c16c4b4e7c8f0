"""Small trained-looking networks for tests of the whole pipeline, built without torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CLASSES = 4


def residual_net(
    path: Path, *, width: int = 16, size: int = 12, batch: int | str = "N", seed: int = 0
) -> Path:
    """A residual classifier [batch, 3, size, size] -> [batch, 4] written to `path`."""
    rng = np.random.default_rng(seed)
    initializers, nodes = [], []

    def weight(name: str, *shape: int) -> str:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        array = (rng.standard_normal(shape) * scale).astype(np.float32)
        initializers.append(numpy_helper.from_array(array, name))
        return name

    def conv(name: str, source: str, inputs: int, outputs: int, kernel: int, stride: int) -> str:
        pad = kernel // 2
        nodes.append(
            helper.make_node(
                "Conv",
                [
                    source,
                    weight(f"{name}.w", outputs, inputs, kernel, kernel),
                    weight(f"{name}.b", outputs),
                ],
                [f"{name}.y"],
                name=name,
                kernel_shape=[kernel, kernel],
                strides=[stride, stride],
                pads=[pad] * 4,
            )
        )
        return f"{name}.y"

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    x = node("Relu", [conv("stem", "x", 3, width, 3, 1)], "stem.relu")
    y = node("Relu", [conv("a", x, width, width, 3, 1)], "a.relu")
    y = node("Add", [conv("b", y, width, width, 3, 1), x], "block1.sum")
    x = node("Relu", [y], "block1")
    y = node("Relu", [conv("c", x, width, 2 * width, 3, 2)], "c.relu")
    shortcut = conv("s", x, width, 2 * width, 1, 2)
    y = node("Add", [conv("d", y, 2 * width, 2 * width, 3, 1), shortcut], "block2.sum")
    x = node("Relu", [y], "block2")
    x = node("Flatten", [node("GlobalAveragePool", [x], "pool")], "flat")
    node("Gemm", [x, weight("fc.w", 2 * width, CLASSES), weight("fc.b", CLASSES)], "logits")
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def with_zeros(path: Path, layers: Collection[str], *, keep: float = 0.25, seed: int = 0) -> Path:
    """The file at `path`, whose `layers` keep that share of their groups of 4 weights."""
    rng = np.random.default_rng(seed)
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        if tensor.name in {f"{layer}.w" for layer in layers}:
            weight = numpy_helper.to_array(tensor)
            kept = rng.random((len(weight) // 4, *weight.shape[1:])) < keep
            sparse = weight * np.repeat(kept, 4, axis=0)
            tensor.CopyFrom(numpy_helper.from_array(sparse, tensor.name))
    onnx.save(proto, path)
    return path


def labelled_images(path: Path, *, count: int = 96, size: int = 12, seed: int = 0) -> Path:
    """Images of four kinds that a small network tells apart, as an .npz with both splits."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for split, samples in (("train", count), ("test", count // 2)):
        labels = np.arange(samples) % CLASSES
        images = rng.integers(0, 64, (samples, size, size, 3))
        for image, label in zip(images, labels, strict=True):
            image[..., :label] += 128
        arrays[f"x_{split}"] = images.astype(np.uint8)
        arrays[f"y_{split}"] = labels
    np.savez(path, **arrays)
    return path


def undecided_net(folder: Path, *, width: int = 16, size: int = 12) -> tuple[Path, Path]:
    """A `residual_net` and `labelled_images` that it gives every class of, not one for them all.

    The biases of its last layer are such that no class has a higher mean score than another.
    """
    network = residual_net(folder / "net.onnx", width=width, size=size)
    images = labelled_images(folder / "images.npz", size=size)
    with np.load(images) as file:
        x = file["x_train"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    proto = onnx.load(network)
    [bias] = [tensor for tensor in proto.graph.initializer if tensor.name == "fc.b"]
    centred = numpy_helper.to_array(bias) - session.run(None, {"x": x})[0].mean(axis=0)
    bias.CopyFrom(numpy_helper.from_array(centred, "fc.b"))
    onnx.save(proto, network)
    return network, images


def with_own_labels(network: Path, images: Path) -> Path:
    """The images with the classes that the network gives them: whatever changes it loses."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    with np.load(images) as file:
        arrays = dict(file)
    for split in ("train", "test"):
        x = arrays[f"x_{split}"].transpose(0, 3, 1, 2).astype(np.float32) / 255
        arrays[f"y_{split}"] = session.run(None, {"x": x})[0].argmax(axis=1)
    path = images.with_name("own_labels.npz")
    np.savez(path, **arrays)
    return path
