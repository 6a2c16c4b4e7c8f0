"""`compile` of a file that is quantized already: our kernels compute its integers where quicker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.integers import check_integers
from alcs_onnx.pipeline.common.verification import Check, require_same_shapes
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.compile.integers import IntegerForm, integer_forms
from alcs_onnx.pipeline.compile.result import MeasuredFile, MeasuredPrecision
from alcs_onnx.rewrite import LayerRewrite, RewriteResult, compile_sparse


@dataclass(frozen=True, eq=False)
class QuantizedFile:
    """A quantized file in the form that measured quickest, beside the others.

    `rewritten` is None where the file as it was given is: nothing is to be changed then.
    """

    workload: Workload
    measured: MeasuredPrecision
    rewritten: RewriteResult | None

    def check(self) -> Check:
        """What is written against what was given, both without what rounds activations.

        Raises `AlcsError` where it does not run as the original does.
        """
        assert self.rewritten is not None
        found = check_integers(self.workload, self.workload.model, self.rewritten.model)
        require_same_shapes(self.workload, self.rewritten.model)
        return found


def has_integers(model: Model) -> bool:
    """Whether our kernels can compute a quantized convolution of `model`."""
    return bool(integer_forms(model))


def quickest_integers(workload: Workload, simd_group: int | None) -> QuantizedFile:
    """The file of `workload` as it is, and in each form of its integers, measured in turns.

    Float convolutions beside them are sparse in all but the first.
    """
    base = compile_sparse(workload.model, simd_group)
    forms = integer_forms(base.model)
    made = [_in_form(base, form) for form in forms]
    timings = workload.side_by_side(
        [workload.original, *(loadable(result.model) for result in made)]
    )
    first = min(range(len(timings)), key=lambda index: timings[index].median)
    quantized = sum(row.op != "Conv" for row in made[-1].layers)
    names = ("as given", *(form.what for form in forms))
    measured = MeasuredPrecision(
        workload.target.machine(workload.measuring.threads),
        tuple(
            MeasuredFile(name, quantized, timing)
            for name, timing in zip(names, timings, strict=True)
        ),
        first,
        "",
    )
    return QuantizedFile(workload, measured, made[first - 1] if first else None)


def _in_form(base: RewriteResult, form: IntegerForm) -> RewriteResult:
    found = form.of(base.model)
    return RewriteResult(found.model, _joined(base.layers, found.layers), base.dense_macs)


def _joined(
    rows: Sequence[LayerRewrite], integers: Sequence[LayerRewrite]
) -> tuple[LayerRewrite, ...]:
    """`rows` with those of quantized convolutions in their places."""
    ours = {row.layer: row for row in integers}
    return tuple(ours.get(row.layer, row) for row in rows)
