"""Physical removal of channels: smaller weights, and nodes that count what is left.

The result has the operators of the model it is made of, and is faster in any runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from alcs_onnx.coupling import Changes, Coupling, Override, rule_of
from alcs_onnx.graph import GraphEditor, Model
from alcs_onnx.rewrite.kept import KeptChannels, taken
from alcs_onnx.rewrite.numbers import Place, settle_numbers
from alcs_onnx.types import ChannelMask


def shrink(model: Model, coupling: Coupling, keep: Mapping[str, ChannelMask]) -> Model:
    """The model without the channels that `keep` gives up; shapes are inferred again.

    `keep[group]` is [channels] of that group, True where one stays; groups not named stay
    whole. Raises `AlcsError` for masks that do not fit, and for a coupling of another model.
    """
    kept = KeptChannels.of(model, coupling, keep)
    editor = GraphEditor(model)
    for name in coupling.constants:
        array = model.initializers[name]
        editor.tensor(name).values = taken(array, kept.masks(name))
    for name in dict.fromkeys(name for name, _ in coupling.copies):
        _take_copies(editor, kept, name)
    overrides: dict[Place, Override] = {}
    for node in model.nodes:
        rule = rule_of(node)
        if rule is not None and rule.resize is not None and node.name in coupling.ruled:
            changes = rule.resize(node, kept)
            _apply(editor, node.name, changes)
            overrides |= {(node.name, i): found for i, found in changes.overrides.items()}
    settle_numbers(editor, kept, overrides)
    return _with_shapes(editor.build(infer_shapes=True), kept)


def _take_copies(editor: GraphEditor, kept: KeptChannels, name: str) -> None:
    """Give each reader of a vector its part: one for all where all keep the same positions."""
    model = kept.model
    array = model.initializers[name]
    parts: dict[tuple[tuple[int, bytes], ...], list[str]] = {}
    masks = {reader.name: kept.masks(name, reader.name) for reader in model.consumers(name)}
    for reader, own in masks.items():
        key = tuple((axis, mask.tobytes()) for axis, mask in sorted(own.items()))
        parts.setdefault(key, []).append(reader)
    for key, readers in parts.items():
        part = taken(array, masks[readers[0]])
        if len(parts) == 1:
            editor.tensor(name).values = part
        elif key:
            copy = editor.add_constant(f"{name}.of.{readers[0]}", part)
            for reader in readers:
                node = editor.node(reader)
                editor.redirect(editor.tensor(name), copy, node)


def _apply(editor: GraphEditor, name: str, changes: Changes) -> None:
    node = editor.node(name)
    if changes.operator:
        node.op, node.attrs = changes.operator, {}
        node.inputs = [node.inputs[0]]
    attributes = {k: v for k, v in node.attrs.items() if k not in changes.drop_attributes}
    node.attrs = {**attributes, **changes.attributes}
    for index, array in changes.inputs.items():
        node.set_input(index, editor.add_constant(f"{name}.input{index}", array))


def _with_shapes(smaller: Model, kept: KeptChannels) -> Model:
    """The shapes that inference cannot tell, behind numbers that are computed at run time."""
    known = {
        name: kept.shape(name)
        for node in smaller.nodes
        for name in node.outputs
        if name in kept.model.shapes
    }
    shapes = {**known, **smaller.shapes}
    dtypes = {**{name: kept.model.dtypes[name] for name in known}, **smaller.dtypes}
    outputs = tuple(replace(x, shape=shapes.get(x.name, x.shape)) for x in smaller.outputs)
    return replace(smaller, shapes=shapes, dtypes=dtypes, outputs=outputs)
