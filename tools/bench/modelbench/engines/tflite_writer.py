"""Writes simple ONNX networks as TFLite files, so that LiteRT can run them.

Covers what plain image classifiers are made of: Conv (dense and depthwise), Relu, Relu6, Add,
MaxPool, GlobalAveragePool, Flatten of single pixels, Gemm. Anything else is a `ValueError`.
Tensors of four dimensions become NHWC. Padding that TFLite's own SAME rule does not give is an
operator of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modelbench.engines.api import Array

_FLOAT32_MIN = float(np.finfo(np.float32).min)
Pads = tuple[int, int, int, int]


def write_tflite(onnx_path: str, path: Path) -> tuple[list[str], list[str]]:
    """Convert; returns the names of the inputs and outputs in the order of the file."""
    import flatbuffers  # type: ignore[import-untyped]
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(onnx_path))
    writer = _Writer(model)
    for node in model.graph.node:
        writer.add(node)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(writer.model().Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return writer.inputs, writer.outputs


class _Writer:
    """Builds the TFLite model node by node."""

    def __init__(self, model: Any) -> None:
        import onnx
        from ai_edge_litert import (  # type: ignore[import-not-found]
            schema_py_generated as schema,
        )

        self._schema = schema
        self._read = onnx.helper.get_attribute_value
        graph = model.graph
        self._constants: dict[str, Array] = {
            item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer
        }
        self._shapes = {
            info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            for info in (*graph.input, *graph.value_info, *graph.output)
        }
        self._readers: dict[str, int] = {}
        for name in (name for node in graph.node for name in node.input):
            self._readers[name] = self._readers.get(name, 0) + 1
        self.inputs = [info.name for info in graph.input if info.name not in self._constants]
        self.outputs = [info.name for info in graph.output]
        self._buffers = [schema.BufferT()]  # number 0 is "no data", by convention
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[int] = []
        #: Tensor number by ONNX name, and the operator whose activation may still be set.
        self._index = {name: self._variable(self._shapes[name]) for name in self.inputs}
        self._open: dict[str, Any] = {}

    def add(self, node: Any) -> None:
        """Write one ONNX node."""
        handler = getattr(self, f"_{node.op_type.lower()}", None)
        if handler is None:
            raise ValueError(f"{node.op_type} is not among the operators that are converted")
        handler(node, {item.name: self._read(item) for item in node.attribute})

    def model(self) -> Any:
        """All of it, as the schema's ModelT."""
        graph = self._schema.SubGraphT(
            tensors=self._tensors,
            inputs=[self._index[name] for name in self.inputs],
            outputs=[self._index[name] for name in self.outputs],
            operators=self._operators,
        )
        codes = [
            self._schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=1)
            for code in self._codes
        ]
        return self._schema.ModelT(
            version=3, operatorCodes=codes, subgraphs=[graph], buffers=self._buffers
        )

    # -- operators -----------------------------------------------------------------------

    def _conv(self, node: Any, attributes: dict[str, Any]) -> None:
        weight = self._constants[node.input[1]]
        group = attributes.get("group", 1)
        strides = attributes.get("strides", [1, 1])
        kernel = weight.shape[2:]
        if weight.ndim != 4 or list(attributes.get("dilations", [1, 1])) != [1, 1]:
            raise ValueError("only undilated two-dimensional convolutions are converted")
        depthwise = group == self._shapes[node.input[0]][1] and group > 1
        if group > 1 and not depthwise:
            raise ValueError("grouped convolutions are not converted")
        # TFLite: [out, height, width, in], depthwise [1, height, width, out].
        layout = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
        bias = np.zeros(weight.shape[0], np.float32)
        if len(node.input) > 2 and node.input[2]:
            bias = self._constants[node.input[2]]
        source, padding = self._padded(
            node, tuple(attributes.get("pads", [0] * 4)), kernel, strides
        )
        inputs = [source, self._constant(layout), self._constant(bias)]
        if depthwise:
            options = self._schema.DepthwiseConv2DOptionsT(
                padding=padding,
                strideH=strides[0],
                strideW=strides[1],
                depthMultiplier=weight.shape[0] // group,
            )
            self._write("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", options, inputs, node)
        else:
            options = self._schema.Conv2DOptionsT(
                padding=padding, strideH=strides[0], strideW=strides[1]
            )
            self._write("CONV_2D", "Conv2DOptions", options, inputs, node)

    def _relu(self, node: Any, attributes: dict[str, Any]) -> None:
        self._activation(node, "RELU")

    def _clip(self, node: Any, attributes: dict[str, Any]) -> None:
        limits = [float(self._constants[name]) for name in node.input[1:] if name]
        if limits != [0.0, 6.0]:
            raise ValueError(f"Clip to {limits} is not converted")
        self._activation(node, "RELU6")

    def _activation(self, node: Any, kind: str) -> None:
        """Fused into the operator before it where nobody else reads that one's output."""
        source = node.input[0]
        if source in self._open and self._readers[source] == 1:
            options = self._open.pop(source)
            options.fusedActivationFunction = getattr(self._schema.ActivationFunctionType, kind)
            self._index[node.output[0]] = self._index[source]
        else:
            self._write(kind, None, None, [self._index[source]], node)

    def _add(self, node: Any, attributes: dict[str, Any]) -> None:
        if any(name in self._constants for name in node.input):
            raise ValueError("Add of a constant is not converted")
        inputs = [self._index[name] for name in node.input]
        self._write("ADD", "AddOptions", self._schema.AddOptionsT(), inputs, node)

    def _maxpool(self, node: Any, attributes: dict[str, Any]) -> None:
        kernel, strides = attributes["kernel_shape"], attributes.get("strides", [1, 1])
        if attributes.get("ceil_mode", 0):
            raise ValueError("MaxPool that rounds up is not converted")
        pads = tuple(attributes.get("pads", [0] * 4))
        source, padding = self._padded(node, pads, kernel, strides, fill=_FLOAT32_MIN)
        options = self._schema.Pool2DOptionsT(
            padding=padding,
            strideH=strides[0],
            strideW=strides[1],
            filterHeight=kernel[0],
            filterWidth=kernel[1],
        )
        self._write("MAX_POOL_2D", "Pool2DOptions", options, [source], node)

    def _globalaveragepool(self, node: Any, attributes: dict[str, Any]) -> None:
        axes = self._constant(np.array([1, 2], np.int32))
        options = self._schema.ReducerOptionsT(keepDims=True)
        self._write("MEAN", "ReducerOptions", options, [self._index[node.input[0]], axes], node)

    def _flatten(self, node: Any, attributes: dict[str, Any]) -> None:
        if self._shapes[node.input[0]][2:] != [1, 1]:
            raise ValueError("Flatten of more than single pixels is not converted")
        shape = self._constant(np.array(self._shapes[node.output[0]], np.int32))
        self._write("RESHAPE", None, None, [self._index[node.input[0]], shape], node)

    def _gemm(self, node: Any, attributes: dict[str, Any]) -> None:
        weight = self._constants[node.input[1]]
        weight = weight if attributes.get("transB", 0) else weight.T
        scales = (attributes.get("alpha", 1.0), attributes.get("beta", 1.0))
        if attributes.get("transA", 0) or scales != (1.0, 1.0):
            raise ValueError("scaled or transposed Gemm is not converted")
        inputs = [self._index[node.input[0]], self._constant(weight)]
        inputs.append(self._constant(self._constants[node.input[2]]) if len(node.input) > 2 else -1)
        options = self._schema.FullyConnectedOptionsT()
        self._write("FULLY_CONNECTED", "FullyConnectedOptions", options, inputs, node)

    # -- pieces --------------------------------------------------------------------------

    def _padded(
        self, node: Any, pads: Any, kernel: Any, strides: Any, fill: float = 0.0
    ) -> tuple[int, int]:
        """The input tensor with its padding, and TFLite's padding rule for what is left."""
        source = node.input[0]
        size = self._shapes[source][2:]
        if pads == _same(size, kernel, strides):
            return self._index[source], int(self._schema.Padding.SAME)
        if not any(pads):
            return self._index[source], int(self._schema.Padding.VALID)
        batch, channels = self._shapes[source][:2]
        around = np.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], np.int32)
        height, width = size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3]
        target = self._variable([batch, channels, height, width])
        inputs = [self._index[source], self._constant(around)]
        if fill:
            inputs.append(self._constant(np.array([fill], np.float32)))
        self._operator("PADV2" if fill else "PAD", None, None, inputs, [target])
        return target, int(self._schema.Padding.VALID)

    def _write(
        self, code: str, options_type: str | None, options: Any, inputs: list[int], node: Any
    ) -> None:
        """An operator that computes the node's only output."""
        name = node.output[0]
        self._index[name] = self._variable(self._shapes[name])
        self._operator(code, options_type, options, inputs, [self._index[name]])
        if hasattr(options, "fusedActivationFunction"):
            self._open[name] = options

    def _operator(
        self,
        code: str,
        options_type: str | None,
        options: Any,
        inputs: list[int],
        outputs: list[int],
    ) -> None:
        number = getattr(self._schema.BuiltinOperator, code)
        if number not in self._codes:
            self._codes.append(number)
        kind = getattr(self._schema.BuiltinOptions, options_type) if options_type else 0
        self._operators.append(
            self._schema.OperatorT(
                opcodeIndex=self._codes.index(number),
                inputs=inputs,
                outputs=outputs,
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def _variable(self, shape: list[int]) -> int:
        """A tensor that is computed; `shape` is ONNX's."""
        if len(shape) == 4:
            shape = [shape[0], shape[2], shape[3], shape[1]]
        return self._tensor(shape, self._schema.TensorType.FLOAT32, 0)

    def _constant(self, array: Array) -> int:
        array = np.ascontiguousarray(array)
        kind = "INT32" if array.dtype == np.int32 else "FLOAT32"
        data = np.frombuffer(array.tobytes(), np.uint8)
        self._buffers.append(self._schema.BufferT(data=data))
        number = len(self._buffers) - 1
        return self._tensor(list(array.shape), getattr(self._schema.TensorType, kind), number)

    def _tensor(self, shape: list[int], kind: int, buffer: int) -> int:
        name = f"t{len(self._tensors)}".encode()
        self._tensors.append(self._schema.TensorT(shape=shape, type=kind, buffer=buffer, name=name))
        return len(self._tensors) - 1


def _same(size: Any, kernel: Any, strides: Any) -> Pads:
    """What TFLite's SAME rule pads: top, left, bottom, right."""
    totals = [
        max((-(-length // stride) - 1) * stride + k - length, 0)
        for length, k, stride in zip(size, kernel, strides, strict=True)
    ]
    before = [total // 2 for total in totals]
    return (before[0], before[1], totals[0] - before[0], totals[1] - before[1])
