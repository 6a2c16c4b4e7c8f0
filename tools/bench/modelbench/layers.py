"""Layers in classes that tax the engine alike, and how near each comes to the machine's peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from statistics import median

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.graph.macs import node_macs
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.target import NodeTimes
from alcs_onnx.types import ConvLayer

#: Classes of convolutions in the order of the tables, then those of other nodes.
CONV_CLASSES = (
    "kxk s1",
    "1x1 <= 28x28",
    "1x1 29..55",
    "1x1 >= 56x56",
    "stride 2+",
    "depthwise",
    "stem",
)
OTHER_CLASSES = ("Gemm", "pools", "reorders", "other")
_MOST_OVERHEAD_MS = 0.003
#: Less is rounding.
_LEAST_MS = 1e-6


@dataclass(frozen=True)
class LayerTime:
    """One node of one run. `macs` are those on stored weights; `ms` without the profiler's part.

    `share` is macs / ms as a share of the multiply-add peak; None without macs or peak.
    """

    name: str
    kind: str
    op_type: str
    macs: float
    ms: float
    share: float | None


@dataclass(frozen=True)
class ClassTime:
    """All nodes of a class: sums, and the share of the peak that the sums come to.

    macs / ms of the sums is the mean of the layers' shares, each weighted by the time it takes.
    """

    kind: str
    nodes: int
    macs: float
    ms: float
    share: float | None
    lowest: float | None


def classify(layer: ConvLayer, is_stem: bool = False) -> str:
    """The class of a convolution, one of `CONV_CLASSES`."""
    if layer.depthwise:
        return "depthwise"
    if is_stem:
        return "stem"
    if max(layer.strides) > 1:
        return "stride 2+"
    if prod(layer.kernel_shape) > 1:
        return "kxk s1"
    pixels = prod(layer.output_shape[2:])
    if pixels <= 28 * 28:
        return "1x1 <= 28x28"
    return "1x1 >= 56x56" if pixels >= 56 * 56 else "1x1 29..55"


def classify_other(op_type: str) -> str:
    """The class of a node that is no convolution of the model, one of `OTHER_CLASSES`."""
    if op_type in ("Gemm", "MatMul", "FusedGemm", "FusedMatMul"):
        return "Gemm"
    if "Pool" in op_type:
        return "pools"
    if op_type.startswith("Reorder") or op_type == "Transpose":
        return "reorders"
    return "other"


def profiler_overhead(pairs: Sequence[tuple[NodeTimes, float]]) -> float:
    """What the profiler adds to each node (ms), from profiles and plain runs of the same models.

    The nodes' durations sum up to more than a run without the profiler takes: by about two
    microseconds per node. Where much more is found, something else has disturbed the runs.
    """
    excess = [(times.total - wall) / max(1, len(times.nodes)) for times, wall in pairs]
    return min(max(0.0, median(excess)), _MOST_OVERHEAD_MS)


def layer_times(
    model: Model,
    times: NodeTimes,
    densities: Mapping[str, float] | None,
    peak: float | None,
    overhead: float,
) -> list[LayerTime]:
    """The nodes of a profile by layer.

    `model` is the dense model. `densities` are those of a run of this engine, whose nodes carry
    the layers' names; None reads a run of the dense model, whose nodes the runtime renames.
    `peak` is in multiply-adds per millisecond.
    """
    first = conv_layers(model)[0].name
    if densities is None:
        found = dense_times(model, times)
        durations = {name: ms for name, ms in found.items() if ms == ms}
        taken = {node for node in times.nodes if "Conv" in times.op_types[node]}
    else:
        durations = {name: times.nodes[name] for name in densities if name in times.nodes}
        taken = set(durations)
    rows = []
    for layer in conv_layers(model):
        if layer.name not in durations:
            continue
        kind = classify(layer, layer.name == first)
        macs = layer.macs * (1.0 if densities is None else densities[layer.name])
        op_type = "Conv" if densities is None else times.op_types[layer.name]
        rows.append(_row(layer.name, kind, op_type, macs, durations[layer.name], peak, overhead))
    lost = sum(times.nodes[name] for name in taken) - sum(durations.values())
    if lost > _LEAST_MS:
        rows.append(_row("convolutions not told apart", "other", "Conv", 0.0, lost, None, 0.0))
    by_name = {node.name: node for node in model.nodes}
    for name, ms in times.nodes.items():
        if name in taken:
            continue
        op_type = times.op_types[name]
        node = by_name.get(name)
        macs = 0.0 if node is None or node.op_type == "Conv" else float(node_macs(model, node) or 0)
        rows.append(_row(name, classify_other(op_type), op_type, macs, ms, peak, overhead))
    return rows


def _row(
    name: str, kind: str, op_type: str, macs: float, ms: float, peak: float | None, overhead: float
) -> LayerTime:
    own = max(ms - overhead, 0.0)
    return LayerTime(name, kind, op_type, macs, own, _share(macs, own, peak))


def _share(macs: float, ms: float, peak: float | None) -> float | None:
    return macs / ms / peak if peak and macs and ms else None


def summarise(rows: Sequence[LayerTime], peak: float | None) -> list[ClassTime]:
    """Sums by class, in the order of the tables; classes without nodes are left out."""
    classes = []
    for kind in (*CONV_CLASSES, *OTHER_CLASSES):
        members = [row for row in rows if row.kind == kind]
        if not members:
            continue
        macs, ms = sum(row.macs for row in members), sum(row.ms for row in members)
        shares = [row.share for row in members if row.share is not None]
        lowest = min(shares) if shares else None
        classes.append(ClassTime(kind, len(members), macs, ms, _share(macs, ms, peak), lowest))
    return classes


def depthwise_pairs(
    model: Model, dense: Sequence[LayerTime], ours: Sequence[Sequence[LayerTime]]
) -> list[dict[str, object]]:
    """Each depthwise layer: the runtime's own node against ours (ms).

    Depthwise layers are dense in all of our runs: their median counts.
    """
    theirs = {row.name: row.ms for row in dense if row.kind == "depthwise"}
    mine: dict[str, list[float]] = {}
    for rows in ours:
        for row in rows:
            if row.kind == "depthwise":
                mine.setdefault(row.name, []).append(row.ms)
    pairs = []
    for layer in conv_layers(model):
        if layer.name not in theirs or layer.name not in mine:
            continue
        ms = median(mine[layer.name])
        pairs.append(
            {
                "layer": layer.name,
                "shape": describe(layer),
                "dense_ms": theirs[layer.name],
                "ours_ms": ms,
                "ratio": ms / theirs[layer.name] if theirs[layer.name] else None,
            }
        )
    return pairs


def describe(layer: ConvLayer) -> str:
    """Kernel, stride, channels and output size in a few characters."""
    kernel = "x".join(map(str, layer.kernel_shape))
    size = "x".join(map(str, layer.output_shape[2:]))
    stride = max(layer.strides)
    return f"{kernel} s{stride} {layer.in_channels}->{layer.out_channels} @{size}"
