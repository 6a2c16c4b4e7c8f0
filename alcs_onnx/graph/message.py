"""A serialized model taken apart: its message, and the values of its initializers as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from alcs_onnx.graph.model import Array
from alcs_onnx.graph.parse import drop_initializers, parse, particular_initializers, read_arrays
from alcs_onnx.graph.save import stored, too_large
from alcs_onnx.serialized import Serialized


@dataclass(frozen=True, eq=False)
class Message:
    """`proto` has of its initializers what is documented, and sparse ones; nobody changes it."""

    proto: onnx.ModelProto
    arrays: Mapping[str, Array]

    @staticmethod
    def read(source: Serialized) -> Message:
        """The parts of `source`; weights in files are mapped. Raises `ModelError`."""
        if isinstance(source, bytes):
            proto, folder = onnx.load_from_string(source), Path()
        else:
            proto, folder = parse(source.path), source.path.parent
        arrays = read_arrays(proto, folder)
        particular = particular_initializers(proto.graph)
        drop_initializers(proto, arrays)
        proto.graph.MergeFrom(particular)
        return Message(proto, arrays)

    @property
    def is_large(self) -> bool:
        """Whether the weights do not fit into one message."""
        return too_large(self.arrays)

    def serialized(self) -> Serialized:
        """The model as the runtime loads it: bytes, beyond 2 GB a temporary file."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self.proto)
        return stored(proto, self.arrays)
