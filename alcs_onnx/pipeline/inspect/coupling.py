"""Channel groups in terms of the file's nodes."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from alcs_onnx.coupling import Coupling, analyse
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.inspect.result import CouplingFacts, GroupFacts, SlotFacts
from alcs_onnx.pipeline.inspect.subject import Subject
from alcs_onnx.types import ChannelGroup, Shape


def coupling_facts(subject: Subject) -> CouplingFacts:
    """All channel groups of the model; raises `ModelError` where it cannot be normalised."""
    model = subject.normalised()
    coupling = analyse(model)
    through = _nodes_through(subject, model, coupling)
    groups = tuple(
        _group_facts(subject, model, group, through[index])
        for index, group in enumerate(coupling.groups)
    )
    return CouplingFacts(
        groups=groups,
        prunable_groups=sum(not group.frozen for group in groups),
        prunable_channels=sum(group.channels for group in groups if not group.frozen),
        channels=sum(group.channels for group in groups),
    )


def _group_facts(
    subject: Subject, model: Model, group: ChannelGroup, through: set[str]
) -> GroupFacts:
    members = tuple(
        SlotFacts(
            subject.file_node(slot.node),
            slot.tensor,
            slot.axis,
            slot.role,
            int(slot.indices.shape[1]),
        )
        for slot in group.slots
    )
    nodes = through | {member.node for member in members}
    return GroupFacts(
        name=group.name,
        channels=group.channels,
        frozen=group.frozen,
        members=members,
        nodes=tuple(node.name for node in subject.nodes if node.name in nodes),
        parameters=_parameters(model, group),
        mixed_by=tuple(dict.fromkeys(filter(None, map(subject.file_node, group.mixed_by)))),
    )


def _parameters(model: Model, group: ChannelGroup) -> int:
    """Values that go with all channels: whatever lies at one of their positions on any axis."""
    gone: dict[str, dict[int, set[int]]] = {}
    for slot in group.slots:
        axes = gone.setdefault(slot.tensor, {})
        axes.setdefault(slot.axis, set()).update(slot.indices.ravel().tolist())
    total = 0
    for name, axes in gone.items():
        shape: Shape = model.initializers[name].shape
        stays = prod(size - len(axes.get(axis, ())) for axis, size in enumerate(shape))
        total += prod(shape) - stays
    return total


def _nodes_through(subject: Subject, model: Model, coupling: Coupling) -> list[set[str]]:
    """For each group, the nodes of the file that its channels run through."""
    group_of = np.full(coupling.class_count, -1, dtype=np.int64)
    for index, group in enumerate(coupling.groups):
        group_of[coupling.members[group.name]] = index
    groups_in = {
        tensor: {int(number) for number in np.unique(group_of[ids]) if number >= 0}
        for tensor, (_, ids) in coupling.activations.items()
    }
    known = _aliases(subject, model)
    through: list[set[str]] = [set() for _ in coupling.groups]
    for node in subject.nodes:
        for tensor in (*node.reads, *node.outputs):
            for number in groups_in.get(known.get(tensor, tensor), ()):
                through[number].add(node.name)
    return through


def _aliases(subject: Subject, model: Model) -> dict[str, str]:
    """Tensors of the file that the normalised model has no more, and what they are there.

    Behind a node that was folded away or taken over by the one before, that is what it reads; in
    front of one whose result the node before computes now, that is this result.
    """
    here = {info.name for info in model.inputs} | {o for n in model.nodes for o in n.outputs}
    names = {node.name for node in model.nodes}
    gone = [node for node in subject.nodes if node.name not in names]
    constants = subject.file.model.initializers
    known: dict[str, str] = {}

    def meet(tensors: Iterable[str], others: Iterable[str]) -> None:
        sources = [name for name in others if name in here or name in known]
        for tensor in tensors:
            if tensor and tensor not in here and tensor not in constants and sources:
                known.setdefault(tensor, known.get(sources[0], sources[0]))

    for node in gone:
        meet(node.outputs, node.reads)
    for node in reversed(gone):
        meet(node.reads, node.outputs)
    return known
