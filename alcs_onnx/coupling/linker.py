"""What coupling rules say: which positions of which tensors are one channel.

Every channel starts as a number of its own; rules link numbers that live and die together and
freeze those that have to stay. An activation varies with its channels along at most one axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from alcs_onnx.differences import is_float
from alcs_onnx.graph import Model, Node, told, values_of_sizes
from alcs_onnx.graph.model import Array
from alcs_onnx.op_traits import LINEAR
from alcs_onnx.types import IntArray, Shape


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of an activation: `ids` along `axis`, one for each position.

    `axis` is None where no axis can change; `ids` then holds the one channel (or the frozen
    ones) that the whole tensor comes from.
    """

    axis: int | None
    ids: IntArray


@dataclass(frozen=True)
class Use:
    """One axis of an initializer whose positions are channels, and the first node to say so.

    `own` tells that only this node's reading of the initializer is meant: others have uses of
    their own, and may keep other positions.
    """

    tensor: str
    axis: int
    role: str
    node: str
    own: bool = False

    @property
    def key(self) -> tuple[str, int, str]:
        """What is one and the same use."""
        return self.tensor, self.axis, self.node if self.own else ""


class Linker:
    """Collects what the rules say about one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.channels: dict[str, Channels] = {}
        self.uses: dict[tuple[str, int, str], tuple[Use, IntArray]] = {}
        #: Axes of constants along which some node reads channels, whatever others do with them.
        self.read: set[tuple[str, int]] = set()
        #: Nodes that sum or compare over channels, each with those channels.
        self.mixed: list[tuple[str, IntArray]] = []
        #: Tensors that come of sizes alone: they carry no channels.
        self.sizes: set[str] = set()
        #: Nodes whose rule has spoken.
        self.ruled: set[str] = set()
        self._values = values_of_sizes(model, model.shapes)
        self._declared: set[tuple[str, int, str]] = set()
        self._count = 0
        self._links: list[tuple[IntArray, IntArray]] = []
        self._frozen: list[tuple[IntArray, str]] = []
        self._fixed_tensors: dict[str, str] = {}

    # -- for rules -----------------------------------------------------------------------

    def shape(self, tensor: str) -> Shape:
        """The static shape of `tensor`; `KeyError` when it is not known."""
        return self.model.shapes[tensor]

    def value(self, tensor: str) -> Array | None:
        """A constant, or what comes of sizes alone at the measured sizes; None for all else."""
        return self.model.initializers.get(tensor, self._values.get(tensor))

    def is_constant(self, tensor: str) -> bool:
        """Whether `tensor` is an initializer, or a dequantised one."""
        return tensor in self.model.initializers or self._quantised(tensor) is not None

    def looks_up(self, node: Node) -> bool:
        """Whether `node` takes rows of a constant of floats: a table of positions or words."""
        if not node.is_op("Gather") or not self.is_constant(node.inputs[0]):
            return False
        table = self.model.initializers.get(node.inputs[0])
        return table is None or is_float(table.dtype)  # a dequantised one is of floats

    def fresh(self, count: int) -> IntArray:
        """Numbers of `count` new channels."""
        self._count += count
        return np.arange(self._count - count, self._count, dtype=np.int64)

    def link(self, first: IntArray, second: IntArray) -> None:
        """Declare that the channels of the two arrays are the same, one by one."""
        if first is not second:
            a, b = np.broadcast_arrays(first, second)
            self._links.append((a.reshape(-1), b.reshape(-1)))

    def freeze(self, ids: IntArray, reason: str) -> None:
        """Declare that these channels have to stay."""
        self._frozen.append((np.asarray(ids).reshape(-1), reason))

    def freeze_tensor(self, tensor: str, reason: str) -> None:
        """The same for all channels of a tensor, activation or constant."""
        if not tensor:
            return
        if self.is_constant(tensor):
            self._fixed_tensors.setdefault(self._quantised(tensor) or tensor, reason)
        elif tensor in self.channels:
            self.freeze(self.channels[tensor].ids, reason)

    def set(self, tensor: str, axis: int | None, ids: IntArray) -> None:
        """Give the activation `tensor` its channels."""
        if tensor:
            self.channels[tensor] = Channels(axis, np.asarray(ids, dtype=np.int64))

    def pass_frozen(self, source: str, output: str, reason: str) -> None:
        """`output` comes of `source` alone, whose channels have to stay, and so do its own.

        What made `source` stay first is the reason that is told.
        """
        self.freeze_tensor(source, reason)
        self.set(output, None, self.channels[source].ids)

    def set_sizes(self, node: Node) -> None:
        """The outputs of `node` come of sizes alone."""
        for name in filter(None, node.outputs):
            self.sizes.add(name)
            self.set_frozen(name, f"{told(node)} makes it of sizes")

    def mix(self, node: Node, ids: IntArray) -> None:
        """Declare that `node` takes one value of these channels together: a sum, a mean, a norm.

        Without some of them the value is that of the others (see `rewrite.masked`).
        """
        self.mixed.append((node.name, np.asarray(ids).reshape(-1)))

    def set_frozen(self, tensor: str, reason: str) -> None:
        """An activation that comes from something unknown."""
        ids = self.fresh(1)
        self.set(tensor, None, ids)
        self.freeze(ids, reason)

    def along(self, tensor: str, axis: int, reader: Node, expected: int | None = None) -> IntArray:
        """The channels of an activation along `axis`, one for each position.

        Where they lie along another axis they are frozen: `reader` cannot follow them there.
        `expected` is their number where the shape of the tensor is not known.
        """
        found = self.channels[tensor]
        if found.axis == axis:
            return found.ids
        known = self.model.shapes.get(tensor)
        size = expected if known is None else known[axis]
        if size is None:
            raise KeyError(tensor)
        if found.axis is not None:
            self.freeze(found.ids, f"{told(reader)} reads another axis as its channels")
        elif size > 1:
            self.freeze(found.ids, f"{told(reader)} reads them all along one axis")
        return np.repeat(found.ids[:1], size)

    def use(self, tensor: str, axis: int, ids: IntArray, role: str, node: Node) -> None:
        """Declare that the positions of a constant along `axis` are these channels.

        A vector that several nodes read ties none of them to another: each has its own use.
        """
        source = self._quantised(tensor)
        if source is not None:
            self._use_quantised(tensor, source, axis, ids, role, node)
            return
        self._declared.add((tensor, axis, node.name))
        if role == "in":
            self.read.add((tensor, axis))
        use = Use(tensor, axis, role, node.name, own=self._can_be_copied(tensor))
        known = self.uses.get(use.key)
        if known is None:
            self.uses[use.key] = (use, np.asarray(ids, dtype=np.int64))
        else:
            self.link(known[1], ids)

    # -- for the analysis ----------------------------------------------------------------

    def resolve(self) -> tuple[IntArray, dict[int, str]]:
        """The class of every channel number, and the reasons of the frozen classes."""
        for use, ids in self.uses.values():
            tensor, axis = use.tensor, use.axis
            if use.own:
                continue
            for reader in self._readers(tensor):
                if (tensor, axis, reader.name) not in self._declared:
                    self.freeze(ids, f"{told(reader)} reads '{tensor}', too, and needs it whole")
            if tensor in self._fixed_tensors:
                self.freeze(ids, self._fixed_tensors[tensor])
        first = np.concatenate([a for a, _ in self._links] or [np.empty(0, np.int64)])
        second = np.concatenate([b for _, b in self._links] or [np.empty(0, np.int64)])
        graph = coo_array(
            (np.ones(first.size, np.int8), (first, second)), shape=(self._count, self._count)
        )
        classes = connected_components(graph, directed=False)[1].astype(np.int64)
        reasons: dict[int, str] = {}
        for ids, reason in self._frozen:
            for number in np.unique(classes[ids]):
                reasons.setdefault(int(number), reason)
        return classes, reasons

    def _can_be_copied(self, tensor: str) -> bool:
        """Whether a constant is a vector of parameters that each of several readers may have alone.

        Not one that is a weight of some layer, quantised, read by a subgraph or given out.
        """
        array = self.model.initializers[tensor]
        readers = self.model.consumers(tensor)
        return (
            len(readers) > 1
            and array.size == max(array.shape, default=1)
            and not self.model.is_output(tensor)
            and not any(
                tensor not in reader.inputs
                or (reader.is_op(*LINEAR, "Einsum") and tensor in reader.inputs[:2])
                or (reader.is_op("DequantizeLinear") and tensor == reader.inputs[0])
                for reader in readers
            )
        )

    def _readers(self, tensor: str) -> Iterator[Node]:
        """Who uses a constant: of a quantised one, those that read its dequantised form."""
        for reader in self.model.consumers(tensor):
            if reader.is_op("DequantizeLinear") and reader.inputs[0] == tensor:
                yield from self.model.consumers(reader.outputs[0])
            else:
                yield reader

    def freeze_parameters(self, node: Node) -> None:
        """Freeze what the inputs after the first are computed from: sizes, places and the like."""
        for name in node.inputs[1:]:
            if name in self.channels:
                self.freeze_tensor(name, f"{told(node)} reads it as a parameter")

    def _quantised(self, tensor: str) -> str | None:
        """The initializer that `tensor` is the dequantised form of."""
        node = self.model.producer(tensor)
        if node is None or not node.is_op("DequantizeLinear"):
            return None
        return node.inputs[0] if node.inputs[0] in self.model.initializers else None

    def _use_quantised(
        self, tensor: str, source: str, axis: int, ids: IntArray, role: str, node: Node
    ) -> None:
        """The stored integers, and the scales and zero points that go with their axis."""
        dequantise = self.model.producer(tensor)
        assert dequantise is not None
        self.use(source, axis, ids, role, node)
        rank = len(self.shape(source))
        own = dequantise.int_attribute("axis", 1) % max(rank, 1)
        for name in dequantise.inputs[1:]:
            if not name or self.shape(name) in ((), (1,)):
                continue
            if len(self.shape(name)) > 1 or dequantise.int_attribute("block_size", 0):
                self.freeze(ids, f"{told(dequantise)} has scales for blocks of weights")
            elif own == axis:
                self.use(name, 0, ids, "vector", dequantise)
