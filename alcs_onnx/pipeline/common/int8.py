"""A model's float file with the ranges of its tensors, of which any set of nodes is made int8."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
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
        quantized = [node for node in workload.model.nodes if node.is_op(*_QUANTIZED)]
        if quantized:
            raise UnsupportedError(
                f"the file is quantized already: {len(quantized)} nodes convert to integers or "
                f"compute with them, as '{quantized[0].name}' ({quantized[0].op_type}); they stay"
            )
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

    def search(self, reporter: Reporter) -> PrecisionSearch:
        """Models in which other sets of nodes are int8, measured: the fastest among them."""
        # Profiles are read by the names of nodes, which the user's file may not have.
        alone = self.model.detached()
        source = loadable(alone, LEAST_OPSET)

        def quantized(nodes: frozenset[str]) -> Serialized:
            return quantize(source, self.ranges, self._tensors(nodes)).model

        return search_precision(self.workload, alone, source, quantized, reporter)

    def _tensors(self, nodes: Collection[str] | None) -> list[str] | None:
        if nodes is None:
            return None
        return [node.outputs[0] for node in self.model.nodes if node.name in nodes]


def feeds_of(model: Model, samples: Samples) -> Iterator[Feeds]:
    """The inputs of one run each: of one sample, where the model takes batches."""
    for batch in runtime_batches(model, samples):
        yield from batch.singles(model.takes_batches)
