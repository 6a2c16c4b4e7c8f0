"""What a written file may differ in from the file that it was made of.

A written file is the user's file, edited. Allowed differences, and no others:

1. Nodes: those of the model that changed since loading, the *touched* ones, are new. Nodes are gone
   that computed something on the way to what a new node computes, or whose result is a constant
   now, and that nothing reads any more; and nodes that nothing ever needed, where what they read
   is gone or has another shape. All others are equal and in the same order.
2. Initializers: new nodes brought some, and the plan changed some; those are gone that nothing
   reads any more. How the values of the others are stored may differ (raw bytes), not the values.
3. Our domain, the bodies of our operators, and the IR version that functions or constants need.
   Those of the user's functions that nothing calls any more are gone.
4. Declarations of tensors are gone where the tensor is, or has another shape. Results of our
   operators are declared.
5. Outputs: a declaration without a shape gets one, and a fixed size that follows an open size of an
   input is opened.

Two differences precede all that: below opset 12 nodes are raised by rules that are tested
elsewhere, and a weight that is declared as an input, too, is declared no longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import numpy_helper

from alcs_onnx.graph import Model
from alcs_onnx.graph.upgrade import upgrade
from alcs_onnx.sparse_format import OP_DOMAIN

#: Fields that have rules of their own; all others have to be equal.
_OF_GRAPH = ("node", "initializer", "sparse_initializer", "value_info", "input", "output")
_OF_MODEL = ("graph", "functions", "opset_import", "ir_version")


def changed_constants(model: Model) -> set[str]:
    """The constants that a plan changed since `model` was loaded."""
    assert model.origin is not None
    before = model.origin.base.initializers
    return {
        name
        for name, array in model.initializers.items()
        if name in before and not _equal(array, before[name])
    }


def changes(
    original: onnx.ModelProto, written: onnx.ModelProto, changed: Collection[str] = ()
) -> list[str]:
    """What differs though it may not, one line each; `changed` as above."""
    pair = _Pair(upgrade(original), written, changed)
    return [
        *pair.other_fields(),
        *pair.nodes(),
        *pair.initializers(),
        *pair.declarations(),
        *pair.inputs(),
        *pair.outputs(),
        *pair.versions(),
    ]


def new_nodes(original: onnx.ModelProto, written: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of `written` that are not those of `original`."""
    return _Pair(upgrade(original), written, ()).new


def reads(node: onnx.NodeProto) -> set[str]:
    """What a node depends on; what its subgraphs read and call their own, too."""
    found = set(node.input)
    for attribute in node.attribute:
        for graph in (*attribute.graphs, attribute.g):
            found |= _needed(graph)
    return found - {""}


def _needed(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in reads(node)} | {o.name for o in graph.output}


Message = (
    onnx.ModelProto | onnx.GraphProto | onnx.NodeProto | onnx.ValueInfoProto | onnx.FunctionProto
)


def _key(message: Message) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return (
        one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()
    )


def _without(message: onnx.ModelProto | onnx.GraphProto, fields: Sequence[str]) -> bytes:
    copy = type(message)()
    copy.CopyFrom(message)
    for field in fields:
        copy.ClearField(field)
    return _key(copy)


def _computed(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in node.output if name}


def _arrays(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _sizes(info: onnx.ValueInfoProto) -> list[int | None] | None:
    shape = info.type.tensor_type.shape
    if not info.type.tensor_type.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in shape.dim]


