"""Parts of a model that run by themselves, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from alcs_onnx.graph.model import Model, Node, TensorInfo


def part(model: Model, nodes: Sequence[Node], outputs: Sequence[str] | None = None) -> Model:
    """`nodes`, in their order, as a model: what they read of others is its inputs.

    Its outputs are those that are named, by default what other nodes of `model` read and what
    `model` gives; of the nodes, those stay that `outputs` need. Sizes that `model` leaves open stay
    open.
    """
    if outputs is not None:
        nodes = _needed(nodes, outputs)
    made = {name for node in nodes for name in node.outputs if name}
    own = {node.name for node in nodes}
    read = dict.fromkeys(name for node in nodes for name in node.reads if name not in made)
    wanted = outputs or [
        name
        for node in nodes
        for name in node.outputs
        if name and (model.is_output(name) or any(x.name not in own for x in model.consumers(name)))
    ]
    return replace(
        model,
        nodes=tuple(nodes),
        inputs=tuple(_info(model, name) for name in read if name not in model.initializers),
        outputs=tuple(TensorInfo(name, model.dtypes.get(name), (-1,)) for name in wanted),
        initializers={
            name: model.initializers[name] for name in read if name in model.initializers
        },
        other_inputs={},
        origin=None,
        written=frozenset(),
    )


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that `outputs` are computed by."""
    names, found = set(outputs), []
    for node in reversed(nodes):
        if not names.isdisjoint(node.outputs):
            names.update(node.reads)
            found.append(node)
    return found[::-1]


def stages(model: Model, apart: Collection[str]) -> tuple[tuple[Node, ...], ...]:
    """The nodes in their order, cut so that each of those `apart`, by name, is by itself."""
    found: list[list[Node]] = []
    joins = False
    for node in model.nodes:
        alone = node.name in apart
        if alone or not joins:
            found.append([])
        found[-1].append(node)
        joins = not alone
    return tuple(map(tuple, found))


def _info(model: Model, name: str) -> TensorInfo:
    varying = model.varying_axes(name)
    shape = model.shapes.get(name)
    sizes = (-1,) if shape is None else (-1 if a in varying else d for a, d in enumerate(shape))
    return TensorInfo(name, model.dtypes.get(name), tuple(sizes))
