"""Numbers that a graph computes of sizes, when some of the sizes count channels that go.

What reads such numbers is to see those that it saw before, or those that its coupling rule asks
for. A target that counts anew by itself, as Shape of a tensor with the same channels does, is left
as it is; where one is not right by itself, the sizes that it comes of are kept as they were, and
the numbers that have to change are put in place in front of the reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from alcs_onnx.coupling import Override
from alcs_onnx.graph import GraphEditor, Node, Tensor, read_sizes, values_of_sizes
from alcs_onnx.graph.model import Array
from alcs_onnx.rewrite.kept import KeptChannels
from alcs_onnx.types import Shape

#: The name of a node and the index of one of its inputs.
Place = tuple[str, int]


@dataclass(frozen=True, eq=False)
class _Reader:
    """Where a tensor of sizes is read by something else, and what that is to see.

    `place` is None for a graph output and for what a subgraph captures; `before` is None where the
    value at the measured sizes is not known.
    """

    tensor: str
    place: Place | None
    before: Array | None
    override: Override | None = None

    def right(self, value: Array | None) -> bool:
        """Whether it needs no override to see what it is to see."""
        if value is None or self.before is None:
            return False
        wanted = self.before
        if self.override is not None:
            wanted = np.where(self.override.entries, self.override.values, wanted)
        return np.array_equal(value, wanted)

    def settled(self, value: Array | None) -> bool:
        """Whether nothing but what is overridden is other than it was."""
        if value is None or self.before is None:
            return False
        if self.override is None:
            return np.array_equal(value, self.before)
        rest = ~self.override.entries
        return value.shape == rest.shape and np.array_equal(value[rest], self.before[rest])


def settle_numbers(
    editor: GraphEditor, kept: KeptChannels, overrides: Mapping[Place, Override]
) -> None:
    """Make all readers of sizes in `editor`, a copy of `kept.model`, see the right numbers.

    `overrides` are those of the rules, by place; places that read no sizes among them.
    """
    readers = list(_readers(kept, overrides))
    held: set[str] = set()
    while True:
        found = values_of_sizes(kept.model, _shapes(kept, held))
        wrong = [reader for reader in readers if not reader.settled(found.get(reader.tensor))]
        more = {source for reader in wrong for source in _sources(kept, reader.tensor)} - held
        if not more:
            break
        held |= more
    for node in kept.model.nodes:
        if node.is_op("Shape", "Size") and node.inputs[0] in held:
            _hold(editor, kept, node)
    right = {reader.place for reader in readers if reader.right(found.get(reader.tensor))}
    for place, override in overrides.items():
        if place not in right:
            _override(editor, place, override)


def _readers(kept: KeptChannels, overrides: Mapping[Place, Override]) -> Iterator[_Reader]:
    sizes = kept.coupling.sizes
    for info in kept.model.outputs:
        if info.name in sizes:
            yield _Reader(info.name, None, kept.value(info.name))
    for node in kept.model.nodes:
        if sizes.issuperset(filter(None, node.outputs)):
            continue
        for tensor in sizes.intersection(node.reads) - set(node.inputs):
            yield _Reader(tensor, None, kept.value(tensor))
        for index, tensor in enumerate(node.inputs):
            if tensor in sizes:
                place = (node.name, index)
                yield _Reader(tensor, place, kept.value(tensor), overrides.get(place))


def _shapes(kept: KeptChannels, held: set[str]) -> dict[str, Shape]:
    """All shapes without the channels that go, but for those of `held`."""
    before = kept.model.shapes
    return {name: before[name] if name in held else kept.shape(name) for name in before}


def _sources(kept: KeptChannels, tensor: str) -> Iterator[str]:
    """The tensors that lose channels whose sizes `tensor` comes of."""
    seen, stack = {tensor}, [tensor]
    while stack:
        node = kept.model.producer(stack.pop())
        if node is None:
            continue
        if node.is_op("Shape", "Size"):
            if kept.along(node.inputs[0]) is not None:
                yield node.inputs[0]
            continue
        new = set(node.reads) - seen
        seen |= new
        stack += new


def _hold(editor: GraphEditor, kept: KeptChannels, node: Node) -> None:
    """Let a Shape or Size tell the number of channels that there were."""
    lost = kept.along(node.inputs[0])
    assert lost is not None
    mask = lost[1]
    before = read_sizes(node, kept.model.shapes[node.inputs[0]])
    after = read_sizes(node, kept.shape(node.inputs[0]))
    if np.array_equal(before, after):
        return  # the part of the shape that is read is another one
    reader = editor.node(node.name)
    output, base = reader.outputs[0], node.outputs[0]
    smaller = reader.outputs[0] = editor.add_tensor(f"{base}.left")
    if node.is_op("Size"):
        times = editor.add_constant(f"{base}.all_channels", np.array(mask.size))
        left = editor.add_constant(f"{base}.left_channels", np.array(int(mask.sum())))
        product = editor.add_tensor(f"{base}.product")
        _insert(editor, f"{node.name}.times", "Mul", (smaller, times), product)
        _insert(editor, f"{node.name}.over", "Div", (product, left), output)
        return
    entries = editor.add_constant(f"{base}.counts_channels", before != after)
    values = editor.add_constant(f"{base}.all_channels", before)
    _insert(editor, f"{node.name}.all_channels", "Where", (entries, values, smaller), output)


def _override(editor: GraphEditor, place: Place, override: Override) -> None:
    """Put the numbers in place in front of the node that reads them."""
    name, index = place
    node = editor.node(name)
    base = f"{name}.input{index}"
    entries = editor.add_constant(f"{base}.counts_channels", override.entries)
    values = editor.add_constant(f"{base}.left_channels", override.values)
    changed = editor.add_tensor(base)
    _insert(editor, base, "Where", (entries, values, node.inputs[index]), changed)
    node.inputs[index] = changed


def _insert(
    editor: GraphEditor, name: str, op_type: str, inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    editor.add_node(editor.unique_node_name(name), op_type, inputs, [output])
