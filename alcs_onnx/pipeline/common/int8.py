"""A model's float file with the ranges of its tensors, of which any set of nodes is made int8."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice

from alcs_onnx.data import Samples, runtime_batches
from alcs_onnx.errors import AlcsError, UnsupportedError
from alcs_onnx.graph import Model, folded, loadable
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.judge import judge_few
from alcs_onnx.pipeline.common.precision import PrecisionSearch, search_precision
from alcs_onnx.pipeline.common.rounding import ToRound, as_model, rounded
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.quantization import (
    LEAST_OPSET,
    Quantized,
    QuantizeOptions,
    Ranges,
    calibrate_by,
    equalized,
    products_overflow,
    quantizable,
    quantize,
    with_corrected_biases,
)
from alcs_onnx.reporter import Reporter
from alcs_onnx.serialized import Serialized

#: Operators of a file that is quantized.
_QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)
#: Calibrators whose ranges one run of each picture gives. By the first one nodes are chosen; the
#: file that is written is made by each.
_CALIBRATORS = ("extremes", "min-max")
#: Pictures that ranges are taken from, at most: more do not make them better.
_CALIBRATED_BY = 128
#: Pictures that biases are corrected by: means need fewer than extremes.
_CORRECTED_BY = 64
#: Pictures by which it is decided what is written, at most.
_DECIDED_BY = 256
#: Pictures by which it is checked that scaling changed nothing, and the relative error of rounding.
_CHECKED_BY, _SAME = 8, 1e-3
_SEVEN_BITS = "; weights take 7 bits, as products of 8 overflow in this machine's int8 kernels"
#: Losses (percent) that so many pictures do not tell apart: the relative error does.
_SAME_LOSS = 1.0


@dataclass(frozen=True, eq=False)
class Quantizable:
    """The float model of `workload` as it is quantized.

    `source` is its file with normalizations folded and of an opset that has int8, and `calibrated`
    the ranges of its tensors on the `pictures`, by each of the calibrators. Weights take 7 bits
    where the runtime's products of 8 bits overflow on this machine.
    """

    workload: Workload
    model: Model
    source: Serialized
    calibrated: tuple[Ranges, ...]
    pictures: Samples
    options: QuantizeOptions
    #: Whether `best` may have other weights than the nearest ones.
    refits: bool
    #: How each set of nodes was quantized that `best` was asked for, in words, and the result.
    made: dict[frozenset[str], tuple[str, Quantized]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, workload: Workload, pictures: Samples, reporter: Reporter, *, refits: bool = True
    ) -> Quantizable:
        """Calibrate on `pictures`.

        Raises `UnsupportedError` for a file that is quantized already, and `DataError` for
        activations that are NaN.
        """
        already = quantized_already(workload.model)
        if already:
            raise UnsupportedError(already)
        model = folded(workload.model)
        source = loadable(model, LEAST_OPSET)
        few = islice(feeds_of(workload.model, pictures), _CALIBRATED_BY)
        found = calibrate_by(_CALIBRATORS, source, few)
        options = QuantizeOptions(reduce_range=products_overflow())
        reporter.note(
            f"ranges of {len(found[0].values)} tensors from {found[0].pictures} pictures"
            + (_SEVEN_BITS if options.reduce_range else "")
        )
        return cls(workload, model, source, found, pictures, options, refits)

    @property
    def ranges(self) -> Ranges:
        """Those that nodes are chosen with."""
        return self.calibrated[0]

    @property
    def settings(self) -> Mapping[str, object]:
        """What nodes are chosen with, for results."""
        return {
            "calibrator": self.ranges.calibrator,
            "calibration_pictures": self.ranges.pictures,
            "weight_bits": 7 if self.options.reduce_range else 8,
        }

    @cached_property
    def reasons(self) -> Mapping[str, str]:
        """Why nodes, by name, stay float32; those that can be int8 are absent."""
        found = quantizable(self.source, self.ranges)
        return {
            node.name: found[node.outputs[0]]
            for node in self.model.nodes
            if node.outputs and found.get(node.outputs[0])
        }

    def quantized(self, nodes: Collection[str] | None = None) -> Quantized:
        """The file with `nodes`, by name, in int8; by default all that can be."""
        return quantize(self.source, self.ranges, self._tensors(nodes), self.options)

    def best(self, nodes: Collection[str], reporter: Reporter) -> Quantized:
        """The file with `nodes` in int8 that loses least on some of the pictures.

        There is one for each calibrator, as it is and with biases that make each layer right on
        average (`quantization.bias`), and one whose channels are equalized and whose weights are
        rounded by what the layers' outputs lose (`rounding`).
        """
        chosen = frozenset(nodes)
        if chosen not in self.made:
            self.made[chosen] = self._best(chosen, reporter)
        return self.made[chosen][1]

    def _best(self, nodes: frozenset[str], reporter: Reporter) -> tuple[str, Quantized]:
        found = dict(self._forms(nodes))
        first = next(iter(found))
        if not found[first].nodes:
            return first, found[first]
        judge = judge_few(self.source, self.workload.model, self.pictures, _DECIDED_BY)
        losses: dict[str, tuple[float, float]] = {}

        def look_at(names: Iterable[str]) -> str:
            for name in names:
                judged = judge.judge(found[name].model, library=False)
                losses[name] = (judged.loss, judged.relative_error)
            return _least(losses)

        chosen = look_at(tuple(found))
        if self.refits:
            ranges = next(x for x in self.calibrated if chosen.startswith(x.calibrator))
            name = f"{ranges.calibrator} layer by layer"
            try:
                found[name] = self._layer_by_layer(nodes, ranges, reporter)
                chosen = look_at([name])
            except (AlcsError, MemoryError) as error:
                reporter.note(f"weights are rounded to the nearest: {error}")
        told = ", ".join(f"{name} {loss:.2g} %" for name, (loss, _) in losses.items())
        reporter.note(f"int8 by {chosen}, by what is lost: {told}")
        return chosen, found[chosen]

    def _forms(self, nodes: frozenset[str]) -> Iterator[tuple[str, Quantized]]:
        """`nodes` in int8 by each calibrator, with its biases and with corrected ones."""
        tensors, options = self._tensors(nodes), self.options
        few = list(islice(feeds_of(self.workload.model, self.pictures), _CORRECTED_BY))
        for ranges in self.calibrated:
            name = ranges.calibrator
            quantized = quantize(self.source, ranges, tensors, options)
            yield name, quantized
            if quantized.nodes:
                corrected = with_corrected_biases(self.source, ranges, few, tensors, options)
                found = quantize(corrected, ranges, tensors, options)
                yield f"{name} with corrected biases", found

    def _layer_by_layer(
        self, nodes: frozenset[str], ranges: Ranges, reporter: Reporter
    ) -> Quantized:
        """`nodes` in int8 with channels of like ranges and weights that layers lose least by."""
        pictures = partial(feeds_of, self.workload.model, self.pictures)
        model = equalized(self.model, islice(pictures(), _CALIBRATED_BY), nodes)
        source = self.source
        if model is not self.model:
            source = loadable(model, LEAST_OPSET)
            judge = judge_few(self.source, self.workload.model, self.pictures, _CHECKED_BY)
            if judge.judge(source, library=False).relative_error > _SAME:
                raise AlcsError("with its channels scaled the network computes something else")
            few = islice(pictures(), _CALIBRATED_BY)
            (ranges,) = calibrate_by((ranges.calibrator,), source, few)
        work = ToRound(model, source, ranges, self._tensors(nodes), self.options)
        return rounded(work, self.pictures, self.workload.seed, reporter)

    def of_model(self, model: Model, reporter: Reporter) -> Quantizable:
        """Another form of the model, of which something was removed, on the same pictures."""
        workload = replace(self.workload, model=model)
        return Quantizable.open(workload, self.pictures, reporter, refits=self.refits)

    def as_model(self, quantized: Quantized) -> Model:
        """What is to be written, as a model that is saved as it is."""
        return as_model(quantized.model, self.workload.model)

    def search(
        self, reporter: Reporter, rewritten: Callable[[Model], Model] | None = None
    ) -> PrecisionSearch:
        """Models in which other sets of nodes are int8, measured: the fastest among them.

        `rewritten` makes of each of them, the float32 model included, the one that is measured.
        """
        # Profiles are read by the names of nodes, which the user's file may not have.
        alone = self.model.detached()
        source = loadable(alone, LEAST_OPSET)

        def quantized(nodes: frozenset[str]) -> Serialized:
            made = quantize(source, self.ranges, self._tensors(nodes), self.options)
            return made.model if rewritten is None else loadable(rewritten(self.as_model(made)))

        float32 = source if rewritten is None else loadable(rewritten(alone))
        found = search_precision(self.workload, alone, float32, quantized, reporter)
        for candidate in found.candidates[1:]:
            reporter.note(
                f"int8 in {len(candidate.int8)} of {len(found.costs.nodes)} nodes: "
                f"{candidate.timing.median:.3f} ms beside {found.dense.median:.3f} ms in float32"
            )
        return found

    def _tensors(self, nodes: Collection[str] | None) -> list[str] | None:
        if nodes is None:
            return None
        return [node.outputs[0] for node in self.model.nodes if node.name in nodes]


def _least(losses: Mapping[str, tuple[float, float]]) -> str:
    """The name of the least of losses (percent) with relative errors, which part equal ones."""
    least = min(loss for loss, _ in losses.values())
    same = [name for name, (loss, _) in losses.items() if loss <= least + _SAME_LOSS]
    return min(same, key=lambda name: losses[name][1])


def quantized_already(model: Model) -> str:
    """That and where `model` has nodes that compute with integers; empty where it has none."""
    found = [node for node in model.nodes if node.is_op(*_QUANTIZED)]
    if not found:
        return ""
    return (
        f"the file is quantized already: {len(found)} nodes convert to integers or "
        f"compute with them, as '{found[0].name}' ({found[0].op_type}); they stay"
    )


def feeds_of(model: Model, samples: Samples) -> Iterator[Feeds]:
    """The inputs of one run each: of one sample, where the model takes batches."""
    for batch in runtime_batches(model, samples):
        yield from batch.singles(model.takes_batches)
