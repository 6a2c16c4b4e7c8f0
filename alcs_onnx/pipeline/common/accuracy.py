"""Top-1 accuracy of a written file, by the runtime it will be deployed with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from alcs_onnx import ort
from alcs_onnx.graph import Model, loadable

if TYPE_CHECKING:
    from alcs_onnx.train import Data, Samples

_BATCH = 32


def runtime_batches(
    model: Model, samples: Samples
) -> Iterator[tuple[ort.Feeds, np.ndarray[Any, np.dtype[Any]] | None, int]]:
    """Feeds for the runtime in batches that `model` takes, their targets, and how many they are.

    A model of a fixed batch gets just so many samples: where some lack, the last is repeated.
    """
    counted = model.sample_inputs
    own = next((info.shape[0] for info in model.inputs if info.name in counted), 1)
    batch = _BATCH if model.takes_batches else own
    for loaded in samples.batches(batch, training=False):
        arrays = [
            np.ascontiguousarray(tensor.numpy(force=True), dtype=info.dtype)
            for info, tensor in zip(model.inputs, loaded.inputs, strict=True)
        ]
        targets = None if loaded.targets is None else np.asarray(loaded.targets)
        # A user's loader decides its own batches, which the model may not take.
        for start in range(0, loaded.size, batch):
            chosen = np.arange(start, min(start + batch, loaded.size))
            count = len(chosen)
            if not model.takes_batches:
                chosen = np.minimum(np.arange(start, start + batch), loaded.size - 1)
            feeds = {
                info.name: array[chosen] if info.name in counted else array
                for info, array in zip(model.inputs, arrays, strict=True)
            }
            yield feeds, None if targets is None else targets[chosen[:count]], count


def runtime_accuracy(model: Model, data: Data) -> float | None:
    """Share of the test samples whose largest output is their label, in [0, 1].

    None where the data has no labelled test samples, or a loss or metric of its own.
    """
    custom = data.metric is not None or data.loss is not None
    if data.test is None or not data.test.labelled or custom:
        return None
    session = ort.create_session(loadable(model))
    hits = total = 0
    for feeds, targets, count in runtime_batches(model, data.test):
        classes = session.run(feeds)[0][:count].argmax(axis=1)
        hits += int((classes == targets).sum())
        total += count
    return hits / total if total else None
