"""What is inspected: a file as it is, and the same normalised as `optimize` would see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import (
    Model,
    ModelFile,
    Node,
    as_convolutions,
    load_model,
    read_file,
    require_conv,
)
from alcs_onnx.pipeline.inspect.weights import FileWeight, find_weights
from alcs_onnx.reporter import SILENT, NoteKeeper, Reporter
from alcs_onnx.types import Shape


@dataclass(frozen=True, eq=False)
class Subject:
    """A model file, read twice: `file` has its own nodes, `model` those that optimizing changes.

    `problem` says why the model cannot be optimized; `model` is None where it cannot even be
    normalised. `notes` were told while loading.
    """

    path: Path
    file: ModelFile
    model: Model | None
    problem: str
    notes: tuple[str, ...]

    @cached_property
    def weights(self) -> Mapping[str, FileWeight]:
        """The weights of every layer of the file that has constant ones, by node."""
        return find_weights(self.file.model)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The file's nodes."""
        return self.file.model.nodes

    def normalised(self) -> Model:
        """`model`, or a `ModelError` with the problem."""
        if self.model is None:
            raise ModelError(f"{self.path}: {self.problem}")
        return self.model

    def file_node(self, name: str) -> str:
        """The node of the file that node `name` of the normalised model is, or comes from.

        Found by name, or else by what it reads or computes; empty where nothing agrees.
        """
        names = self._names
        if name in names or self.model is None:
            return name
        node = self.model.node(name)
        readers = (
            reader.name for tensor in node.reads[1:] for reader in self.file.model.consumers(tensor)
        )
        makers = (self.file.model.producer(tensor) for tensor in node.outputs)
        found = [*readers, *(maker.name for maker in makers if maker is not None)]
        return found[0] if found else ""

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(node.name for node in self.nodes)


def open_subject(
    path: Path,
    input_shapes: Mapping[str, Shape],
    *,
    fully_connected: bool = False,
    reporter: Reporter = SILENT,
) -> Subject:
    """Read the file at `path`; raises a child of `AlcsError` only if it cannot be read at all.

    `fully_connected` as for `optimize`.
    """
    keeper = NoteKeeper(reporter)
    file = read_file(path, input_shapes)
    for text in file.notes:
        keeper.note(text)
    model, problem = None, ""
    try:
        model = load_model(path, input_shapes, keeper, needs_conv=False)
        if fully_connected:
            model = as_convolutions(model, keeper)
        require_conv(path, model)
    except AlcsError as error:
        problem = str(error).removeprefix(f"{path}: ")
    return Subject(path, file, model, problem, tuple(dict.fromkeys(keeper.notes)))
