"""Which nodes of a model are int8: those that make it fastest where it runs, by measuring.

The float32 model and the fully quantized one are timed node by node; a cut through the graph gives
a handful of candidates; these are built and measured as wholes, in turns, and the fastest wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from alcs_onnx.graph import Model
from alcs_onnx.latency import PrecisionCosts, least_disturbed, measured_costs
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve import candidates
from alcs_onnx.types import Timing

#: Makes the model in which these nodes are int8, by their names in the analysis; all other nodes
#: read what they read in float32. The nodes of the file have those names, too.
Quantized = Callable[[frozenset[str]], Serialized]

#: Measurements of the nodes, of which each node's least counts; the runs are shared out.
ROUNDS = 3
#: Of the float32 latency: an int8 model has to save that much, for it loses something.
LEAST_GAIN = 0.02


@dataclass(frozen=True)
class PrecisionCandidate:
    """A model that was built and measured: which nodes are int8, and its latency.

    `estimate_ms` is what the costs of the nodes said.
    """

    int8: frozenset[str]
    estimate_ms: float
    timing: Timing


@dataclass(frozen=True)
class PrecisionSearch:
    """What was measured; the first candidate is the float32 model, the second has all int8.

    There is no second where no node can be int8.
    """

    costs: PrecisionCosts
    candidates: tuple[PrecisionCandidate, ...]

    @property
    def dense(self) -> Timing:
        """The latency in float32."""
        return self.candidates[0].timing

    @property
    def fastest(self) -> PrecisionCandidate:
        """The candidate of the least median; the float32 model unless one saves `LEAST_GAIN`."""
        float32, best = self.candidates[0], min(self.candidates, key=lambda c: c.timing.median)
        saves = best.timing.median <= (1 - LEAST_GAIN) * float32.timing.median
        return best if saves else float32


def measure_precision_costs(
    workload: Workload,
    model: Model,
    float32: Serialized,
    int8: Serialized,
    reporter: Reporter = SILENT,
) -> PrecisionCosts:
    """The costs of `model` in both precisions, from the file `float32` and the fully int8 one.

    Raises `TargetError` if the target cannot measure and `ModelError` if the runtime refuses one.
    """
    measuring = workload.measuring
    fewer = replace(measuring, iterations=-(-measuring.iterations // ROUNDS))
    once = replace(workload, measuring=fewer)
    rounds = [once.node_times([float32, int8], reporter=reporter) for _ in range(ROUNDS)]
    return measured_costs(model, *(least_disturbed(times) for times in zip(*rounds, strict=True)))


def search_precision(
    workload: Workload,
    model: Model,
    float32: Serialized,
    quantized: Quantized,
    reporter: Reporter = SILENT,
) -> PrecisionSearch:
    """The candidates of `model`, measured in turns over several sessions of each.

    `float32` is the file whose nodes `model` has. `quantized` is asked first for all nodes that
    compute floats: what cannot be int8 stays float32 in its answer. Raises as
    `measure_precision_costs`.
    """
    everything = frozenset(node.name for node in model.nodes)
    costs = measure_precision_costs(workload, model, float32, quantized(everything), reporter)
    chosen = candidates(costs)
    built = [quantized(int8) if int8 else float32 for int8 in chosen]
    return PrecisionSearch(
        costs,
        tuple(
            PrecisionCandidate(int8, costs.latency(int8), timing)
            for int8, timing in zip(chosen, workload.side_by_side(built), strict=True)
        ),
    )
