"""Top-1 accuracy of a written file, by the runtime it will be deployed with."""

from __future__ import annotations

from alcs_onnx import ort
from alcs_onnx.data import Data, runtime_batches
from alcs_onnx.graph import Model, loadable


def runtime_accuracy(model: Model, data: Data) -> float | None:
    """Share of the test samples whose largest output is their label, in [0, 1].

    None where the data has no labelled test samples, or a loss or metric of its own.
    """
    custom = data.metric is not None or data.loss is not None
    if data.test is None or not data.test.labelled or custom:
        return None
    session = ort.create_session(loadable(model))
    hits = total = 0
    for batch in runtime_batches(model, data.test):
        classes = session.run(batch.feeds)[0][: batch.size].argmax(axis=1)
        hits += int((classes == batch.targets).sum())
        total += batch.size
    return hits / total if total else None
