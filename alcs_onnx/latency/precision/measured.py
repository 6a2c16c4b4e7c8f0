"""The costs of both precisions from two profiles: of the float32 model and of the quantized one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, prod

import numpy as np

from alcs_onnx.graph import Model
from alcs_onnx.latency.precision.costs import NodeCost, PrecisionCosts, TensorCost
from alcs_onnx.latency.precision.prices import TELLING, Point, fitted
from alcs_onnx.latency.precision.qdq_names import Conversion
from alcs_onnx.latency.precision.runs import Runs, as_in_whole_runs
from alcs_onnx.target import ModelTimes

#: Operators that the runtime has a quick 8-bit kernel of for the channels-last layout only, which
#: they have behind an int8 node, and past which it moves a QuantizeLinear that follows them.
_INT8_AFTER_INT8 = ("MaxPool",)


def least_disturbed(rounds: Sequence[ModelTimes]) -> ModelTimes:
    """Several measurements of one model as one: each node's least time, and the quickest runs.

    Whatever else the machine does makes a node slower, never faster.
    """
    least = {
        node: min(times.profile.nodes.get(node, inf) for times in rounds)
        for node in rounds[0].profile.nodes
    }
    quickest = min(rounds, key=lambda times: float(np.median(times.wall)))
    return ModelTimes(replace(rounds[0].profile, nodes=least), quickest.wall)


def measured_costs(model: Model, float32: ModelTimes, int8: ModelTimes) -> PrecisionCosts:
    """What each node and each conversion of `model` takes by the profiles of its two files.

    The quantized file has every node that can be int8 quantized, under the names of `model`. A node
    can be int8 where the runtime ran it so: one that stays float32 between a DequantizeLinear and a
    QuantizeLinear cannot. Conversions that are in no profile are fitted to those that are, by the
    number of elements, with what the change of the memory layout takes there.
    """
    runs, quantized = (Runs(model, as_in_whole_runs(times)) for times in (float32, int8))
    tensors = _float_tensors(model)
    tied = _tied(runs, tensors) | _tied(quantized, tensors)
    nodes = tuple(
        _node_cost(node.name, runs, quantized, tied=bool(tied & names))
        for node in model.nodes
        if (names := tensors.intersection((*node.reads, *node.outputs)))
    )
    prices = _Prices(runs, quantized)
    known = {node.name for node in nodes}
    costs = []
    for tensor in sorted(tensors):
        producer = model.producer(tensor)
        readers = tuple(dict.fromkeys(node.name for node in model.consumers(tensor)))
        quantize, dequantize = (inf, inf) if tensor in tied else prices.of(tensor)
        costs.append(
            TensorCost(
                tensor,
                producer.name if producer is not None else "",
                tuple(name for name in readers if name in known),
                model.is_output(tensor),
                quantize,
                dequantize,
            )
        )
    return PrecisionCosts(nodes, tuple(costs))


def _float_tensors(model: Model) -> frozenset[str]:
    """The float32 tensors that are computed or given: what a quantizer may convert."""
    names = {info.name for info in model.inputs}.union(*(node.outputs for node in model.nodes))
    dtypes = {name: model.dtypes.get(name) for name in names - set(model.initializers)}
    return frozenset(name for name, dtype in dtypes.items() if name and dtype == np.float32)


def _tied(runs: Runs, tensors: frozenset[str]) -> frozenset[str]:
    """The tensors between a node that was fused or folded away and what it became part of."""
    tied: set[str] = set()
    for node in runs.model.nodes:
        run = runs.by_node[node.name]
        if run.ran_as:
            continue
        inputs = [name for name in node.reads if name in tensors]
        readers = {reader.name for name in node.outputs for reader in runs.model.consumers(name)}
        if run.into in readers:
            tied.update(tensors.intersection(node.outputs))
        else:
            into = [name for name in inputs if _part_of(runs, name) == run.into]
            tied.update((into or inputs)[:1])
    return frozenset(tied)


def _part_of(runs: Runs, tensor: str) -> str:
    """The node that ran and computed `tensor`, empty for an input of the graph."""
    producer = runs.model.producer(tensor)
    return "" if producer is None else runs.by_node[producer.name].into or producer.name


def _node_cost(node: str, runs: Runs, quantized: Runs, *, tied: bool) -> NodeCost:
    """`tied`: it may have no run of its own because it is part of another node."""
    int8_ms: float | None = None
    if node in quantized.eight_bits - runs.eight_bits:
        int8_ms = quantized.by_node[node].ms + quantized.layout_ms(node)
    elif tied and not quantized.by_node[node].ran_as:
        int8_ms = 0.0
    return NodeCost(node, runs.by_node[node].ms + runs.layout_ms(node), int8_ms)


def _telling(found: Sequence[Point], others: Sequence[Point]) -> Sequence[Point]:
    """The points of one kind; with `others` like it where all are small, which tell no slope."""
    large = any(elements >= TELLING for elements, _ in found)
    return found if large else [*found, *others]


class _Prices:
    """What converting a tensor takes where it is read in the other precision.

    What is in no profile is taken to cost what moving the same data otherwise does.
    """

    def __init__(self, runs: Runs, quantized: Runs) -> None:
        self._runs, self._quantized = runs, quantized
        least = min((ms for ms in quantized.profile.nodes.values() if ms > 0), default=0.0)
        points = {kind: quantized.points(kind.value) for kind in Conversion}
        conversions = [point for found in points.values() for point in found]
        reorders = {op: runs.points(op) for op in ("ReorderOutput", "ReorderInput")}
        moves = [*(point for found in reorders.values() for point in found), *conversions]
        self._conversions = {
            kind: fitted(_telling(found, conversions), least) for kind, found in points.items()
        }
        self._transpose = fitted(_telling(quantized.points("Transpose"), conversions), least)
        self._reorder_output, self._reorder_input = (
            fitted(_telling(found, moves), least) for found in reorders.values()
        )

    def of(self, tensor: str) -> tuple[float, float]:
        """Of quantizing and of dequantizing `tensor` (ms), with the changes of its layout.

        A tensor that stays in the layout of its precision from its producer to its readers has to
        be brought out of it, and into that of the other one. One that does not costs its producer
        or its readers that already, and so does one whose conversion was measured.
        """
        around = (self._runs.model.producer(tensor), *self._runs.model.consumers(tensor))
        stuck = any(node is not None and node.is_op(*_INT8_AFTER_INT8) for node in around)
        elements = prod(self._runs.model.shapes.get(tensor, ()))
        quantize = self._conversions[Conversion.QUANTIZE](elements)
        dequantize = self._conversions[Conversion.DEQUANTIZE](elements)
        if self._quantized.channels_last(tensor) and tensor not in self._quantized.changed_behind:
            quantize += self._transpose(elements)
            dequantize += self._transpose(elements)
        if tensor in self._runs.blocked - self._runs.changed_behind:
            quantize += self._reorder_output(elements)
            dequantize += self._reorder_input(elements)
        measured = self._quantized.conversions
        return (
            inf if stuck else measured.get((Conversion.QUANTIZE, tensor), quantize),
            measured.get((Conversion.DEQUANTIZE, tensor), dequantize),
        )
