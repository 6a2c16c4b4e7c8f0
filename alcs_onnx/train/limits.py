"""What training cannot do with a model, told before it starts."""

from __future__ import annotations

from alcs_onnx.graph import Model, free_batch
from alcs_onnx.train.weights import weights_of

#: Weights that are not trained, up to which each is told.
_TOLD = 3


def limits(model: Model) -> tuple[str, ...]:
    """Notes: why samples are taken a few at a time, and which weights keep their values.

    Raises `UnsupportedError`, naming the node, for an operator that cannot be trained.
    """
    notes = []
    batching = free_batch(model)
    if batching.reason:
        count = "one sample" if batching.size == 1 else f"{batching.size} samples"
        notes.append(f"trains {count} at a time, which is slower: {batching.reason}")
    frozen = weights_of(model).frozen
    notes += [f"weight '{n}' is not trained: {why}" for n, why in list(frozen.items())[:_TOLD]]
    if len(frozen) > _TOLD:
        names = ", ".join(f"'{name}'" for name in list(frozen)[_TOLD:])
        notes.append(f"for such reasons {len(frozen) - _TOLD} more are not trained: {names}")
    return tuple(notes)
