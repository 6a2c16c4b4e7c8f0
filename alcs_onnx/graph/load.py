"""Loading a model file into a normalised `Model`, with one clear line for every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.editor import GraphEditor, check
from alcs_onnx.graph.input_shapes import Dims, other_sizes, resolve_inputs
from alcs_onnx.graph.model import Model, Origin
from alcs_onnx.graph.obstacles import no_conv
from alcs_onnx.graph.parse import read_model
from alcs_onnx.graph.passes import PASSES
from alcs_onnx.graph.shapes import Declared, infer
from alcs_onnx.graph.weight_values import flush_subnormals, not_finite
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import Shape

#: Passes enable one another; real models settle within three rounds.
_MAX_ROUNDS = 12

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
        if raw.freed:
            reporter.note(
                f"{len(raw.freed)} weights are declared as inputs, too, so that ONNX Runtime may "
                "fold nothing: they are written as constants"
            )
        model = resolve_inputs(raw.model, raw.input_dims, given, reporter.note)
        # Declared shapes hold only for the inputs they were declared for.
        same = all(raw.input_dims[name] == shape for name, shape in given.items())
        declared = {
            name: (dtype, shape if same else None) for name, (dtype, shape) in raw.declared.items()
        }
        # Passes are to know the names of the file.
        model = replace(model, origin=Origin(raw.proto, raw.arrays, model, raw.freed))
        model = GraphEditor(model).snapshot()  # refuses dangling tensors and cycles
        model = _with_other_sizes(infer(model, declared), raw.input_dims, declared, reporter.note)
        model = normalise(model, declared, reporter.note)
        base = model.detached()
        flushed, count = flush_subnormals(base)
        if count:
            reporter.note(
                f"{count:,} weights are subnormal (below 1.18e-38), which is slow to compute with: "
                "they are written as zeros"
            )
        model = replace(flushed, origin=Origin(raw.proto, raw.arrays, base, raw.freed, count))
        for name in not_finite(model):
            reporter.note(f"weights '{name}' hold NaN or infinite values: they stay as they are")
    except AlcsError as error:
        # Names from the file may hold anything, line breaks included.
        raise type(error)(" ".join(f"{path}: {error}".split())) from error
    if needs_conv:
        require_conv(path, model)
    return model


def _with_other_sizes(
    model: Model, dims: Mapping[str, Dims | None], declared: Declared, note: Note
) -> Model:
    """The model with a second set of input sizes, where the file leaves some open."""
    shapes = {info.name: info.shape for info in model.inputs}
    reason = ""
    for other in other_sizes(dims, shapes):
        try:
            return infer(replace(model, other_inputs=other), declared)
        except ModelError as error:
            reason = str(error)
    if reason:
        note(f"the graph takes no other sizes than the measured ones: {reason}")
    return model


def require_conv(path: str | Path, model: Model) -> None:
    """Raise `ModelError`, saying why, where `model`, loaded from `path`, has no Conv node."""
    if not any(node.is_op("Conv") for node in model.nodes):
        raise ModelError(f"{path}: {no_conv(model)}")


def normalise(model: Model, declared: Declared, note: Note) -> Model:
    """Run the registered passes in order until none changes anything, then check."""
    graph = GraphEditor(model)
    for _ in range(_MAX_ROUNDS):
        changes = 0
        for normalisation in PASSES:
            changed = normalisation.run(graph, note)
            if changed:
                changes += changed
                graph.settle()
                if normalisation.changes_shapes:
                    graph.learn(infer(graph.snapshot(), declared))
        if not changes:
            break
    model = graph.snapshot()
    check(model)
    return infer(model, declared)
