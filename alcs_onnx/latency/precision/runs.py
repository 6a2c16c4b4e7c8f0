"""One profile of a model, float32 or quantized, in terms of the model's nodes and tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from alcs_onnx.graph import Model
from alcs_onnx.latency.attribution import NodeRun, attribute, places
from alcs_onnx.latency.precision.layouts import LayoutChange, LayoutChanges, is_channels_last
from alcs_onnx.latency.precision.prices import Point
from alcs_onnx.latency.precision.qdq_names import Conversion, converted
from alcs_onnx.op_traits import ops_with
from alcs_onnx.target import ModelTimes, NodeTimes

#: The most that the profiler adds to a node (ms); more is a disturbance of the runs beside it.
_MOST_OVERHEAD = 0.004
_EIGHT_BITS = frozenset({"int8", "uint8"})
#: Nodes whose output stays in the blocked layout if their inputs are in it.
_BLOCKED = ops_with(lambda op: op.blocked)


def as_in_whole_runs(times: ModelTimes) -> NodeTimes:
    """The profile without the profiler's part, scaled so that its nodes take what a run takes."""
    profile, wall = times.profile, float(np.median(times.wall))
    excess = (profile.total - wall) / max(1, len(profile.nodes))
    overhead = min(max(excess, 0.0), _MOST_OVERHEAD)
    nodes = {name: max(ms - overhead, 0.0) for name, ms in profile.nodes.items()}
    ratio = wall / sum(nodes.values()) if any(nodes.values()) else 1.0
    return replace(profile, nodes={name: ms * ratio for name, ms in nodes.items()})


@dataclass(frozen=True, eq=False)
class Runs:
    """A model and the profile of one of its files, as `as_in_whole_runs` makes it."""

    model: Model
    profile: NodeTimes

    @cached_property
    def by_node(self) -> Mapping[str, NodeRun]:
        """What became of each node; changes of layout and conversions are not in the times."""
        return {run.node: run for run in attribute(self.model, self.profile) if run.node}

    @cached_property
    def eight_bits(self) -> frozenset[str]:
        """The nodes that read or wrote 8-bit integers."""
        return frozenset(
            node
            for ran, node in self._places.items()
            for tensors in (self.profile.reads, self.profile.writes)
            if ran in tensors and tensors[ran].element in _EIGHT_BITS
        )

    @cached_property
    def conversions(self) -> Mapping[tuple[Conversion, str], float]:
        """Time (ms) of each conversion of a tensor; of those without a name, by an empty one."""
        found: dict[tuple[Conversion, str], float] = {}
        for ran, ms in self._added():
            key = converted(ran, self.profile.op_types[ran], self.model.shapes)
            if key is not None:
                found[key] = found.get(key, 0.0) + ms
        return found

    def layout_ms(self, node: str) -> float:
        """Time (ms) of the changes of layout before and behind `node`: they go where it goes."""
        return sum(change.ms for change in self._layouts if change.node == node)

    @cached_property
    def changed_behind(self) -> frozenset[str]:
        """The tensors that are brought back to the file's layout behind their producers."""
        return frozenset(t for change in self._layouts if change.behind for t in change.tensors)

    def channels_last(self, tensor: str) -> bool:
        """Whether `tensor` was computed in the channels-last layout of int8 convolutions."""
        producer = self.model.producer(tensor)
        if producer is None or tensor not in self.model.shapes:
            return False
        main = self.by_node[producer.name].into or producer.name
        written = self.profile.writes.get(self._ran.get(main, ""))
        return written is not None and is_channels_last(written.shape, self.model.shapes[tensor])

    @cached_property
    def blocked(self) -> frozenset[str]:
        """The tensors that were computed in the blocked layout of float32 convolutions."""
        found: set[str] = set()
        for node in self.model.nodes:
            inputs = [name for name in node.inputs if name and name not in self.model.initializers]
            own = "_nchwc" in self._ran.get(node.name, "")
            if own or (node.is_op(*_BLOCKED) and inputs and found.issuperset(inputs)):
                found.update(node.outputs)
        return frozenset(found)

    def points(self, op_type: str) -> list[Point]:
        """Elements and time (ms) of the nodes of an operator that the runtime added."""
        return [
            (prod(self.profile.reads[ran].shape), ms)
            for ran, ms in self._added()
            if self.profile.op_types[ran] == op_type and ran in self.profile.reads
        ]

    def _added(self) -> Iterable[tuple[str, float]]:
        return ((r, ms) for r, ms in self.profile.nodes.items() if r not in self._places)

    @cached_property
    def _places(self) -> Mapping[str, str]:
        return places(self.model, self.profile)

    @cached_property
    def _ran(self) -> Mapping[str, str]:
        """The last name that each node of the model ran under."""
        return {node: ran for ran, node in self._places.items()}

    @cached_property
    def _layouts(self) -> tuple[LayoutChange, ...]:
        members: dict[str, list[str]] = {}
        for node in self.model.nodes:
            members.setdefault(self.by_node[node.name].into or node.name, []).append(node.name)
        changes = LayoutChanges(self.model, self.profile, self._places, members, self.blocked)
        return changes.found()
