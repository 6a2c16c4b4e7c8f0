"""Model files as they are, loaded in the runtime, and inputs made up for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alcs_onnx import ort
from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.feeds import make_feeds, shapes_to_load
from alcs_onnx.graph import read_file, self_contained
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import Shape


@dataclass(frozen=True)
class RunnableFile:
    """The file at `path`: `data` runs by itself, weights of other files included."""

    path: Path
    data: Serialized
    session: ort.Session

    def make_feeds(
        self, seed: int, inputs: InputSettings, reporter: Reporter = SILENT
    ) -> ort.Feeds:
        """Reproducible inputs, as `feeds.make_feeds` makes them, on which the file runs.

        `reporter` is told what was guessed, and which outputs get another shape than the file
        declares. Raises a child of `AlcsError`, naming the file and the input, where a shape is
        missing or not the file's, or where the file does not run.
        """
        for name in undeclared_inputs(self.path, self.session):
            if name not in inputs.shapes and name not in inputs.values:
                raise ModelError(no_shape(self.path, name))
        try:
            made = make_feeds(self.session, seed, inputs)
            contradicted = self.session.contradicted(made.feeds)
        except AlcsError as error:
            raise type(error)(f"{self.path}: {error}") from error
        for text in made.notes:
            reporter.note(text)
        for value, shape in contradicted:
            reporter.note(
                f"{self.path}: output '{value.name}' is declared as {ort.text_of(value.shape)} "
                f"and comes out as {ort.text_of(shape)}: the declaration is not relied upon"
            )
        return made.feeds


def open_runnable(path: Path) -> RunnableFile:
    """Load the file at `path`, which may be any that the runtime takes.

    Raises a child of `AlcsError` that names the file where it cannot be read, is not ONNX, is
    refused by the runtime, or is larger than 2 GB with its weights.
    """
    data = self_contained(path)
    return RunnableFile(path, data, ort.create_session(data, name=str(path)))


def shapes_of(path: Path, inputs: InputSettings) -> Mapping[str, Shape]:
    """The shapes of inputs by which the file at `path` is to be loaded.

    They are those that `inputs` give, and those that follow because dimensions have one name.
    Raises `ModelError`, naming the file, for names and sizes that are not the file's. A file that
    the runtime refuses has no names of dimensions here; what is wrong with it is told elsewhere.
    """
    try:
        session = ort.create_session(path, optimized=False)
    except AlcsError:
        return inputs.shapes
    try:
        check_names([session], inputs, "the model has")
        return shapes_to_load(session.inputs, inputs)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def refusal(path: Path) -> str:
    """Why the runtime refuses the file at `path`; empty where it does not."""
    try:
        ort.create_session(path, optimized=False)
    except AlcsError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


def check_names(sessions: Iterable[ort.Session], inputs: InputSettings, whose: str) -> None:
    """Raise `ModelError` for names in `inputs` that none of `sessions` has, as `whose` tells."""
    values = [value for session in sessions for value in session.inputs]
    dimensions = [dim for value in values for dim in value.dims if isinstance(dim, str)]
    inputs.check((value.name for value in values), dimensions, whose)


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
