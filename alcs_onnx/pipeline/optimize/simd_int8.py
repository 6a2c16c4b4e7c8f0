"""int8 where it pays, then SIMD groups of the convolutions that are left (`--method simd-int8`).

For budgets that int8 alone does not reach. The groups are chosen by curves that are measured in
the quantized model, and the float32 model is what is pruned and trained: it is rounded afterwards,
with ranges and biases of its own. One file has both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from alcs_onnx.errors import AlcsError, UnsupportedError
from alcs_onnx.graph import conv_layers, loadable
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.layers import layer_reports, with_errors
from alcs_onnx.pipeline.common.mixed import Mixed
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.common.verification import require_same_shapes
from alcs_onnx.pipeline.optimize.checkpoint import FIRST
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.int8 import open_int8, open_quantizable
from alcs_onnx.pipeline.optimize.method import Decided, Rewritten
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.rewrite import RewriteResult, rewrite
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import LatencyTable, PrecisionPlan, PruningPlan

#: Why a layer keeps all its weights.
_INT8 = "int8"


def open_simd_int8(run: Run) -> SimdInt8Pruning:
    """Find the nodes that are quicker in int8, then the curves of the convolutions that are left.

    Raises `UnsupportedError` where int8 is quicker nowhere, or in every layer that could lose
    weights, and as `open_int8`.
    """
    if run.tables.given is not None:
        raise AlcsError("--method simd-int8 measures a table of its own: leave out --profile")
    quantizable, precision = _int8(run)
    mixed = Mixed.of(quantizable, quantizable.quantized(precision.int8))
    layers = (layer.name for layer in conv_layers(run.workload.model))
    excluded = {name: _INT8 for name in layers if name in mixed.int8}
    if all(layer.name in excluded for layer in run.workload.prunable):
        raise UnsupportedError("no layer that could lose weights is left in float32 beside int8")
    groups = GroupPruning.by_table(run, run.workload, _table(run, mixed)).excluding(excluded)
    groups = groups.refitting_for(run)
    own = {each.name: getattr(groups, each.name) for each in fields(groups)}
    return SimdInt8Pruning(**own, quantizable=quantizable, precision=precision, mixed=mixed)


@dataclass(frozen=True, eq=False, kw_only=True)
class SimdInt8Pruning(GroupPruning):
    """Groups of the layers that `precision` leaves in float32.

    `mixed` is the quantized file with all its weights.
    """

    quantizable: Quantizable
    precision: PrecisionPlan
    mixed: Mixed

    @property
    def means(self) -> str:
        """In words."""
        return "int8 and removing weights"

    def candidate(self, plan: PruningPlan) -> Serialized:
        """The quantized file without the groups; ranges are those of all weights."""
        return loadable(self._sparse(self.mixed, plan).model)

    def checkpointed(self, plan: PruningPlan) -> SavedPlan:
        """The groups, and which nodes are int8: measured again, others might be quicker."""
        groups = super().checkpointed(plan)
        return replace(groups, method="simd-int8", precision=self.precision)

    def rewrite(self, run: Run, network: Network, plan: PruningPlan) -> Rewritten:
        """The (trained) model without the groups, checked in float32, then rounded."""
        whole = super().rewrite(run, network, plan)
        quantizable = self.quantizable.of_model(network.pruned, run.reporter)
        best = quantizable.best(self.precision.int8, run.reporter)
        if not best.nodes:
            raise UnsupportedError("no node is in int8 with the groups removed")
        mixed = Mixed.of(quantizable, best)
        made = mixed.reported(self._sparse(mixed, plan))
        require_same_shapes(self.workload, made.model)
        float32 = {name: why for name, why in plan.reasons.items() if name not in mixed.int8}
        rows = layer_reports(self.workload.model, made, reasons=float32, table=self.table)
        return replace(whole, model=made.model, layers=with_errors(rows, network.errors))

    def decided(self, plan: PruningPlan | None) -> Decided:
        """The groups, what was calibrated, and how many nodes are int8."""
        found = super().decided(plan)
        own = dict(self.quantizable.settings)
        del own["calibrator"]  # it is chosen for what is left
        settings: dict[str, Any] = {
            **found.settings,
            **own,
            "int8_nodes": len(self.mixed.int8),
        }
        return replace(found, settings=settings)

    def _sparse(self, mixed: Mixed, plan: PruningPlan) -> RewriteResult:
        """The file `mixed` with its float convolutions as `plan` says, by its own names."""
        names = mixed.layers
        keep = {names[name]: mask for name, mask in plan.keep.items() if name in names}
        left = {names[name]: why for name, why in self.excluded.items() if name in names}
        own = replace(plan, keep=keep)
        return rewrite(mixed.model, own, left, self.workload.simd_group)


def _int8(run: Run) -> tuple[Quantizable, PrecisionPlan]:
    """The model, calibrated, and its int8 nodes: of a plan, or those that are quicker so."""
    before = run.given or run.checkpoint.load(FIRST, run.workload.model)
    if before is not None and before.precision is not None:
        return open_quantizable(run, run.workload), before.precision
    int8 = open_int8(run)
    if int8.obstacle:
        raise UnsupportedError(int8.obstacle)
    return int8.quantizable, int8.plan(0.0)


def _table(run: Run, mixed: Mixed) -> LatencyTable:
    """The curves of the float convolutions among what is in int8, by the names of the model."""
    workload = replace(run.workload, model=mixed.model)
    # The budget and the promise are about the file that was given.
    table = run.tables.of_layers(workload, dense=run.workload.time_dense)
    own = {there: name for name, there in mixed.layers.items()}
    return replace(
        table,
        curves=tuple(replace(curve, layer=own[curve.layer]) for curve in table.curves),
        left_alone={own[name]: reason for name, reason in table.left_alone.items()},
    )
