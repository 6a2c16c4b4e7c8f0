"""Numerical checks of a written model against the original, with the library and without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx import ort
from alcs_onnx.differences import arrays_in, is_float, value_difference
from alcs_onnx.errors import AlcsError
from alcs_onnx.feeds import make_feeds
from alcs_onnx.graph import Model, loadable
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.check_samples import CheckSample, check_samples
from alcs_onnx.pipeline.common.runtime_optimizers import find_optimizer
from alcs_onnx.pipeline.common.stability import ROUNDING, outputs_again, stable_difference
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import rewrite
from alcs_onnx.serialized import Serialized

#: Largest difference allowed, relative to the largest output (float32, thousands of terms).
TOLERANCE = 1e-4
#: Roundings of the output's own type that may part two ways to compute it, where these are coarser.
_ROUNDINGS = 4
_EPSILONS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


@dataclass(frozen=True)
class NumericCheck:
    """Largest differences of the written file's outputs, relative to the largest output.

    `with_library` against what is to be computed, the original or the same with masked weights,
    in plain ONNX Runtime; `without_library` likewise, the operator replaced by its function body.
    `samples` are the inputs that were compared, in words.
    """

    with_library: float
    without_library: float
    tolerance: float
    samples: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether both differences are within the tolerance."""
        return max(self.with_library, self.without_library) <= self.tolerance


