"""From what the rules say to groups of channels with exact index maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alcs_onnx.coupling.linker import Linker, Use
from alcs_onnx.coupling.rules import Rule, rule_of
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, Node, told
from alcs_onnx.types import BoolArray, ChannelGroup, ChannelSlot, IntArray


@dataclass(frozen=True, eq=False)
class Coupling:
    """The channel groups of one model, and where every channel lies in every tensor.

    Channels that are linked are one *class*. `activations[tensor]` is the axis along which an
    activation varies with its channels and the class at each position; `constants[tensor]`
    has the same for each axis of an initializer that counts channels; `copies[tensor, node]` has
    it for a vector that several nodes read, each of which may keep other positions of its own
    copy. `members[group]` are the classes of a group, in the order of the group's channels.
    """

    topology_digest: str
    groups: tuple[ChannelGroup, ...]
    activations: Mapping[str, tuple[int, IntArray]]
    constants: Mapping[str, Mapping[int, IntArray]]
    copies: Mapping[tuple[str, str], Mapping[int, IntArray]]
    members: Mapping[str, IntArray]
    class_count: int
    #: Axes of initializers along which some layer reads channels.
    read: frozenset[tuple[str, int]]
    #: Nodes whose rule speaks of their channels; the others keep everything that they touch.
    ruled: frozenset[str]
    #: Nodes that take one value of several channels together: a mean, a norm, a product.
    mixing: frozenset[str]
    #: Tensors that come of sizes alone.
    sizes: frozenset[str]

    def group(self, name: str) -> ChannelGroup:
        """The group called `name`; raises `KeyError` when there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)

    @property
    def prunable(self) -> tuple[ChannelGroup, ...]:
        """The groups that can lose channels."""
        return tuple(group for group in self.groups if not group.frozen)

    @property
    def frozen(self) -> Mapping[str, str]:
        """The other groups, each with the reason."""
        return {group.name: group.frozen for group in self.groups if group.frozen}

    def removed(self, keep: Mapping[str, BoolArray]) -> Iterator[tuple[ChannelSlot, IntArray]]:
        """Each slot that loses channels, and the positions along its axis that go.

        Not those of `copies`: the initializer that they are copied from has other readers.
        """
        for group in self.groups:
            mask = keep.get(group.name)
            if mask is not None and not mask.all():
                for slot in group.slots:
                    if (slot.tensor, slot.node) not in self.copies:
                        yield slot, slot.indices[~mask].reshape(-1)

    def kept_classes(self, keep: Mapping[str, BoolArray]) -> BoolArray:
        """Which classes stay when each group keeps the channels of `keep[group]`.

        Raises `AlcsError` for a group that is unknown or frozen, for a mask of another length,
        and for one that keeps nothing.
        """
        kept = np.ones(self.class_count, dtype=bool)
        names = {group.name: group for group in self.groups}
        for name, mask in keep.items():
            group = names.get(name)
            if group is None:
                raise AlcsError(f"the model has no channel group '{name}'")
            if mask.shape != (group.channels,):
                raise AlcsError(
                    f"channel group '{name}' has {group.channels} channels, "
                    f"the mask is of shape {list(mask.shape)}"
                )
            if not mask.any():
                raise AlcsError(f"channel group '{name}' would keep no channel at all")
            if group.frozen and not mask.all():
                raise AlcsError(f"channel group '{name}' cannot lose channels: {group.frozen}")
            kept[self.members[name]] = mask
        return kept


def analyse(model: Model) -> Coupling:
    """Which channels of `model` live and die together.

    An operator without a rule, or one that is used in a way its rule does not cover, freezes
    what it touches and says why: the analysis itself fails on no valid model. Channels of
    graph inputs and outputs are frozen.
    """
    linker = Linker(model)
    for info in model.inputs:
        linker.set_frozen(info.name, f"graph input '{info.name}'")
    for node in model.nodes:
        _apply(linker, node)
    for info in model.outputs:
        linker.freeze_tensor(info.name, f"graph output '{info.name}'")
    return _group(linker)


def _apply(linker: Linker, node: Node) -> None:
    """Let the rule of `node` speak, or freeze what the node touches."""
    activations = [name for name in node.reads if not linker.is_constant(name)]
    if activations and linker.sizes.issuperset(activations) and not linker.looks_up(node):
        linker.set_sizes(node)
        return
    rule = rule_of(node)
    reason = f"{told(node)} has no coupling rule" if rule is None else _obstacle(linker, node, rule)
    if rule is not None and reason is None:
        linker.ruled.add(node.name)
        rule.link(linker, node)
        if not rule.reads_others:
            linker.freeze_parameters(node)
        return
    assert reason is not None
    for name in node.reads:
        linker.freeze_tensor(name, reason)
    for name in node.outputs:
        linker.set_frozen(name, reason)


def _obstacle(linker: Linker, node: Node, rule: Rule) -> str | None:
    """Why a node's rule cannot be asked; None where it can."""
    for name in filter(None, (*node.inputs, *node.outputs) if rule.needs_shapes else ()):
        if name not in linker.model.shapes:
            return f"{told(node)}: the shape of '{name}' is not known"
    if not any(node.outputs) or (not node.outputs[0] and not node.is_op("Split")):
        return f"{told(node)} leaves out its first output"
    if set(node.reads) - {name for name in node.inputs if name}:
        return f"{told(node)}: a subgraph reads it"
    if rule.reads_first and node.input(0) not in linker.channels:
        return f"{told(node)} works on constants"
    return None


