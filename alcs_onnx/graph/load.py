"""Loading a model file into a normalised `Model`, with one clear line for every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.editor import GraphEditor, check
from alcs_onnx.graph.input_shapes import resolve_inputs
from alcs_onnx.graph.model import Model
from alcs_onnx.graph.parse import read_model
from alcs_onnx.graph.passes import PASSES
from alcs_onnx.graph.shapes import Declared, infer
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import Shape

#: Passes enable one another; real models settle within three rounds.
_MAX_ROUNDS = 12

_NO_CONV = "the model has no Conv node, so there is nothing to optimize"

Note = Callable[[str], None]


def load_model(
    path: str | Path,
    input_shapes: Mapping[str, Shape] | None = None,
    reporter: Reporter = SILENT,
    *,
    needs_conv: bool = True,
) -> Model:
    """Read, check and normalise the ONNX file at `path`.

    `input_shapes` gives static shapes to inputs with dynamic dimensions. A batch (first
    dimension) that alone is dynamic becomes 1. `reporter` is told each thing worth
    telling. Raises `ModelError` for a file that is missing, not ONNX, damaged, invalid,
    or without a Conv node (unless `needs_conv` is False), and `UnsupportedError` for what is
    valid but not handled.
    """
    try:
        given = {name: tuple(shape) for name, shape in (input_shapes or {}).items()}
        raw = read_model(Path(path))
        model = resolve_inputs(raw.model, raw.input_dims, given, reporter.note)
        # Declared shapes hold only for the inputs they were declared for.
        same = all(raw.input_dims[name] == shape for name, shape in given.items())
        declared = {
            name: (dtype, shape if same else None) for name, (dtype, shape) in raw.declared.items()
        }
        model = GraphEditor(model).snapshot()  # refuses dangling tensors and cycles
        model = normalise(infer(model, declared), declared, reporter.note)
    except AlcsError as error:
        # Names from the file may hold anything, line breaks included.
        raise type(error)(" ".join(f"{path}: {error}".split())) from error
    if needs_conv:
        require_conv(path, model)
    return model


def require_conv(path: str | Path, model: Model) -> None:
    """Raise `ModelError` where `model`, loaded from `path`, has no Conv node."""
    if not any(node.is_op("Conv") for node in model.nodes):
        raise ModelError(f"{path}: {_NO_CONV}")


def normalise(model: Model, declared: Declared, note: Note) -> Model:
    """Run the registered passes in order until none changes anything, then check."""
    for _ in range(_MAX_ROUNDS):
        changes = 0
        for normalisation in PASSES:
            editor = GraphEditor(model)
            changed = normalisation.run(editor, note)
            if changed:
                changes += changed
                model = editor.snapshot()
                if normalisation.changes_shapes:
                    model = infer(model, declared)
        if not changes:
            break
    check(model)
    return infer(model, declared)
