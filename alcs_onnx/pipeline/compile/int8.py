"""`compile --precision int8|auto`: int8 where it is wanted, sparse kernels where it is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import conv_layers, loadable
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.integers import require_same_integers
from alcs_onnx.pipeline.common.layers import grouped_reasons
from alcs_onnx.pipeline.common.mixed import Mixed
from alcs_onnx.pipeline.common.verification import Check, check_against_original, check_quantized
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.compile.forms import FloatForm, FloatForms
from alcs_onnx.pipeline.compile.integers import IntegerForm, integer_forms
from alcs_onnx.pipeline.compile.result import MeasuredFile, MeasuredPrecision
from alcs_onnx.reporter import Reporter
from alcs_onnx.rewrite import RewriteResult


@dataclass(frozen=True, eq=False)
class Decision:
    """What the file is to be: `mixed`, or without a node in int8; all else in the form `form`.

    `otherwise` says why a node stays float32 that can be int8. `integers` is the form of what is
    int8, where our kernels compute some of it.
    """

    quantizable: Quantizable
    forms: FloatForms
    form: FloatForm
    mixed: Mixed | None
    otherwise: str
    integers: IntegerForm | None = None

    @property
    def workload(self) -> Workload:
        """The model that was given, on its target."""
        return self.quantizable.workload

    @cached_property
    def rewritten(self) -> RewriteResult:
        """The file to be written, with rows by the names of the model that was given."""
        if self.mixed is None:
            return self.form.of(self.workload.model)
        found = self.form.of(self.mixed.model)
        if self.integers is None:
            return self.mixed.reported(found)
        ours = self.integers.of(found.model)
        return self.mixed.reported(replace(found, model=ours.model), ours.layers)

    @cached_property
    def reasons(self) -> Mapping[str, str]:
        """Why nodes stay float32, by their names in the model that was given."""
        known = dict(self.quantizable.reasons)
        int8: Collection[str] = ()
        if self.mixed is not None:
            known |= self.mixed.refused
            int8 = self.mixed.int8
        names = (node.name for node in self.workload.model.nodes)
        return {name: known.get(name, self.otherwise) for name in names if name not in int8}

    @property
    def unchanged(self) -> str:
        """That the file stays as it is, and why; empty where it does not."""
        if self.mixed is not None or not self.form.is_original:
            return ""
        repairs = self.workload.model.repairs
        but = f" except for {' and '.join(repairs)}" if repairs else ""
        return f"nothing was changed{but}: nothing else measured quicker"

    def check(self, reporter: Reporter) -> Check:
        """What is written against the original: before it is rounded, where it is."""
        workload, written = self.workload, self.rewritten.model
        if self.mixed is not None:
            layers = {layer.name for layer in conv_layers(workload.model)}
            form = self.form.leaving(dict.fromkeys(self.mixed.int8 & layers, "int8"))
            unrounded = loadable(form.of(self.quantizable.model).model)
            if self.integers is not None:
                before = self.form.of(self.mixed.model).model
                require_same_integers(workload, before, written)
            return check_quantized(workload, unrounded, written, reporter)
        return check_against_original(
            workload.original,
            loadable(written),
            workload.inputs,
            workload.seed,
            workload.model.initializers,
        )

    @cached_property
    def integer_forms(self) -> tuple[IntegerForm, ...]:
        """In which what is int8 may be, other than by the runtime's kernels."""
        if self.mixed is None:
            return ()
        return integer_forms(self.form.of(self.mixed.model).model, self.mixed.clipped)

    def measured(self) -> MeasuredPrecision:
        """The file beside the one that was given, and beside what float32 alone comes to."""
        workload, everything = self.workload, self.forms.everything
        int8 = 0 if self.mixed is None else len(self.mixed.int8)
        what = self.form.what
        if int8:
            what = "int8" if self.form.is_original else f"int8, else {self.form.what}"
        files = {
            self.forms.original.what: (0, workload.original),
            everything.what: (0, loadable(everything.of(workload.model).model)),
            what: (int8, loadable(self.rewritten.model)),
        }
        for form in self.integer_forms:
            made = replace(self, integers=form).rewritten.model
            files[form.what] = (int8, loadable(made))
        timings = workload.side_by_side([data for _, data in files.values()])
        return MeasuredPrecision(
            workload.target.machine(workload.measuring.threads),
            tuple(
                MeasuredFile(name, nodes, timing)
                for (name, (nodes, _)), timing in zip(files.items(), timings, strict=True)
            ),
            list(files).index(what),
            grouped_reasons(self.reasons.values(), "node"),
        )


def quickest(
    decision: Decision, found: MeasuredPrecision, *, int8: bool = False
) -> tuple[Decision, MeasuredPrecision]:
    """What measured quickest of all that was `found`, in place of `decision` if it is another.

    With `int8` of those in which as many nodes are int8 as `decision` has.
    """
    counts = [file.int8_nodes for file in found.files]
    able = [i for i, n in enumerate(counts) if not int8 or n == counts[found.written]]
    first = min(able, key=lambda index: found.files[index].timing.median)
    if first == found.written:
        return decision, found
    what = found.files[first].what
    for integers in decision.integer_forms:
        if integers.what == what:
            return replace(decision, integers=integers), replace(found, written=first)
    forms = (decision.forms.original, decision.forms.everything)
    form = next(form for form in forms if form.what == what)
    chosen = replace(decision, form=form, mixed=None)
    reasons = grouped_reasons(chosen.reasons.values(), "node")
    return chosen, replace(found, written=first, reasons=reasons)


def everything_int8(
    quantizable: Quantizable, simd_group: int | None, reporter: Reporter
) -> Decision:
    """All nodes that can be int8 are; raises `AlcsError` where none can."""
    model = quantizable.workload.model
    forms = FloatForms.of(model, simd_group)
    mixed = _mixed(quantizable, {node.name for node in model.nodes}, reporter)
    if mixed is None:
        reasons = grouped_reasons(quantizable.reasons.values(), "node")
        raise AlcsError(f"no node can be int8 ({reasons})")
    return Decision(quantizable, forms, forms.zeros, mixed, "the quantizer left it")


def fastest(quantizable: Quantizable, simd_group: int | None, reporter: Reporter) -> Decision:
    """The form of float convolutions that is quickest, and int8 where it is quicker than that."""
    forms = FloatForms.of(quantizable.workload.model, simd_group)
    form = _quickest(quantizable.workload, forms, reporter)
    search = quantizable.search(reporter, None if form.is_original else lambda x: form.of(x).model)
    mixed = _mixed(quantizable, search.fastest.int8, reporter)
    return Decision(quantizable, forms, form, mixed, "quicker in float32")


def _quickest(workload: Workload, forms: FloatForms, reporter: Reporter) -> FloatForm:
    others = forms.sparse
    built = [loadable(form.of(workload.model).model) for form in others]
    timings = workload.side_by_side([workload.original, *built])
    found = list(zip((forms.original, *others), timings, strict=True))
    for form, timing in found:
        reporter.note(f"{form.what}: {timing.median:.3f} ms")
    return min(found, key=lambda item: item[1].median)[0]


def _mixed(quantizable: Quantizable, nodes: Collection[str], reporter: Reporter) -> Mixed | None:
    """The file with `nodes` in int8; None where none of them is."""
    if not nodes:
        return None
    quantized = quantizable.best(nodes, reporter)
    return Mixed.of(quantizable, quantized) if quantized.nodes else None
