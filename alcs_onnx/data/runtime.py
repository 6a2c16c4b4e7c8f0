"""Samples as feeds of the runtime, in batches that a model takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.data.arrays import to_array
from alcs_onnx.data.samples import Samples
from alcs_onnx.graph import Model
from alcs_onnx.ort import Feeds

Array = npt.NDArray[Any]

#: Samples of a batch, where a model takes any number.
_BATCH = 32


@dataclass(frozen=True, eq=False)
class RuntimeBatch:
    """`size` samples. A model of a fixed batch may be fed more `rows`: the rest is padding.

    `counted` are the inputs that have a row for each sample; None: all.
    """

    feeds: Feeds
    size: int
    targets: Array | None = None
    rows: int | None = None
    counted: tuple[str, ...] | None = None

    def singles(self, dynamic_batch: bool) -> Iterator[Feeds]:
        """The samples one by one, or the whole batch where the models fix its size."""
        if not dynamic_batch:
            yield self.feeds
            return
        for index in range(self.size):
            yield {
                name: array[index : index + 1]
                if self.counted is None or name in self.counted
                else array
                for name, array in self.feeds.items()
            }

    def without_padding(self, output: Array) -> Array:
        """`output` without the rows of padding, where it has a row for each sample."""
        fed = self.size if self.rows is None else self.rows
        padded = self.size < fed and output.ndim > 0 and output.shape[0] == fed
        return output[: self.size] if padded else output


def runtime_batches(model: Model, samples: Samples) -> Iterator[RuntimeBatch]:
    """Feeds for the runtime in batches that `model` takes, in its own element types.

    A model of a fixed batch gets just so many samples: where some lack, the last is repeated.
    Targets come where they are an array with a row for each sample.
    """
    counted = model.sample_inputs
    own = next((info.shape[0] for info in model.inputs if info.name in counted), 1)
    batch = _BATCH if model.takes_batches else own
    for loaded in samples.batches(batch, training=False):
        arrays = [
            np.ascontiguousarray(array, dtype=info.dtype)
            if array.ndim
            else array.astype(info.dtype)
            for info, array in zip(model.inputs, loaded.inputs, strict=True)
        ]
        targets = target_rows(loaded.targets, loaded.size)
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
            labels = None if targets is None else targets[chosen[:count]]
            yield RuntimeBatch(feeds, count, labels, len(chosen), counted)


def first_batches(model: Model, samples: Samples, count: int) -> Iterator[RuntimeBatch]:
    """The same of the first `count` samples, or a few more: batches are whole."""
    left = count
    for batch in runtime_batches(model, samples):
        yield batch
        left -= batch.size
        if left <= 0:
            return


def target_rows(targets: Any, size: int) -> Array | None:
    """`targets` as an array [size, ...]; None where they are none."""
    if targets is None:
        return None
    try:
        array = to_array(targets)
    except (TypeError, ValueError):
        return None
    return array if array.ndim and array.shape[0] == size else None
