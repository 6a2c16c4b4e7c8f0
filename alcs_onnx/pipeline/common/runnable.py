"""Model files as they are, loaded in the runtime, and inputs made up for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alcs_onnx import ort
from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import read_file, self_contained
from alcs_onnx.types import Shape


@dataclass(frozen=True)
class RunnableFile:
    """The file at `path`: `data` runs by itself, weights of other files included."""

    path: Path
    data: bytes
    session: ort.Session

    def random_feeds(self, seed: int, input_shapes: Mapping[str, Shape]) -> ort.Feeds:
        """Reproducible inputs, as `ort.random_feeds` makes them.

        Raises `ModelError`, naming the file and the input, where a shape is missing or not the
        file's.
        """
        for name in undeclared_inputs(self.path, self.session):
            if name not in input_shapes:
                raise ModelError(no_shape(self.path, name))
        try:
            return ort.random_feeds(self.session, seed, input_shapes)
        except AlcsError as error:
            raise type(error)(f"{self.path}: {error}") from error


def open_runnable(path: Path) -> RunnableFile:
    """Load the file at `path`, which may be any that the runtime takes.

    Raises a child of `AlcsError` that names the file where it cannot be read, is not ONNX, is
    refused by the runtime, or is larger than 2 GB with its weights.
    """
    data = self_contained(path)
    return RunnableFile(path, data, ort.create_session(data, name=str(path)))


def no_shape(path: Path, name: str) -> str:
    """What to tell where the file at `path` declares no shape of input `name`."""
    return (
        f"{path}: input '{name}' has no declared shape: "
        f"give it, for example --input-shapes {name}:1,3,224,224"
    )


def undeclared_inputs(path: Path, session: ort.Session) -> frozenset[str]:
    """Inputs of `session`, made from the file at `path`, whose shape the file does not declare.

    The runtime gives them the empty shape, as it does scalars; only the file tells them apart.
    """
    doubtful = {value.name for value in session.inputs if not value.shape}
    if not doubtful:
        return frozenset()
    declared = {value.name for value in read_file(path).inputs if value.shape is not None}
    return frozenset(doubtful - declared)
