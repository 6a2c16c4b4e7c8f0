"""ONNX graphs written node by node, with seeded random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx.graph import Model, load_model

Array = np.ndarray


class Builder:
    """Adds nodes in order; every method returns the name of the tensor that it makes.

    A node called `a` computes tensor `a.y`; its weights are `a.w` and `a.b`.
    """

    def __init__(self, seed: int = 0, opset: int = 17):
        self.rng = np.random.default_rng(seed)
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._inputs: dict[str, tuple[int | str, ...]] = {}
        self._domains: set[str] = set()
        self._declared: dict[str, tuple[int, ...]] = {}

    def input(self, shape: Sequence[int | str], name: str = "x") -> str:
        """A float input."""
        self._inputs[name] = tuple(shape)
        return name

    def declare(self, tensor: str, shape: Sequence[int]) -> None:
        """Gives a float tensor a shape that nobody can infer."""
        self._declared[tensor] = tuple(shape)

    def const(self, array: Any, name: str | None = None) -> str:
        """An initializer; lists of integers become int64."""
        name = name or f"c{len(self._weights)}"
        self._weights[name] = np.asarray(array)
        return name

    def normal(self, name: str, *shape: int) -> str:
        """A weight whose layer keeps the size of its input."""
        scale = (2 / max(1, int(np.prod(shape[1:])))) ** 0.5
        return self.const((self.rng.standard_normal(shape) * scale).astype(np.float32), name)

    def uniform(self, name: str, *shape: int, low: float = 0.5, high: float = 1.5) -> str:
        return self.const(self.rng.uniform(low, high, shape).astype(np.float32), name)

    def op(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node with one output."""
        return self.ops(op_type, *inputs, name=name, count=1, **attributes)[0]

    def ops(
        self,
        op_type: str,
        *inputs: str,
        count: int,
        name: str | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """A node with `count` outputs, `name.y` or `name.0`, `name.1`, ..."""
        name = name or f"{op_type.lower()}{len(self._nodes)}"
        outputs = [f"{name}.y"] if count == 1 else [f"{name}.{i}" for i in range(count)]
        node = helper.make_node(
            op_type, inputs, outputs, name=name, domain=domain or None, **attributes
        )
        self._nodes.append(node)
        self._domains |= {domain} - {""}
        return outputs

    def conv(
        self,
        name: str,
        x: str,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        group: int = 1,
        stride: int = 1,
        bias: bool = True,
        rank: int = 2,
    ) -> str:
        """A Conv that keeps the size of the image (stride 1, odd kernel)."""
        weights = [self.normal(f"{name}.w", outputs, inputs // group, *[kernel] * rank)]
        if bias:
            weights.append(self.uniform(f"{name}.b", outputs, low=-0.3, high=0.3))
        return self.op(
            "Conv",
            x,
            *weights,
            name=name,
            group=group,
            kernel_shape=[kernel] * rank,
            strides=[stride] * rank,
            pads=[kernel // 2] * 2 * rank,
        )

    def relu(self, x: str) -> str:
        return self.op("Relu", x)

    def norm(self, name: str, x: str, channels: int) -> str:
        """A BatchNormalization with statistics that matter."""
        parts = [
            self.uniform(f"{name}.scale", channels),
            self.uniform(f"{name}.shift", channels, low=-0.5),
            self.uniform(f"{name}.mean", channels, low=-0.5, high=0.5),
            self.uniform(f"{name}.var", channels),
        ]
        return self.op("BatchNormalization", x, *parts, name=name)

    def gemm(self, name: str, x: str, inputs: int, outputs: int, trans_b: int = 1) -> str:
        shape = (outputs, inputs) if trans_b else (inputs, outputs)
        scale = (1 / inputs) ** 0.5
        weight = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        bias = self.uniform(f"{name}.b", outputs, low=-0.3, high=0.3)
        return self.op("Gemm", x, self.const(weight, f"{name}.w"), bias, name=name, transB=trans_b)

    def head(self, x: str, channels: int, outputs: int = 5, name: str = "head") -> str:
        """Global mean and Gemm: a reader of all channels, whose own are the graph's output."""
        return self.gemm(
            name, self.op("Flatten", self.op("GlobalAveragePool", x)), channels, outputs
        )

    def is_unread(self, tensor: str) -> bool:
        """Whether no node reads `tensor` yet."""
        return not any(tensor in node.input for node in self._nodes)

    def proto(self, *outputs: str) -> onnx.ModelProto:
        """The model; outputs are float and of any rank."""
        graph = helper.make_graph(
            self._nodes,
            "built",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
                for name, shape in self._inputs.items()
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, self._declared.get(name))
                for name in outputs
            ],
            [numpy_helper.from_array(array, name) for name, array in self._weights.items()],
            value_info=[
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in self._declared.items()
                if name not in outputs
            ],
        )
        imports = [helper.make_opsetid("", self._opset)]
        imports += [helper.make_opsetid(domain, 1) for domain in sorted(self._domains)]
        ir_version = 8 if self._opset < 19 else 10
        return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)

    def load(self, folder: Path, *outputs: str) -> Model:
        """The model as the package loads it."""
        path = folder / "built.onnx"
        path.write_bytes(self.proto(*outputs).SerializeToString())
        return load_model(path)
