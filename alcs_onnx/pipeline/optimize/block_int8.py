"""All that can be is int8, and its convolutions lose blocks (`--method block-int8`).

Our kernels of integers pass over blocks of output channels by four input channels, those that dot
products take at a time. The curves are measured with integers, the float32 model is what is pruned
and trained, and what is left of it is rounded afterwards, with ranges and biases of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from alcs_onnx.errors import AlcsError, UnsupportedError
from alcs_onnx.graph import loadable
from alcs_onnx.integer_format import WORD
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.integers import (
    IntegerNetwork,
    IntegerWorkload,
    require_same_integers,
)
from alcs_onnx.pipeline.common.layers import layer_reports, with_errors
from alcs_onnx.pipeline.common.mixed import Mixed
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.common.verification import require_same_shapes
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.int8 import open_quantizable
from alcs_onnx.pipeline.optimize.method import Decided, Rewritten
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.rewrite import as_integers, compile_sparse
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import PruningPlan


def open_block_int8(run: Run) -> BlockInt8Pruning:
    """Calibrate, and measure the curves of all convolutions that are int8 by our kernels.

    Raises `UnsupportedError` where no layer that could lose weights is, and as `open_quantizable`.
    """
    if run.tables.given is not None:
        raise AlcsError("--method block-int8 measures a table of its own: leave out --profile")
    if run.workload.simd_group % WORD:
        raise AlcsError(
            f"--group-size {run.workload.simd_group}: the blocks of integers have a multiple of "
            f"{WORD} output channels"
        )
    quantizable = open_quantizable(run, run.workload)
    own = {each.name: getattr(run.workload, each.name) for each in fields(run.workload)}
    network = IntegerNetwork.of(quantizable.model, quantizable.ranges, quantizable.options)
    workload = IntegerWorkload(**own, integers=network)
    if all(layer.name in workload.left_alone for layer in workload.prunable):
        raise UnsupportedError("no layer that could lose weights is int8 by our kernels")
    table = run.tables.of_layers(workload)
    groups = GroupPruning.by_table(run, workload, table).refitting_for(run)
    found = {each.name: getattr(groups, each.name) for each in fields(groups)}
    return BlockInt8Pruning(**found, quantizable=quantizable)


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockInt8Pruning(GroupPruning):
    """Blocks of the convolutions that our kernels compute with integers."""

    quantizable: Quantizable

    @property
    def means(self) -> str:
        """In words."""
        return "int8 and removing blocks of weights"

    @property
    def _integers(self) -> IntegerNetwork:
        assert isinstance(self.workload, IntegerWorkload)
        assert self.workload.integers is not None
        return self.workload.integers

    def candidate(self, plan: PruningPlan) -> Serialized:
        """The quantized file without the blocks; ranges are those of all weights."""
        return loadable(self._integers.masked(self.weight_masks(plan), self.excluded).model)

    def checkpointed(self, plan: PruningPlan) -> SavedPlan:
        """The blocks."""
        return replace(super().checkpointed(plan), method="block-int8")

    def rewrite(self, run: Run, network: Network, plan: PruningPlan) -> Rewritten:
        """The (trained) model without the blocks, checked in float32, then rounded."""
        whole = super().rewrite(run, network, plan)
        quantizable = self.quantizable.of_model(network.pruned, run.reporter)
        able = {node.name for node in quantizable.model.nodes} - set(quantizable.reasons)
        mixed = Mixed.of(quantizable, quantizable.best(able, run.reporter))
        base = compile_sparse(mixed.model)
        left = {mixed.names[n]: why for n, why in self.excluded.items() if n in mixed.names}
        integers = as_integers(base.model, left, mixed.clipped)
        made = mixed.reported(replace(base, model=integers.model), integers.layers)
        require_same_integers(self.workload, base.model, made.model)
        require_same_shapes(self.workload, made.model)
        rows = layer_reports(self.workload.model, made, reasons=plan.reasons, table=self.table)
        return replace(whole, model=made.model, layers=with_errors(rows, network.errors))

    def decided(self, plan: PruningPlan | None) -> Decided:
        """The blocks, and what was calibrated."""
        found = super().decided(plan)
        own: dict[str, Any] = dict(self.quantizable.settings)
        del own["calibrator"]  # it is chosen for what is left
        return replace(found, settings={**found.settings, **own})
