"""Whose time it is: from the nodes that the runtime ran to the nodes of a model file.

The runtime fuses nodes, renames them, folds some away and adds reorders of the memory layout of
its own. `fused.py` finds convolutions under their new names; here everything gets its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from alcs_onnx.graph import Model, Node
from alcs_onnx.latency.fused import (
    FUSIBLE,
    FUSIBLE_IN_GEMM,
    GATE_PARTS,
    aliases,
    find_convs,
    replaced_times,
    stem,
)
from alcs_onnx.latency.overhead import without_overhead
from alcs_onnx.target import ModelTimes, NodeTimes


@dataclass(frozen=True)
class NodeRun:
    """What became of one node in the runtime: its time (ms), and the operator it ran as.

    A node without a run of its own has `ms` 0 and `ran_as` empty; `into` names the node that it
    was fused into, and is empty where it was folded away. `node` is empty for what the runtime
    added itself, one for each of its operators.
    """

    node: str
    ms: float
    ran_as: str
    into: str = ""


@dataclass(frozen=True)
class Breakdown:
    """The median run of a model (`total_ms`) in terms of the nodes of its file.

    `overhead_ms` is what the profiler had added to each node, already taken out of `nodes`. Where
    there was any, the nodes account for the whole run; else `rest_ms` is what it took beyond
    them. Either way the times of `nodes` and `rest_ms` add up to `total_ms`.
    """

    nodes: tuple[NodeRun, ...]
    total_ms: float
    overhead_ms: float
    rest_ms: float

    def share(self, ms: float) -> float:
        """What part of the median run `ms` is, in [0, 1] for the time of a node."""
        return ms / self.total_ms if self.total_ms > 0 else 0.0


def break_down(model: Model, times: ModelTimes) -> Breakdown:
    """Where the median run of `model`, as its file has it, spends its time."""
    profile, overhead = without_overhead(times)
    total = float(np.median(times.wall))
    return Breakdown(
        nodes=attribute(model, profile),
        total_ms=total,
        overhead_ms=overhead,
        rest_ms=0.0 if overhead > 0 else max(0.0, total - profile.total),
    )


def attribute(model: Model, profile: NodeTimes) -> tuple[NodeRun, ...]:
    """One `NodeRun` for each node of `model`, in order, then those that the runtime added.

    The times add up to those of the profile.
    """
    runs: dict[str, NodeRun] = {}
    fused: dict[str, str] = {}
    convs = _convs(model, profile)
    for ran, name in convs.items():
        runs[name] = NodeRun(name, profile.nodes[ran], profile.op_types[ran])
        fused |= dict.fromkeys(_fused_before(model, name, ran), name)
    shared_out: set[str] = set()  # operators whose nodes without a place were given one
    for name, ms in replaced_times(model, profile).items():
        parts = GATE_PARTS[model.node(name).op_type]
        runs[name] = NodeRun(name, ms, "+".join(parts))
        shared_out.update(parts)
    added: dict[str, NodeRun] = {}
    found = places(model, profile)
    for ran, ms in profile.nodes.items():
        if ran in convs:
            continue
        op_type = profile.op_types[ran]
        place = found.get(ran)
        if place:
            before = runs.get(place, NodeRun(place, 0.0, op_type))
            runs[place] = replace(before, ms=before.ms + ms)
        elif op_type not in shared_out:
            before = added.get(op_type, NodeRun("", 0.0, op_type))
            added[op_type] = replace(before, ms=before.ms + ms)
    for node in model.nodes:
        if node.name not in runs and node.name not in fused:
            fused[node.name] = _fused_into(model, node, runs, fused)
    own = [
        runs.get(node.name) or NodeRun(node.name, 0.0, "", fused[node.name]) for node in model.nodes
    ]
    return (*own, *added.values())


def places(model: Model, profile: NodeTimes) -> dict[str, str]:
    """The node of `model` that each node of the profile is; without those the runtime added."""
    names = {node.name for node in model.nodes}
    found = _convs(model, profile)
    for ran in profile.nodes:
        place = found.get(ran) or _place(model, names, ran)
        if place:
            found[ran] = place
    return found


def _convs(model: Model, profile: NodeTimes) -> dict[str, str]:
    """The convolutions by the names they ran under."""
    convs = [node.name for node in model.nodes if "Conv" in node.op_type]
    return {ran: name for name, ran in find_convs(model, convs, profile).items()}


def _place(model: Model, names: set[str], ran: str) -> str:
    """The node that the runtime's name speaks of: by its own name or by its output's."""
    for name in (ran, stem(ran)):
        if name in names:
            return name
        producer = model.producer(name)
        if producer is not None:
            return producer.name
    return ""


def _fused_before(model: Model, conv: str, ran: str) -> list[str]:
    """The nodes behind `conv` up to the one whose output the runtime named it after."""
    known = aliases(model, conv)
    last = stem(ran)
    if last not in known[2:]:
        return []
    tensors = known[2 : known.index(last) + 1]
    producers = (model.producer(tensor) for tensor in tensors)
    return [node.name for node in producers if node is not None]


def _fused_into(model: Model, node: Node, runs: dict[str, NodeRun], fused: dict[str, str]) -> str:
    """The node that one without a run became part of; empty where there is none."""
    for tensor in node.outputs:
        readers = model.consumers(tensor)
        if len(readers) == 1 and _takes_over(node, readers[0], runs.get(readers[0].name)):
            return readers[0].name
    for tensor in node.inputs:
        before = model.producer(tensor)
        main = fused.get(before.name, before.name) if before is not None else ""
        if main in runs:
            product = runs[main].ran_as == "FusedGemm"
            if node.is_op(*(FUSIBLE_IN_GEMM if product else FUSIBLE)):
                return main
    return ""


def _takes_over(node: Node, reader: Node, run: NodeRun | None) -> bool:
    """Whether the runtime made `reader` do the work of `node` in front of it, too."""
    if run is None:
        return False
    windows = "Conv" in reader.op_type or "Pool" in reader.op_type
    return node.is_op("Pad") if windows else run.ran_as != reader.op_type
