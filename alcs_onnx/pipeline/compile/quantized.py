"""`compile` of a file that is quantized already: our kernels compute its integers where quicker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.integers import check_integers, moved_by
from alcs_onnx.pipeline.common.verification import Check, require_same_shapes
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.compile.integers import integer_forms
from alcs_onnx.pipeline.compile.result import MeasuredFile, MeasuredPrecision
from alcs_onnx.rewrite import IntegerRewrite, RewriteResult, compile_sparse

#: What rounding sums once less may change of the outputs, as a share of them.
_ROUNDED = 0.1


@dataclass(frozen=True, eq=False)
class QuantizedFile:
    """A quantized file in the form that measured quickest, beside the others.

    `rewritten` is None where its integers stay the runtime's, in the file number `own` of those
    that were measured.
    """

    workload: Workload
    measured: MeasuredPrecision
    own: int
    rewritten: RewriteResult | None

    def left(self) -> QuantizedFile:
        """The same with the runtime's own integers."""
        return replace(self, measured=replace(self.measured, written=self.own), rewritten=None)

    @cached_property
    def check(self) -> Check:
        """What is written against what was given, both without what rounds activations.

        Raises `AlcsError` where it does not run as the original does.
        """
        assert self.rewritten is not None
        require_same_shapes(self.workload, self.rewritten.model)
        return check_integers(self.workload, self.workload.model, self.rewritten.model)

    @cached_property
    def moved(self) -> float:
        """The relative error of its outputs against what the file says."""
        assert self.rewritten is not None
        return moved_by(self.workload, self.workload.model, self.rewritten.model)

    @property
    def difference(self) -> str:
        """What keeps it from being written; empty where nothing does."""
        if not self.check.passed:
            return self.check.difference
        return "" if self.moved <= _ROUNDED else f"{100 * self.moved:.0f} % (relative error)"

    @property
    def verdict(self) -> str:
        """What was lost, in words."""
        if not self.moved:
            return "nothing is lost: the outputs are those that the file says"
        moved = f"outputs move by {100 * self.moved:.2g} % (relative error)"
        return f"the same integers, sums rounded once less: {moved} on random inputs"


def has_integers(model: Model) -> bool:
    """Whether our kernels can compute a quantized convolution of `model`."""
    return bool(integer_forms(model))


def quickest_integers(workload: Workload, simd_group: int | None) -> QuantizedFile:
    """The file of `workload` as it is, and in each form of its integers, measured in turns.

    Float convolutions beside them become sparse in any case.
    """
    base = compile_sparse(workload.model, simd_group)
    found = {form.what: form.of(base.model) for form in integer_forms(base.model)}
    made = {what: _beside(base, integers) for what, integers in found.items()}
    # What the runtime's own integers are in: the file as it is, unless it has float layers, too.
    own = int(any(row.op != "Conv" for row in base.layers))
    if own:
        made = {"float layers sparse": base, **made}
    models = [workload.original, *(loadable(result.model) for result in made.values())]
    timings = workload.side_by_side(models)
    names = ("as given", *made)
    first = min(range(own, len(names)), key=lambda index: timings[index].median)
    quantized = len(next(iter(found.values())).layers)
    measured = MeasuredPrecision(
        workload.target.machine(workload.measuring.threads),
        tuple(
            MeasuredFile(name, quantized, timing)
            for name, timing in zip(names, timings, strict=True)
        ),
        first,
        "",
    )
    return QuantizedFile(workload, measured, own, made[names[first]] if first > own else None)


def _beside(base: RewriteResult, integers: IntegerRewrite) -> RewriteResult:
    """`integers`, which were made of `base`, with the rows of both."""
    ours = {row.layer: row for row in integers.layers}
    rows = tuple(ours.get(row.layer, row) for row in base.layers)
    return replace(base, model=integers.model, layers=rows)