@dataclass(frozen=True)
class Check:
    """What a comparison of a written file with the original found.

    `numbers` are those of the output that is worst, measured by its tolerance; `output` is its
    name and `sample` says on which inputs, or why there is nothing to compare there. `notes` are
    for the user: what was passed over and why, and whose fault a difference is; `guesses` say by
    which values inputs were made up.
    """

    numbers: NumericCheck
    output: str
    sample: str
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the written file gives the outputs of the original, with and without library."""
        return self.numbers.passed

    @property
    def difference(self) -> str:
        """The largest difference in words: `3.2e-01 (relative) in output 'y', batch 2`."""
        largest = max(self.numbers.with_library, self.numbers.without_library)
        where = f" in output '{self.output}'" if self.output else ""
        also = "".join(f"; {note}" for note in self.notes if not self.passed)
        return f"{largest:.1e} (relative){where}, {self.sample}{also}"


def check_against_original(
    original: Serialized,
    written: Serialized,
    settings: InputSettings | None = None,
    seed: int = 0,
    initializers: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Check:
    """Compare the file `written` with `original` in plain ONNX Runtime, output by output.

    `original` is what is to be computed: the user's file, or that with masked weights. Both run
    on the inputs of `check_samples`; those on which the original does not run are passed over.
    `written` runs with the custom-op library and without it. `initializers` are the original's
    constants by name: outputs may differ by roundings of the coarsest type among them, and one
    that holds NaN or infinity is named where outputs do.

    A difference that is gone when ONNX Runtime leaves its own optimisations of the original is
    its own, and none of the written file. Values that the original itself does not give twice
    alike, without those optimisations or for inputs that differ by roundings, are not compared on
    that sample (`stability`): which of two equal scores comes first. Raises `AlcsError` where the
    original runs on none of the samples.
    """
    reference = _Reference(original, settings or InputSettings(), seed)
    comparison = _Comparison(reference, _tolerance(list((initializers or {}).values())))
    for library in (True, False):
        session = ort.create_session(written, library=library)
        for run in reference.runs:
            comparison.add(session, run, library=library)
    notes = [*reference.notes, *comparison.notes]
    broken = [name for name, x in (initializers or {}).items() if not _finite(x)]
    if broken and not all(_finite(x) for run in reference.runs for x in arrays_in(run.outputs)):
        named = ", ".join(f"'{name}'" for name in broken)
        notes.append(f"outputs of the original are not finite: NaN or infinity is in {named}")
    found = comparison.result(tuple(run.sample.told for run in reference.runs), tuple(notes))
    return replace(found, guesses=reference.guesses)


def check_written(
    workload: Workload, written: Model, expected: Model, reporter: Reporter = SILENT
) -> Check:
    """`written` against `expected`, the same with masked weights, on the inputs of `workload`.

    `reporter` is told the notes of a check that is passed; of another its `difference` has them.
    """
    return _checked(workload, loadable(expected), written, expected, reporter)


def require_faithful(workload: Workload, reporter: Reporter = SILENT) -> None:
    """Raise `AlcsError` where the file with every layer rewritten does not compute the same.

    Before anything is measured or trained: what later is compared with masked forms of the loaded
    model rests on it. `reporter` is told what could not be compared.
    """
    whole = rewrite(workload.model, simd_group=workload.simd_group).model
    check = _checked(workload, workload.original, whole, workload.model, reporter)
    if not check.passed:
        raise AlcsError(
            f"{workload.path}: the file with all its layers rewritten, and none pruned, differs "
            f"from the original by {check.difference}"
        )


def check_quantized(
    workload: Workload, source: Serialized, written: Model, reporter: Reporter = SILENT
) -> Check:
    """A quantized file: its float form `source` against the original, and that it runs as well.

    The numbers are those of the float form; what rounding costs is judged on pictures. Raises as
    `require_same_shapes`.
    """
    check = check_against_original(
        workload.original, source, workload.inputs, workload.seed, workload.model.initializers
    )
    require_same_shapes(workload, written)
    for text in check.notes if check.passed else ():
        reporter.note(text)
    return check


def require_same_shapes(workload: Workload, written: Model) -> None:
    """Raise `AlcsError` where the quantized file `written` does not run as the original does.

    On all inputs of a check, with the library and without it; outputs are to have the same shapes.
    """
    reference = _Reference(workload.original, workload.inputs, workload.seed)
    data = loadable(written)
    for library in (True, False):
        session = ort.create_session(data, library=library)
        for run in reference.runs:
            found = ort.run(session, run.feeds)
            for name, value in run.outputs.items():
                if np.shape(found[name]) != np.shape(value):
                    raise AlcsError(
                        f"{workload.path}: in int8 output '{name}' is "
                        f"{list(np.shape(found[name]))} instead of {list(np.shape(value))}, "
                        f"{run.sample.told}"
                    )


def _checked(
    workload: Workload, original: Serialized, written: Model, constants: Model, reporter: Reporter
) -> Check:
    """`written` against `original`, whose constants are those of a model; notes where it passes."""
    check = check_against_original(
        original, loadable(written), workload.inputs, workload.seed, constants.initializers
    )
    for text in check.notes if check.passed else ():
        reporter.note(text)
    return check


@dataclass(frozen=True)
class _Run:
    """A run of the original: on what, and what came out by name."""

    sample: CheckSample
    feeds: ort.Feeds
    outputs: Mapping[str, Any]


class _Reference:
    """The original's runs, and on demand its outputs without the runtime's optimisations."""

    def __init__(self, model: Serialized, settings: InputSettings, seed: int) -> None:
        self.model = model
        self.notes: list[str] = []
        self.runs: list[_Run] = []
        self.optimized = session = ort.create_session(model, library=False)
        self._again: dict[str, list[Mapping[str, Any]]] = {}
        self.guesses: tuple[str, ...] = ()
        reasons = []
        for sample in check_samples(session.inputs, settings, seed):
            try:
                made = make_feeds(
                    session,
                    sample.seed,
                    settings.with_shapes(sample.shapes),
                    varied=sample.varied,
                )
                self.runs.append(_Run(sample, made.feeds, ort.run(session, made.feeds)))
                self.guesses = self.guesses or made.notes
            except AlcsError as error:
                reasons.append((sample.told, str(error)))
        if not self.runs:
            raise AlcsError(
                "the original runs on none of the inputs that were made up to check the written "
                f"file: give some by --input-shapes and --input-values; {reasons[0][1]}"
            )
        self.notes += [
            f"not compared at {told}, where the original does not run: {reason}"
            for told, reason in reasons
        ]

    @cached_property
    def unoptimized(self) -> ort.Session:
        """The original as it is written."""
        return ort.create_session(self.model, library=False, optimized=False)

    def again(self, run: _Run, noise: float) -> list[Mapping[str, Any]]:
        """What the original gives on the same sample where only roundings differ; none it fails."""
        if run.sample.told not in self._again:
            try:
                found = list(outputs_again(self.optimized, self.unoptimized, run.feeds, noise))
            except AlcsError:
                found = []
            self._again[run.sample.told] = found
        return self._again[run.sample.told]


@dataclass
class _Worst:
    """The largest difference of one output, by variant of the session."""

    tolerance: float
    differences: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    samples: dict[bool, str] = field(default_factory=dict)

    @property
    def variant(self) -> bool:
        """The variant that is worse: with the library, or without."""
        return self.differences[True] >= self.differences[False]

    @property
    def share(self) -> float:
        """The largest difference as a share of the tolerance."""
        return max(self.differences.values()) / self.tolerance


class _Comparison:
    """Sums up the differences of written sessions from the original's runs."""

    def __init__(self, reference: _Reference, tolerance: float) -> None:
        self.notes: list[str] = []
        self._reference, self._least = reference, tolerance
        self._worst: dict[str, _Worst] = {}
        self._blamed = False

    def add(self, session: ort.Session, run: _Run, *, library: bool) -> None:
        """Run a written model on one sample and compare."""
        fixed = _fixed_input(session, run.sample)
        if fixed:
            self._note(f"not compared at {run.sample.told}: the written file fixes {fixed}")
            return
        try:
            found: Mapping[str, Any] = ort.run(session, run.feeds)
            told = run.sample.told
        except AlcsError as error:
            found, told = {}, f"{run.sample.told}: {error}"
        expected = run.outputs
        if found and self._share(found, expected) > 1:
            expected = self._own_fault(run, found)
        for name, value in expected.items():
            gap = self._gap(run, name, found, value)
            if gap is None:
                continue
            worst = self._worst.setdefault(name, _Worst(self._tolerance(value)))
            if gap > worst.differences[library] or library not in worst.samples:
                worst.differences[library], worst.samples[library] = gap, told

    def result(self, samples: tuple[str, ...], notes: tuple[str, ...]) -> Check:
        """The numbers of the worst output."""
        if not self._worst:  # nothing was compared, so nothing is known to be equal
            return Check(NumericCheck(inf, inf, TOLERANCE), "", "nowhere compared", notes)
        name, worst = max(self._worst.items(), key=lambda item: item[1].share)
        numbers = NumericCheck(
            worst.differences[True], worst.differences[False], worst.tolerance, samples
        )
        return Check(numbers, name, worst.samples[worst.variant], notes)

    def _gap(self, run: _Run, name: str, found: Mapping[str, Any], value: object) -> float | None:
        """How far an output is from `value`, its jumps by roundings left out; None if all is."""
        if name not in found:
            return inf
        gap, tolerance = value_difference(found[name], value), self._tolerance(value)
        if gap <= tolerance:
            return gap
        noise = ROUNDING if self._least == TOLERANCE else self._least / _ROUNDINGS
        again = [outputs[name] for outputs in self._reference.again(run, noise)]
        stable = stable_difference(found[name], value, again, tolerance)
        if stable is None or stable <= tolerance:
            which = "output" if stable is None else "some values of output"
            self._note(
                f"not compared at {run.sample.told}: {which} '{name}', "
                "which rounding errors decide in the original, too"
            )
        return stable

    def _own_fault(self, run: _Run, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """The original's outputs without the runtime's optimisations, where `found` are these."""
        try:
            plain = ort.run(self._reference.unoptimized, run.feeds)
        except AlcsError:
            return run.outputs
        if self._share(found, plain) > 1:
            return run.outputs
        if not self._blamed:
            self._blamed = True
            name = find_optimizer(
                self._reference.model,
                lambda session: self._share(ort.run(session, run.feeds), plain) <= 1,
            )
            which = f"optimisation '{name}' changes" if name else "optimisations change"
            self._note(
                f"ONNX Runtime's own {which} the result of the original; without "
                f"{'it' if name else 'them'} the original and the written file agree"
            )
        return plain

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _tolerance(self, value: object) -> float:
        """The largest difference of an output that is none, by its type and those inside."""
        return max(self._least, _tolerance(value))

    def _share(self, found: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
        """The largest difference of an output as a share of its tolerance."""
        shares = (
            value_difference(found[name], value) / self._tolerance(value) if name in found else inf
            for name, value in expected.items()
        )
        return max(shares, default=0.0)


def _tolerance(value: object) -> float:
    """The largest relative difference that is none, of the coarsest type in `value`."""
    epsilons = (_EPSILONS.get(array.dtype.name, 0.0) for array in arrays_in(value))
    return max((TOLERANCE, *(_ROUNDINGS * epsilon for epsilon in epsilons)))


def _fixed_input(session: ort.Session, sample: CheckSample) -> str:
    """The first input that the written file fixes to another shape than the sample has."""
    for value in session.inputs:
        shape = sample.shapes.get(value.name, ())
        if any(fixed not in (None, size) for fixed, size in zip(value.shape, shape, strict=False)):
            return f"input '{value.name}' to {ort.text_of(value.shape)}"
    return ""


def _finite(array: npt.NDArray[Any]) -> bool:
    """Whether no value of `array` is NaN or infinite."""
    return not is_float(array.dtype) or bool(np.isfinite(array.astype(np.float64)).all())
