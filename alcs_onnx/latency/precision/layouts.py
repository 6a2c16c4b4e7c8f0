"""The changes of memory layout that the runtime adds, and which tensors they are of.

The runtime adds ReorderInput and ReorderOutput, to and from the blocked layout of float32
convolutions, and Transposes, to and from the channels-last layout of int8 ones. Their names say
nothing. Which tensor one is of is told by its shape, and by the order in which nodes ran: a change
runs close to the node that needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from alcs_onnx.graph import Model
from alcs_onnx.target import NodeTimes
from alcs_onnx.types import Shape

_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class LayoutChange:
    """A node that changes the layout of one of `tensors`, before or `behind` a node of the model.

    `tensors` are those of the node that have the shape, of which at most one is read or written by
    another node: the others are between the node and what is fused into it.
    """

    node: str
    tensors: tuple[str, ...]
    behind: bool
    ms: float


@dataclass(frozen=True, eq=False)
class LayoutChanges:
    """Finds the changes of layout in the profile of a model.

    `places` is the model's node that each node of the profile is, and `members` what each of these
    consists of: the node itself and those fused into it. `blocked` are the tensors that are
    computed in the blocked layout.
    """

    model: Model
    profile: NodeTimes
    places: Mapping[str, str]
    members: Mapping[str, Collection[str]]
    blocked: Collection[str]

    def found(self) -> tuple[LayoutChange, ...]:
        """All changes whose tensor can be told, in the order in which they ran."""
        order = list(self.profile.nodes)
        added = (i for i, ran in enumerate(order) if ran not in self.places)
        changes = (self._change(order[i], order[:i][::-1], order[i + 1 :]) for i in added)
        return tuple(change for change in changes if change is not None)

    def _change(self, ran: str, before: list[str], after: list[str]) -> LayoutChange | None:
        read, written = self.profile.reads.get(ran), self.profile.writes.get(ran)
        if read is None or written is None:
            return None
        ms = self.profile.nodes[ran]
        match self.profile.op_types[ran]:
            case "ReorderOutput":
                return self._behind(before, written.shape, self.blocked, ms)
            case "ReorderInput":
                return self._before(after, read.shape, ms)
            case "Transpose":
                back = permuted(read.shape, _CHANNELS_FIRST) == written.shape
                found = self._behind(before, written.shape, self.model.shapes, ms) if back else None
                return found or self._before(after, read.shape, ms)
        return None

    def _behind(
        self, before: Iterable[str], shape: Shape, among: Collection[str], ms: float
    ) -> LayoutChange | None:
        """The change behind the last node that wrote one of the tensors `among`, of `shape`."""
        for node in map(self.places.get, before):
            outputs = (t for name in self._nodes(node) for t in self.model.node(name).outputs)
            tensors = tuple(t for t in outputs if self._has(t, shape) and t in among)
            if node and tensors:
                return LayoutChange(node, tensors, True, ms)
        return None

    def _before(self, after: Iterable[str], shape: Shape, ms: float) -> LayoutChange | None:
        """The change before the next node that reads a tensor of `shape`."""
        for node in map(self.places.get, after):
            inputs = (t for name in self._nodes(node) for t in self.model.node(name).inputs)
            tensors = tuple(dict.fromkeys(t for t in inputs if self._has(t, shape)))
            if node and tensors:
                return LayoutChange(node, tensors, False, ms)
        return None

    def _nodes(self, node: str | None) -> Collection[str]:
        return self.members.get(node, ()) if node else ()

    def _has(self, tensor: str, shape: Shape) -> bool:
        return self.model.shapes.get(tensor) == shape and tensor not in self.model.initializers


def is_channels_last(written: Shape, shape: Shape) -> bool:
    """Whether a tensor that the file has in `shape` was written channels last."""
    return permuted(shape, _CHANNELS_LAST) == written != shape


def permuted(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape after a transposition; empty for another number of axes."""
    return tuple(shape[axis] for axis in axes) if len(shape) == len(axes) else ()
