"""Quantizing a set of nodes of a file by ONNX Runtime's quantizer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.file_graph import node_reads
from alcs_onnx.graph.message import Message
from alcs_onnx.graph.proto import one_line
from alcs_onnx.graph.upgrade import default_opset
from alcs_onnx.ort import check_runtime, create_session
from alcs_onnx.quantization.merging import merged
from alcs_onnx.quantization.neutral import Neutral, mentioned
from alcs_onnx.quantization.operators import CLAMPS, Unfit, constant_nodes
from alcs_onnx.quantization.values import (
    LEAST_OPSET,
    LEAST_RUNTIME,
    Quantized,
    QuantizeOptions,
    Ranges,
)
from alcs_onnx.serialized import Serialized

_DEFAULT = QuantizeOptions()
#: How often nodes that are refused are left out and the others tried again.
_MOST_REFUSALS = 16


def quantizable(source: Serialized, ranges: Ranges) -> Mapping[str, str]:
    """All nodes of the main graph by their first outputs -> why they stay float, "" if int8."""
    work = _Work(Message.read(source), ranges, _DEFAULT)
    return {work.label(index): work.reason(index) for index in work.named.values()}


def quantize(
    source: Serialized,
    ranges: Ranges,
    nodes: Collection[str] | None = None,
    options: QuantizeOptions = _DEFAULT,
) -> Quantized:
    """`source` with `nodes`, which are named by their first outputs, in int8: all by default.

    `ranges` are of the same file. Relu and Clip go with the node in front that they alone read.
    Nodes that cannot be int8 stay float, and so do those that the quantizer or the runtime
    refuses; `Quantized.left` says why. Inputs and outputs stay float, and all nodes outside are
    what they were. Raises `ModelError` for a file below opset 13 and for a name that is no node's,
    `TargetError` where the installed runtime is too old to quantize.
    """
    check_runtime(LEAST_RUNTIME, "int8 models")
    message = Message.read(source)
    if default_opset(message.proto.opset_import) < LEAST_OPSET:
        raise ModelError(f"int8 needs opset {LEAST_OPSET} at least")
    work = _Work(message, ranges, options)
    wanted = work.wanted(nodes)
    result = work.run(wanted)
    made = frozenset(work.label(index) for index in result.nodes)
    left = {work.label(index): reason for index, reason in work.left.items()}
    model = result.message.serialized() if made else source
    computed = {work.label(index): tensor for index, tensor in result.computed.items()}
    return Quantized(model, made, left, computed)


@dataclass(frozen=True, eq=False)
class _Result:
    message: Message
    nodes: frozenset[int]
    computed: Mapping[int, str]


@dataclass
class _Work:
    """The work on one file; `left` are numbers of nodes that stay float, with the reasons."""

    message: Message
    ranges: Ranges
    options: QuantizeOptions
    left: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.message.proto.graph
        self.constants = {**self.message.arrays, **constant_nodes(graph)}
        self.unfit = Unfit(graph, self.constants, self.ranges.values.__contains__)
        opset = default_opset(self.message.proto.opset_import)
        self.neutral = Neutral.of(graph, self.constants, opset)
        self.named = {
            next(filter(None, node.output)): index
            for index, node in enumerate(graph.node)
            if any(node.output)
        }
        self._readers: dict[str, set[int]] = {}
        for index, node in enumerate(graph.node):
            for name in node_reads(node):
                self._readers.setdefault(name, set()).add(index)
        self._results = {info.name for info in graph.output}

    def label(self, index: int) -> str:
        """The first output of a node."""
        return str(next(filter(None, self.message.proto.graph.node[index].output)))

    def reason(self, index: int) -> str:
        """Why a node stays float; empty if it can be int8."""
        return self.unfit.reason(self.message.proto.graph.node[index])

    def wanted(self, nodes: Collection[str] | None) -> frozenset[int]:
        """The numbers of the nodes to quantize, the others among `nodes` noted as left."""
        given = self.named if nodes is None else nodes
        unknown = [name for name in given if name not in self.named]
        if unknown:
            raise ModelError(f"no node of the model computes '{unknown[0]}'")
        found = set()
        for name in given:
            reason = self.reason(self.named[name])
            if not reason:
                found.add(self.named[name])
            elif nodes is not None:
                self.left[self.named[name]] = reason
        return self._with_clamps(found)

    def _with_clamps(self, nodes: set[int]) -> frozenset[int]:
        """Relu and Clip exactly where they alone read what a node of the set computes."""
        graph = self.message.proto.graph
        clamps = {i for i, node in enumerate(graph.node) if node.op_type in CLAMPS}
        found = nodes - clamps
        for index in sorted(clamps):
            tensor = graph.node[index].input[0]
            alone = self._readers.get(tensor) == {index} and tensor not in self._results
            if alone and self.named.get(tensor) in found and not self.reason(index):
                found.add(index)
        return frozenset(found)

    def run(self, nodes: frozenset[int]) -> _Result:
        """Quantize `nodes`, but for those that turn out to be refused.

        `ModelError` where these are so many that it is no matter of single nodes.
        """
        for refusals in count():
            if not nodes:
                break
            try:
                return self._attempt(nodes)
            except Exception as error:  # the quantizer raises whatever comes up
                if refusals == _MOST_REFUSALS:
                    raise ModelError(
                        f"the quantizer of ONNX Runtime refuses the model: {one_line(error)}"
                    ) from error
                refused = self._culprits(nodes, error)
                self.left |= dict.fromkeys(refused, f"it is refused: {one_line(error)}")
                nodes = self._with_clamps(set(nodes - refused))
        return _Result(self.message, frozenset(), {})

    def _attempt(self, nodes: frozenset[int]) -> _Result:
        graph = self.neutral.quantized(nodes, self.ranges, self.options)
        message, computed = merged(self.message, self.neutral, graph, nodes)
        stored = message.serialized()  # its files are there as long as it is
        create_session(stored, library=False)
        return _Result(message, nodes, computed)

    def _culprits(self, nodes: frozenset[int], error: Exception) -> frozenset[int]:
        """The nodes that the error speaks of, if the others do without; else found by halves."""
        numbers, tensors = mentioned(str(error))
        graph = self.message.proto.graph
        for index in nodes:
            node = graph.node[index]
            own = {self.neutral.tensors.get(name) for name in (*node.input, *node.output)}
            if own & tensors:
                numbers.add(index)
        suspects = frozenset(numbers) & nodes
        if suspects and len(suspects) <= 3 and not self._fails(nodes - suspects):
            return suspects
        return self._found_by_halves(nodes)

    def _fails(self, nodes: frozenset[int]) -> bool:
        if not nodes:
            return False
        try:
            self._attempt(self._with_clamps(set(nodes)))
        except Exception:  # as in `run`
            return True
        return False

    def _found_by_halves(self, nodes: frozenset[int]) -> frozenset[int]:
        """The last node of the shortest beginning of `nodes` that fails."""
        order = sorted(nodes)
        works, fails = 0, len(order)
        while fails - works > 1:
            middle = (works + fails) // 2
            if self._fails(frozenset(order[:middle])):
                fails = middle
            else:
                works = middle
        return frozenset([order[fails - 1]])
