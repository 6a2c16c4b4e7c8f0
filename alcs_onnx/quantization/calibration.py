"""Ranges of tensors, measured by ONNX Runtime's calibrators on pictures.

One picture at a time: what a calibrator keeps between them are ranges and histograms, whatever
the number of pictures. It ignores NaN; here NaN is an error that says where it comes up first. To
see that, the model is given an output more for each tensor: its sum, which NaN makes NaN.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime.quantization.calibrate import TensorsData

from alcs_onnx.errors import DataError
from alcs_onnx.graph.message import Message
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import ONNX_ERRORS, free_name
from alcs_onnx.ort import Feeds, Session, Value, check_runtime, create_session, processors
from alcs_onnx.quantization.operators import INT8_OPS
from alcs_onnx.quantization.quiet import quiet
from alcs_onnx.quantization.registry import CALIBRATORS
from alcs_onnx.quantization.values import LEAST_RUNTIME, Ranges
from alcs_onnx.serialized import Serialized, StoredModel


def calibrate(source: Serialized, pictures: Iterable[Feeds], calibrator: str = "min-max") -> Ranges:
    """The ranges of the float32 tensors around nodes that can be int8, on `pictures`.

    Each picture is the inputs of one run. Raises `DataError` where there is none, where the model
    does not run on one, and where a tensor is NaN on one, naming the node and the picture, which
    are counted from 1; an `AlcsError` for a calibrator of another name; `TargetError` where the
    installed runtime is too old to quantize.
    """
    (ranges,) = calibrate_by([calibrator], source, pictures)
    return ranges


def calibrate_by(
    calibrators: Sequence[str], source: Serialized, pictures: Iterable[Feeds]
) -> tuple[Ranges, ...]:
    """The ranges by each of `calibrators`: as `calibrate`, with one run of each picture.

    All have to be of one kind, which measures the same: histograms, or extremes.
    """
    check_runtime(LEAST_RUNTIME, "int8 models")
    makers = [CALIBRATORS.named(name) for name in calibrators]
    watched = _Watched(Message.read(source))
    with tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True) as folder, quiet():
        model, measuring = Path(folder) / "model.onnx", Path(folder) / "measuring.onnx"
        watched.write(model)
        first, *others = (make(model, list(INT8_OPS), measuring) for make in makers)
        assert all(type(other) is type(first) for other in others)
        first.use_external_data_format = watched.message.is_large
        first.augment_graph()
        watched.open(measuring)
        first.infer_session = watched
        for feeds in pictures:
            first.collect_data(_One(feeds))
        if not watched.runs:
            raise DataError("there are no pictures to calibrate with")
        for other in others:
            other.infer_session = watched
            other.intermediate_outputs = first.intermediate_outputs
        measured = [found.compute_data() for found in (first, *others)]
    floats = set(watched.sums.values())  # the runtime measures float16 as well
    return tuple(
        Ranges(_finite(each, floats), name, watched.runs)
        for name, each in zip(calibrators, measured, strict=True)
    )


def _finite(measured: TensorsData, tensors: Collection[str]) -> Mapping[str, tuple[float, float]]:
    """The ranges of those of `tensors` that were finite everywhere."""
    values = {n: _ends(measured[n].range_value) for n in measured.data if n in tensors}
    return {name: ends for name, ends in values.items() if all(map(isfinite, ends))}


def _ends(found: Sequence[Any]) -> tuple[float, float]:
    low, high = (float(np.asarray(end).reshape(-1)[0]) for end in found)
    return low, high


class _One:
    """A reader of one run, as calibrators want it."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds: Feeds | None = feeds

    def get_next(self) -> Mapping[str, Array] | None:
        feeds, self._feeds = self._feeds, None
        return feeds


class _Watched:
    """A session for a calibrator, which looks for NaN in all tensors of every run."""

    def __init__(self, message: Message) -> None:
        self.runs = 0
        self._session: Session | None = None
        self._made = {n: node for node in message.proto.graph.node for n in node.output if n}
        proto = onnx.ModelProto()
        proto.CopyFrom(message.proto)
        self.sums = dict(_add_sums(proto, message))
        self.message = Message(proto, message.arrays)

    def write(self, path: Path) -> None:
        """Write the model with its sums to `path`."""
        source = self.message.serialized()
        if isinstance(source, StoredModel):
            for file in source.path.parent.iterdir():
                file.rename(path.with_name(file.name))
        else:
            path.write_bytes(source)

    def open(self, path: Path) -> None:
        """Load the model that a calibrator made of it."""
        self._session = create_session(path, processors(), library=False)

    @property
    def _loaded(self) -> Session:
        assert self._session is not None
        return self._session

    def get_inputs(self) -> Sequence[Value]:
        """As of the runtime's own session."""
        return self._loaded.inputs

    def get_outputs(self) -> Sequence[Value]:
        """As of the runtime's own session."""
        return self._loaded.outputs

    def run(self, _: None, feeds: Feeds) -> list[Array]:
        """One run; `DataError` if a tensor is NaN."""
        self.runs += 1
        try:
            results = self._loaded.run(feeds)
        except DataError as error:
            raise DataError(f"picture {self.runs}: {error}") from error
        for value, result in zip(self._loaded.outputs, results, strict=True):
            if value.name in self.sums and np.isnan(result):
                raise DataError(f"picture {self.runs}: {self._told(self.sums[value.name])}")
        return results

    def _told(self, tensor: str) -> str:
        node = self._made.get(tensor)
        if node is None:
            return f"input '{tensor}' holds NaN"
        return f"node '{node.name or tensor}' ({node.op_type}) computes NaN"


def _add_sums(proto: onnx.ModelProto, message: Message) -> Iterator[tuple[str, str]]:
    """Add the sum of each float tensor to the outputs; gives (name of the sum, tensor) in order."""
    graph = proto.graph
    floats = {
        info.name
        for info in _typed(proto, message)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    names = [info.name for info in graph.input]
    names += [name for node in graph.node for name in node.output if name]
    taken = {*names, *message.arrays, *(info.name for info in graph.output)}
    for name in names:
        if name in floats and name not in message.arrays:
            total = free_name(f"{name}.sum", taken)
            taken.add(total)
            graph.node.append(helper.make_node("ReduceSum", [name], [total], keepdims=0))
            graph.output.append(helper.make_tensor_value_info(total, TensorProto.FLOAT, []))
            yield total, name


def _typed(proto: onnx.ModelProto, message: Message) -> list[onnx.ValueInfoProto]:
    """Declarations of all tensors whose type can be known, weights left out."""
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    declared = (
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in message.arrays.items()
    )
    del bare.graph.initializer[:]
    bare.graph.input.extend(declared)
    try:
        graph = onnx.shape_inference.infer_shapes(bare).graph
    except ONNX_ERRORS:
        graph = bare.graph
    return [*graph.input, *graph.value_info, *graph.output]
