"""Normalisation passes, in the order in which they run.

A pass is one file with one function `run(editor, note) -> int`, the number of changes; `editor` is
graphsurgeon's graph, with what `GraphEditor` adds to it. Its docstring states the precondition and,
where weights change, the algebra. To add a pass, write the file and add one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.passes import (
    canonical_conv,
    cast_like,
    channel_shuffle,
    constant_if,
    constant_nodes,
    expand_integer_conv,
    expand_sparse_conv,
    fold_affine,
    fold_batch_norm,
    fold_constants,
    fold_pad,
    remove_identity,
    remove_unused,
    reshape_targets,
    shape_readers,
)

Run = Callable[[GraphEditor, Callable[[str], None]], int]


@dataclass(frozen=True)
class Pass:
    """One row of the registry.

    `changes_shapes`: whether shapes must be inferred anew after a change, because the pass
    adds tensors or makes more shapes known.
    """

    name: str
    run: Run
    changes_shapes: bool = False


PASSES: tuple[Pass, ...] = (
    Pass("constant nodes", constant_nodes.run),
    Pass("remove unused", remove_unused.run),
    Pass("expand integer conv", expand_integer_conv.run, changes_shapes=True),
    Pass("expand sparse conv", expand_sparse_conv.run, changes_shapes=True),
    Pass("cast like", cast_like.run),
    Pass("remove identity", remove_identity.run),
    Pass("fold constants", fold_constants.run, changes_shapes=True),
    Pass("constant if", constant_if.run, changes_shapes=True),
    Pass("reshape targets", reshape_targets.run),
    Pass("shape readers", shape_readers.run),
    Pass("canonical conv", canonical_conv.run),
    Pass("fold pad", fold_pad.run),
    Pass("fold batch norm", fold_batch_norm.run),
    Pass("fold affine", fold_affine.run),
    Pass("channel shuffle", channel_shuffle.run),
    Pass("remove unused", remove_unused.run),
)
