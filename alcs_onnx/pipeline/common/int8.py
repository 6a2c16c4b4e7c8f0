"""A model's float file with the ranges of its tensors, of which any set of nodes is made int8."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from alcs_onnx.data import Samples, runtime_batches
from alcs_onnx.errors import AlcsError, UnsupportedError
from alcs_onnx.graph import Model, folded, load_model, loadable
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.judge import judge_few
from alcs_onnx.pipeline.common.precision import PrecisionSearch, search_precision
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.quantization import (
    LEAST_OPSET,
    Quantized,
    Ranges,
    calibrate,
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
#: Pictures that biases are corrected by, and by which it is decided whether they are: means need
#: fewer than extremes.
_CORRECTED_BY = 64


@dataclass(frozen=True, eq=False)
class Quantizable:
    """The float model of `workload` as it is quantized.

    `source` is its file with normalizations folded and of an opset that has int8, and `ranges`
    those of its tensors on the `pictures`.
    """

    workload: Workload
    model: Model
    source: Serialized
    ranges: Ranges
    pictures: Samples

    @classmethod
    def open(
        cls, workload: Workload, pictures: Samples, calibrator: str, reporter: Reporter
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
        ranges = calibrate(source, feeds_of(workload.model, pictures), calibrator)
        reporter.note(f"ranges of {len(ranges.values)} tensors from {ranges.pictures} pictures")
        return cls(workload, model, source, ranges, pictures)

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
        return quantize(self.source, self.ranges, self._tensors(nodes))

    def corrected(self, nodes: Collection[str]) -> Quantized:
        """The same with biases that make each layer right on average (`quantization.bias`)."""
        tensors = self._tensors(nodes)
        few = islice(feeds_of(self.workload.model, self.pictures), _CORRECTED_BY)
        source = with_corrected_biases(self.source, self.ranges, few, tensors)
        return quantize(source, self.ranges, tensors)

    def best(self, nodes: Collection[str], reporter: Reporter) -> Quantized:
        """The quantized file, with corrected biases where that helps on some of the pictures."""
        plain = self.quantized(nodes)
        if not plain.nodes:
            return plain
        corrected = self.corrected(nodes)
        judge = judge_few(self.source, self.workload.model, self.pictures, _CORRECTED_BY)
        errors = [judge.judge(x.model, library=False).relative_error for x in (plain, corrected)]
        helps = errors[1] < errors[0]
        reporter.note(
            f"correcting biases takes the relative error from {errors[0]:.3g} to {errors[1]:.3g}"
            + ("" if helps else ": left as they are")
        )
        return corrected if helps else plain

    def of_model(self, model: Model, reporter: Reporter) -> Quantizable:
        """Another form of the model, of which something was removed, on the same pictures."""
        workload = replace(self.workload, model=model)
        return Quantizable.open(workload, self.pictures, self.ranges.calibrator, reporter)

    def as_model(self, quantized: Quantized) -> Model:
        """What is to be written, as a model that is saved as it is."""
        data = quantized.model
        if not isinstance(data, bytes):
            raise AlcsError("models above 2 GB cannot be quantized")
        with tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(data)
            shapes = {info.name: info.shape for info in self.workload.model.inputs}
            return load_model(path, shapes, needs_conv=False)

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
            made = quantize(source, self.ranges, self._tensors(nodes))
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
