"""Channels are removed, and what is left is int8 (`--method channel-int8`): plain ONNX.

For budgets that int8 alone does not reach. What int8 gains is measured on the dense model; the
channels' solver is asked for the float32 model that this gain brings within the budget, and the
closed loop corrects it by what the smaller int8 models measure. What training there is comes before
the rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from alcs_onnx.errors import UnsupportedError
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.mixed import INT8_CONV, Mixed
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.optimize.channels import ChannelPruning, open_channels
from alcs_onnx.pipeline.optimize.int8 import open_int8
from alcs_onnx.pipeline.optimize.method import Decided, Rewritten
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.reporter import SILENT
from alcs_onnx.rewrite import shrink
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import ChannelPlan, FloatArray


def open_channel_int8(run: Run) -> ChannelInt8Pruning:
    """Find the nodes that are quicker in int8, then the contributions of the channel groups.

    Raises `UnsupportedError` where int8 is quicker nowhere, and as `open_int8`.
    """
    int8 = open_int8(run)
    if int8.obstacle:
        raise UnsupportedError(int8.obstacle)
    channels = open_channels(run)
    own = {each.name: getattr(channels, each.name) for each in fields(channels)}
    gain = int8.search.fastest.timing.median / int8.dense.median
    return ChannelInt8Pruning(**own, nodes=int8.fastest, gain=gain, quantizable=int8.quantizable)


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelInt8Pruning(ChannelPruning):
    """Channels of a model whose `nodes` become int8 afterwards.

    `gain` is the latency of the dense model so over that in float32, and `quantizable` is that
    model with the pictures that ranges are taken from.
    """

    nodes: frozenset[str]
    gain: float
    quantizable: Quantizable

    @property
    def means(self) -> str:
        """In words."""
        return "removing channels and int8"

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        low, high = super().range_ms()
        return low * self.gain, high

    def plan(
        self, target: float, weights: Mapping[str, FloatArray] | None = None, *, finer: bool = False
    ) -> ChannelPlan:
        """The channels whose float32 model int8 brings within `target`."""
        if target * self.budget_ms >= self.gain * super().range_ms()[1]:
            found = self.keeping_all()
        else:
            found = super().plan(target / self.gain, weights, finer=finer)
        return replace(found, predicted_ms=found.predicted_ms * self.gain)

    def candidate(self, plan: ChannelPlan) -> Serialized:
        """The smaller model in int8."""
        smaller = shrink(self.workload.model, self.coupling, plan.keep)
        return self.quantizable.of_model(smaller, SILENT).quantized(self.nodes).model

    def saved(self, plan: ChannelPlan) -> SavedPlan:
        """The plan as it is kept in a file: the nodes are found anew."""
        return replace(super().saved(plan), method="channel-int8")

    def rewrite(self, run: Run, network: Network, plan: ChannelPlan) -> Rewritten:
        """The (trained) smaller model, checked in float32, then rounded."""
        whole = super().rewrite(run, network, plan)
        quantizable = self.quantizable.of_model(network.pruned, run.reporter)
        best = quantizable.best(self.nodes, run.reporter)
        if not best.nodes:
            raise UnsupportedError("no node is in int8 with the channels removed")
        mixed = Mixed.of(quantizable, best)
        rows = tuple(
            replace(row, op=INT8_CONV) if row.layer in mixed.int8 else row for row in whole.layers
        )
        return replace(whole, model=mixed.model, layers=rows)

    def decided(self, plan: ChannelPlan | None) -> Decided:
        """The channels, and how many nodes are int8."""
        found = super().decided(plan)
        settings: dict[str, Any] = {**found.settings, "int8_nodes": len(self.nodes)}
        return replace(found, settings=settings)
