"""The graph that ONNX Runtime's quantizer is given: what it looks at, under names of our own.

It knows tensors and nodes by their names: nodes need unique ones, and the names that it makes of
those of tensors (`conv_scale`) may belong to others already. So tensor number 7 is called `t7.`
and node number 7 `n7`, and whatever it makes begins with such a name. Besides it never sees what
it would lose or not understand: subgraphs, functions, operators of other domains and nodes that
are quantized already are opaque nodes that read and compute tensors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata

from alcs_onnx.graph.file_graph import node_reads
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import subgraphs
from alcs_onnx.quantization.operators import INT8_OPS
from alcs_onnx.quantization.quiet import quiet
from alcs_onnx.quantization.values import QuantizeOptions, Ranges

_TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
_TENSOR, _NODE = re.compile(r"(t\d+\.)(.*)"), re.compile(r"n(\d+)")
_OPAQUE = "opaque"


@dataclass(frozen=True, eq=False)
class Neutral:
    """The graph of a file under neutral names. `tensors` maps its names to neutral ones."""

    graph: onnx.GraphProto
    constants: Mapping[str, Array]
    tensors: Mapping[str, str]
    opset: int

    @staticmethod
    def of(graph: onnx.GraphProto, constants: Mapping[str, Array], opset: int) -> Neutral:
        """The neutral form of `graph`, whose constants are `constants`."""
        names = dict.fromkeys(
            name for node in graph.node for name in (*node_reads(node), *node.output) if name
        )
        for info in (*graph.input, *graph.output):
            names.setdefault(info.name)
        return Neutral(graph, constants, {n: f"t{i}." for i, n in enumerate(names)}, opset)

    def quantized(
        self, nodes: Collection[int], ranges: Ranges, options: QuantizeOptions
    ) -> onnx.GraphProto:
        """The graph as the quantizer leaves it, with `nodes` in int8; raises whatever it raises."""
        model = self._model(nodes, ranges)
        low_high = {
            self.tensors[name]: tuple(np.array(end, np.float32) for end in ends)
            for name, ends in ranges.values.items()
            if name in self.tensors
        }
        with quiet():
            quantizer = QDQQuantizer(
                model,
                options.per_channel,
                options.reduce_range,
                _TYPES[options.weight],
                _TYPES[options.activation],
                TensorsData(CalibrationMethod.MinMax, low_high),
                [f"n{index}" for index in nodes],
                [],
                list(INT8_OPS),
                {},
            )
            result: onnx.GraphProto = quantizer.quantize_model().graph
        return result

    def _model(self, nodes: Collection[int], ranges: Ranges) -> onnx.ModelProto:
        graph = onnx.GraphProto(name="neutral")
        graph.node.extend(self._node(index) for index in range(len(self.graph.node)))
        for info in self.graph.input:
            if info.name not in self.constants:
                graph.input.append(self._float(info.name))
        graph.output.extend(self._float(info.name) for info in self.graph.output)
        graph.value_info.extend(self._float(n) for n in ranges.values if n in self.tensors)
        read = {name for index in nodes for name in self.graph.node[index].input}
        for name, array in self.constants.items():
            if name in read:
                graph.initializer.append(numpy_helper.from_array(array, self.tensors[name]))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        add_infer_metadata(model)  # it would save and load the model to learn the types anew
        return model

    def _node(self, index: int) -> onnx.NodeProto:
        node = self.graph.node[index]
        known = node.op_type in INT8_OPS and not node.domain
        known = known and not any(subgraphs(attribute) for attribute in node.attribute)
        reads = node.input if known else node_reads(node)
        copy = helper.make_node(
            node.op_type if known else "Opaque",
            [self.tensors.get(name, "") for name in reads],
            [self.tensors.get(name, "") for name in node.output],
            f"n{index}",
            domain="" if known else _OPAQUE,
        )
        if known:
            copy.attribute.extend(node.attribute)
        return copy

    def _float(self, name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(self.tensors[name], TensorProto.FLOAT, None)


def number(name: str) -> int | None:
    """Which node of the file has this name; None for one that the quantizer made."""
    found = _NODE.fullmatch(name)
    return int(found[1]) if found else None


def split(name: str) -> tuple[str, str]:
    """The neutral name of a tensor in front, and what the quantizer put behind it."""
    found = _TENSOR.fullmatch(name)
    return (found[1], found[2]) if found else ("", name)


def mentioned(text: str) -> tuple[set[int], set[str]]:
    """The nodes and the tensors, by neutral names, that an error of the quantizer speaks of."""
    nodes = {int(n) for n in re.findall(r"\bn(\d+)\b", text)}
    return nodes, set(re.findall(r"\bt\d+\.", text))
