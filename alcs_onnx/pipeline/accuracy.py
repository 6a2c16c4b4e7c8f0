"""Top-1 accuracy of a written file, by the runtime it will be deployed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alcs_onnx import ort
from alcs_onnx.graph import Model

if TYPE_CHECKING:
    from alcs_onnx.train import Data

_BATCH = 32


def runtime_accuracy(model: Model, data: Data) -> float | None:
    """Share of the test samples whose largest output is their label, in [0, 1].

    None where the data has no labelled test samples, or a loss or metric of its own.
    """
    custom = data.metric is not None or data.loss is not None
    if data.test is None or not data.test.labelled or custom:
        return None
    session = ort.create_session(model.serialize())
    batch = _BATCH if model.dynamic_batch else 1
    hits = count = 0
    for samples in data.test.batches(batch, training=False):
        targets = np.asarray(samples.targets)
        # A user's loader decides its own batches, which the model may not take.
        for start in range(0, samples.size, batch):
            feeds = {
                info.name: np.ascontiguousarray(tensor[start : start + batch].numpy())
                for info, tensor in zip(model.inputs, samples.inputs, strict=True)
            }
            classes = session.run(feeds)[0].argmax(axis=1)
            hits += int((classes == targets[start : start + batch]).sum())
        count += samples.size
    return hits / count if count else None