def _group(linker: Linker) -> Coupling:
    classes, reasons = linker.resolve()
    count = int(classes.max()) + 1 if classes.size else 0
    activations = {
        name: (found.axis, classes[found.ids])
        for name, found in linker.channels.items()
        if found.axis is not None
    }
    uses = [(use, classes[ids]) for use, ids in linker.uses.values()]
    mixed = [(name, classes[ids]) for name, ids in linker.mixed]
    group_of = _signatures(count, activations, uses, reasons)
    constants: dict[str, dict[int, IntArray]] = {}
    copies: dict[tuple[str, str], dict[int, IntArray]] = {}
    for use, ids in uses:
        if use.own:
            copies.setdefault((use.tensor, use.node), {})[use.axis] = ids
        else:
            constants.setdefault(use.tensor, {})[use.axis] = ids
    groups, members = _make_groups(linker.model, group_of, uses, reasons)
    groups = tuple(_told_of_mixing(group, members[group.name], mixed) for group in groups)
    return Coupling(
        topology_digest=linker.model.topology_digest,
        groups=groups,
        activations=activations,
        constants=constants,
        copies=copies,
        members=members,
        class_count=count,
        read=frozenset(linker.read),
        ruled=frozenset(linker.ruled),
        mixing=frozenset(name for name, _ in mixed),
        sizes=frozenset(linker.sizes),
    )


def _told_of_mixing(
    group: ChannelGroup, members: IntArray, mixed: Sequence[tuple[str, IntArray]]
) -> ChannelGroup:
    """The group with the nodes that take one value of its channels together."""
    nodes = tuple(dict.fromkeys(n for n, ids in mixed if np.isin(members, ids).any()))
    return replace(group, mixed_by=nodes) if nodes else group


def _signatures(
    count: int,
    activations: Mapping[str, tuple[int, IntArray]],
    uses: Sequence[tuple[Use, IntArray]],
    reasons: Mapping[int, str],
) -> IntArray:
    """The group of every class: classes that occur equally often in the same tensors.

    Compared by sums of random numbers, one for each tensor; -1 for classes that no weight has.
    """
    rng = np.random.default_rng(0)
    sums = np.zeros((count, 2), dtype=np.uint64)
    in_weights = np.zeros(count, dtype=bool)
    arrays = [ids for _, ids in activations.values()] + [ids for _, ids in uses]
    for ids in arrays:
        found, times = np.unique(ids, return_counts=True)
        numbers = rng.integers(0, 2**64, size=2, dtype=np.uint64)
        sums[found] += times[:, None].astype(np.uint64) * numbers
    for _, ids in uses:
        in_weights[ids] = True
    told_apart = {reason: index + 1 for index, reason in enumerate(sorted(set(reasons.values())))}
    frozen = np.zeros(count, dtype=np.uint64)
    for number, reason in reasons.items():
        frozen[number] = told_apart[reason]
    _, group_of = np.unique(np.column_stack([sums, frozen]), axis=0, return_inverse=True)
    return np.where(in_weights, group_of.reshape(-1), -1)


def _make_groups(
    model: Model,
    group_of: IntArray,
    uses: Sequence[tuple[Use, IntArray]],
    reasons: Mapping[int, str],
) -> tuple[tuple[ChannelGroup, ...], dict[str, IntArray]]:
    order = {node.name: index for index, node in enumerate(model.nodes)}
    # Where each group's channels come from first, which also puts them into their order.
    by_place = sorted(uses, key=lambda u: (u[0].role != "out", order[u[0].node]))
    rank = np.full(group_of.size, -1, dtype=np.int64)
    members: dict[int, IntArray] = {}
    for _, ids in by_place:
        first = np.sort(np.unique(ids, return_index=True)[1])
        new = ids[first][rank[ids[first]] < 0]
        for number in np.unique(group_of[new]):
            own = new[group_of[new] == number]
            before = members.get(int(number), np.empty(0, np.int64))
            rank[own] = before.size + np.arange(own.size)
            members[int(number)] = np.concatenate([before, own])
    slots: dict[int, list[ChannelSlot]] = {}
    for use, ids in sorted(uses, key=lambda u: order[u[0].node]):
        numbers = group_of[ids]
        for number in np.unique(numbers):
            positions = np.flatnonzero(numbers == number)
            sort = np.argsort(rank[ids[positions]], kind="stable")
            indices = positions[sort].reshape(members[int(number)].size, -1)
            slots.setdefault(int(number), []).append(
                ChannelSlot(use.tensor, use.axis, use.role, use.node, indices)
            )
    groups, named = [], {}
    taken: dict[str, int] = {}
    for number, found in sorted(slots.items(), key=lambda item: _first(item[1], order)):
        base = next((slot.node for slot in found if slot.role == "out"), found[0].node)
        taken[base] = taken.get(base, 0) + 1
        name = base if taken[base] == 1 else f"{base}#{taken[base]}"
        classes = members[number]
        reason = reasons.get(int(classes[0]), "")
        if not reason and classes.size == 1:
            alone = max(slot.indices.shape[1] for slot in found) == 1
            what = (
                "has a single channel" if alone else "has channels that are linked to one another"
            )
            reason = f"node '{base}' {what}"
        groups.append(ChannelGroup(name, int(classes.size), tuple(found), reason))
        named[name] = classes
    return tuple(groups), named


def _first(slots: list[ChannelSlot], order: Mapping[str, int]) -> tuple[int, int]:
    producers = [slot for slot in slots if slot.role == "out"] or slots
    first = min(producers, key=lambda slot: order[slot.node])
    return order[first.node], int(first.indices.min())
