"""A model for any number of samples at once, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.batching import rules  # noqa: F401  (the rules register themselves)
from alcs_onnx.graph.batching.registry import Call, reason_mixed
from alcs_onnx.graph.batching.targets import write_for_any_batch
from alcs_onnx.graph.model import Model, Node
from alcs_onnx.graph.shapes import infer

#: The second batch that inference looks at, in batches of the file's own size.
_TIMES = 3


@dataclass(frozen=True, eq=False)
class Batching:
    """How a model takes samples.

    model: it gives for several samples at once what it gives for each of them; its initializers
        and tensors have the names of the model's own. Where `reason` is not empty, it is the model
        as it was.
    inputs: the inputs whose first axis counts samples; the others are the same for all.
    size: the number of samples that the model was loaded for.
    reason: why it takes no other number, with the node that does not; empty where it does.
    """

    model: Model
    inputs: tuple[str, ...]
    size: int
    reason: str = ""


def free_batch(model: Model) -> Batching:
    """The same model for any batch, to be run by itself: it is no longer that of a file."""
    shapes = {info.name: info.shape for info in model.inputs}
    inputs = model.sample_inputs
    sizes = {shapes[name][0] for name in inputs}
    if len(sizes) != 1:
        reason = f"its inputs have batches of {sorted(sizes)}" if sizes else "no input has a batch"
        return Batching(model, inputs, max(sizes, default=1), reason)
    (size,) = sizes
    more = {n: (_TIMES * size, *s[1:]) if n in inputs else s for n, s in shapes.items()}
    known = {name: (model.dtypes[name], None) for name in model.shapes if name in model.dtypes}
    free = write_for_any_batch(replace(model.detached(), other_inputs={}), _reached(model, inputs))
    failure = ""
    try:
        free = infer(replace(free, other_inputs=more), known)
    except ModelError as error:
        failure = f"at a batch of {_TIMES * size} {error}"
    # The rules look at the graph as it was where the new one cannot be inferred.
    looked_at = replace(model, other_inputs={}, other_shapes={}) if failure else free
    reason = _reason(looked_at, inputs) or failure
    return Batching(model if reason else free, inputs, size, reason)


def _reached(model: Model, inputs: Collection[str]) -> set[str]:
    """The tensors that are computed from the samples; their sizes are none of these."""
    found = set(inputs)
    for node in model.nodes:
        if not node.is_op("Shape", "Size") and not found.isdisjoint(node.reads):
            found.update(name for name in node.outputs if name)
    return found


def _reason(model: Model, inputs: Collection[str]) -> str:
    """Why `model`, inferred at two batches, does not work sample by sample; else empty."""
    batched = set(inputs)
    for node in model.nodes:
        if node.is_op("Shape", "Size") or _of_sizes(model, node):
            continue
        if batched.isdisjoint(node.reads) and not _follows_sizes(model, node):
            continue
        why = reason_mixed(Call(node, model, batched)) or _reason_size(model, node)
        if why:
            return f"node '{node.name}' ({node.op_type}): {why}"
        batched.update(name for name in node.outputs if name)
    return ""


def _of_sizes(model: Model, node: Node) -> bool:
    """Whether the node computes sizes from sizes: as many numbers for every batch."""
    others = model.other_shapes or model.shapes
    return all(
        name in model.size_values and model.shapes.get(name) == others.get(name)
        for name in node.outputs
        if name
    )


def _follows_sizes(model: Model, node: Node) -> bool:
    """Whether the node reads sizes that another batch changes."""
    return any(
        name in model.size_values and not model.size_values[name].fixed for name in node.reads
    )


def _reason_size(model: Model, node: Node) -> str:
    """Why the first axis of the node's results does not follow the batch; empty where it does."""
    if not model.other_shapes:
        return ""
    for name in node.outputs:
        if not name:
            continue
        here, there = model.shapes.get(name), model.other_shapes.get(name)
        if here is None or there is None:
            return f"the shape of its result '{name}' is not known"
        follows = len(here) == len(there) > 0 and there[0] == _TIMES * here[0]
        if not follows or there[1:] != here[1:]:
            return f"its result '{name}' is {list(here)} for one batch, {list(there)} for {_TIMES}"
    return ""