@dataclass(frozen=True)
class _Pair:
    """A file (of opset 12 at least), what is written of it, and the constants that changed."""

    file: onnx.ModelProto
    written: onnx.ModelProto
    changed: Collection[str]

    @cached_property
    def own(self) -> dict[bytes, int]:
        """The nodes of the file, by what they are, and their places."""
        return {_key(node): index for index, node in enumerate(self.file.graph.node)}

    @cached_property
    def new(self) -> list[onnx.NodeProto]:
        return [node for node in self.written.graph.node if _key(node) not in self.own]

    @cached_property
    def before(self) -> dict[str, np.ndarray]:
        return _arrays(self.file.graph)

    @cached_property
    def after(self) -> dict[str, np.ndarray]:
        return _arrays(self.written.graph)

    def on_the_way(self, tensors: Iterable[str]) -> set[str]:
        """All that the file computes `tensors` of."""
        producers = {name: node for node in self.file.graph.node for name in node.output if name}
        found: set[str] = set()
        waiting = list(tensors)
        while waiting:
            node = producers.get(waiting.pop())
            more = reads(node) - found if node is not None else set()
            found |= more
            waiting += more
        return found

    def other_fields(self) -> Iterator[str]:
        """Producer, version, domain, documentation, metadata, annotations, training information."""
        if _without(self.file, _OF_MODEL) != _without(self.written, _OF_MODEL):
            yield "what the model says of itself"
        if _without(self.file.graph, _OF_GRAPH) != _without(self.written.graph, _OF_GRAPH):
            yield "what the graph says of itself"

    def nodes(self) -> Iterator[str]:
        graph = self.written.graph
        kept = [self.own[_key(node)] for node in graph.node if _key(node) in self.own]
        if kept != sorted(kept):
            yield "the order of nodes"
        made = {name for node in self.new for name in node.output}
        made |= _computed(self.file.graph) & self.after.keys()
        needed, behind = _needed(graph), self.on_the_way(made)
        for index in set(range(len(self.file.graph.node))) - set(kept):
            node = self.file.graph.node[index]
            outputs = {name for name in node.output if name}
            if outputs & (needed - made):
                yield f"{node.op_type} '{node.name}' is gone, and something needs it"
            replaced = outputs & (made | behind) or self.on_the_way(outputs) & set(self.changed)
            if not replaced and not self._idle_and_lost(node):
                yield f"{node.op_type} '{node.name}' is gone for no reason"
        twice = Counter(node.name for node in graph.node if node.name)
        before = Counter(node.name for node in self.file.graph.node)
        yield from (f"nodes called '{n}'" for n, c in twice.items() if c > max(1, before[n]))

    def _idle_and_lost(self, node: onnx.NodeProto) -> bool:
        """Whether nothing needed the node before, either, and what it is made of is gone."""
        outputs = [info.name for info in self.file.graph.output]
        if set(node.output) & {*outputs, *self.on_the_way(outputs)}:
            return False
        sources = self.on_the_way(node.output) & _computed(self.file.graph)
        return bool(self.changed) or not sources <= _computed(self.written.graph)

    def initializers(self) -> Iterator[str]:
        brought = {name for node in self.new for name in node.input}
        needed, needed_before = _needed(self.written.graph), _needed(self.file.graph)
        sparse = {tensor.values.name: tensor for tensor in self.written.graph.sparse_initializer}
        for name in self.before.keys() & self.after.keys() - set(self.changed) - brought:
            if not _equal(self.before[name], self.after[name]):
                yield f"the values of initializer '{name}'"
        for name in self.after.keys() - self.before.keys() - _computed(self.file.graph) - brought:
            yield f"initializer '{name}' is new, and no new node reads it"
        for name in self.before.keys() - self.after.keys():
            if name in needed or name not in needed_before:
                yield f"initializer '{name}' is gone"
        for tensor in self.file.graph.sparse_initializer:
            name = tensor.values.name
            if name in needed and name not in self.changed and sparse.get(name) != tensor:
                yield f"sparse initializer '{name}'"
        if [n for n in self.after if n in self.before] != [
            n for n in self.before if n in self.after
        ]:
            yield "the order of initializers"
        documented = {
            t.name: (t.doc_string, [*t.metadata_props]) for t in self.file.graph.initializer
        }
        for tensor in self.written.graph.initializer:
            told = tensor.doc_string, [*tensor.metadata_props]
            if told != documented.get(tensor.name, told):
                yield f"the documentation of initializer '{tensor.name}'"

    def declarations(self) -> Iterator[str]:
        before = {info.name: info for info in self.file.graph.value_info}
        after = {info.name: info for info in self.written.graph.value_info}
        there = {*_computed(self.written.graph), *self.after}
        gone = {*_computed(self.file.graph), *self.before} - there
        ours = {n for x in self.written.graph.node if x.domain == OP_DOMAIN for n in x.output}
        inferred = self._inferred(ours)
        for name in after.keys() - ours:
            if name not in before:
                yield f"'{name}' is declared"
            elif _key(after[name]) != _key(before[name]):
                yield f"the declaration of '{name}'"
        for name, info in before.items():
            differs = not _agree(_sizes(info), inferred.get(name))
            if name in after and (name in gone or differs):
                yield f"'{name}' is declared, but is not there or {inferred.get(name)}"
            if name not in after and name not in gone and not differs:
                yield f"'{name}' is not declared any more"

    def _inferred(self, ours: set[str]) -> dict[str, list[int | None] | None]:
        """What the shapes are, whatever is declared."""
        bare = onnx.ModelProto()
        bare.CopyFrom(self.written)
        declared = [info for info in bare.graph.value_info if info.name in ours]
        del bare.graph.value_info[:]
        bare.graph.value_info.extend(declared)
        known = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
        found = {info.name: _sizes(info) for info in (*known.value_info, *known.output)}
        return found | {name: list(array.shape) for name, array in self.after.items()}

    def inputs(self) -> Iterator[str]:
        freed = {tensor.name for tensor in self.file.graph.initializer}
        inputs = [_key(info) for info in self.file.graph.input if info.name not in freed]
        if [_key(info) for info in self.written.graph.input] != inputs:
            yield "the inputs"

    def outputs(self) -> Iterator[str]:
        """A shape may come where there is none; a number may go where inputs are open."""
        inputs = [_sizes(info) for info in self.file.graph.input]
        fixed = all(sizes is not None and None not in sizes for sizes in inputs)
        old, new = self.file.graph.output, self.written.graph.output
        if [info.name for info in old] != [info.name for info in new]:
            yield "the names of outputs"
            return
        for was, now in zip(old, new, strict=True):
            dims = was.type.tensor_type.shape.dim
            copy = onnx.ValueInfoProto()
            copy.CopyFrom(now)
            if not was.type.tensor_type.HasField("shape"):
                copy.type.CopyFrom(was.type)
                if not was.HasField("type"):
                    copy.ClearField("type")
            for a, b in zip(dims, copy.type.tensor_type.shape.dim, strict=False):
                if a.HasField("dim_value") and not b.HasField("dim_value") and not fixed:
                    b.CopyFrom(a)
            if _key(copy) != _key(was):
                yield f"the declaration of output '{was.name}'"

    def versions(self) -> Iterator[str]:
        ours = any(node.domain == OP_DOMAIN for node in self.written.graph.node)
        before = [(o.domain, o.version) for o in self.file.opset_import if o.domain != OP_DOMAIN]
        after = [(o.domain, o.version) for o in self.written.opset_import]
        if after != before + [(OP_DOMAIN, 1)] * ours:
            yield f"opset imports {after}, were {before}"
        least = max(self.file.ir_version, 8 if ours else 4 if self.after else 0)
        if self.written.ir_version != least:
            yield f"ir_version {self.written.ir_version}, was {self.file.ir_version}"
        functions = {_key(f) for f in self.written.functions if f.domain != OP_DOMAIN}
        if not functions <= {_key(f) for f in self.file.functions}:
            yield "a function"
        called = {(n.domain, n.op_type) for n in self.written.graph.node}
        for function in self.file.functions:
            if (function.domain, function.name) in called and _key(function) not in functions:
                yield f"function '{function.name}' is gone"


def _agree(one: list[int | None] | None, other: list[int | None] | None) -> bool:
    """Whether two shapes may be the same."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        a == b or a is None or b is None for a, b in zip(one, other, strict=True)
    )
