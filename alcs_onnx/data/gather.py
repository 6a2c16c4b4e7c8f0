"""Batches of a user's loader, gathered in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.data.checks import check_labels, class_count
from alcs_onnx.data.items import ItemReader, checked, is_pair
from alcs_onnx.data.memory import ArraySamples
from alcs_onnx.data.options import PictureOptions
from alcs_onnx.data.others import GivenInput
from alcs_onnx.data.runtime import target_rows
from alcs_onnx.data.samples import Batch
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model

Array = npt.NDArray[Any]


def gather(
    items: Iterable[Any], model: Model, options: PictureOptions, where: str
) -> tuple[ArraySamples, tuple[str, ...]]:
    """Samples of the first `items`, and notes on what of them is not used.

    They are read until they hold as many samples as `options` want or fill its memory; the last
    one is kept whole. Raises `DataError`, beginning with `where`, for what does not fit.
    """
    reader = ItemReader.of(model, options.values)
    batches: list[Batch] = []
    count = size = 0
    for index, item in enumerate(checked(items, where)):
        batch = reader.read(item, is_pair(item), f"{where}, batch {index}")
        batches.append(batch)
        count += batch.size
        size += sum(array.nbytes for array in batch.inputs)
        if count >= options.limit or size >= options.cache_bytes:
            break
    if not batches:
        raise DataError(f"{where} has no batches")
    targets, notes = _targets(batches, model, where)
    if count < options.limit and size >= options.cache_bytes:
        notes += (f"{where}: only the first {count} samples are used, which fill the memory",)
    return ArraySamples(_inputs(batches, model, where), count, targets), notes


def _inputs(batches: Sequence[Batch], model: Model, where: str) -> tuple[GivenInput, ...]:
    if not model.sample_inputs:
        raise DataError(f"{where}: no input of the model counts samples")
    inputs = []
    for place, info in enumerate(model.inputs):
        parts = [batch.inputs[place] for batch in batches]
        counts = info.name in model.sample_inputs
        if not counts and any(not np.array_equal(part, parts[0]) for part in parts):
            raise DataError(
                f"{where}: input '{info.name}' counts no samples and has to be the same in all "
                "batches"
            )
        value = np.concatenate(parts) if counts and len(parts) > 1 else parts[0]
        inputs.append(GivenInput(value, counts))
    return tuple(inputs)


def _targets(
    batches: Sequence[Batch], model: Model, where: str
) -> tuple[Array | None, tuple[str, ...]]:
    """A row for each sample, labels where the model has classes; None where they are not."""
    if any(batch.targets is None for batch in batches):
        return None, ()
    found = [target_rows(batch.targets, batch.size) for batch in batches]
    rows = [array for array in found if array is not None]
    if len(rows) < len(found) or len({array.shape[1:] for array in rows}) > 1:
        return None, (f"{where}: targets that are not one array of a row per sample are not used",)
    targets = np.concatenate(rows)
    classes = class_count(model)
    if classes is None:
        return targets, ()
    if targets.shape[1:] not in ((), (1,)):
        return None, (f"{where}: targets {list(targets.shape)} are no labels and are not used",)
    return check_labels(targets, len(targets), classes, where), ()
