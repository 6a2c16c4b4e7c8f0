"""The samples that two models are compared on: test data, or random inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.data import (
    DataOptions,
    ImageSamples,
    Preprocess,
    RuntimeBatch,
    Samples,
    load_data,
    runtime_batches,
)
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.compare.pair import ModelPair
from alcs_onnx.pipeline.compare.request import CompareRequest

#: Random inputs that stand in where there is no data.
RANDOM_SAMPLES = 8


@dataclass(frozen=True)
class Inputs:
    """What `batches` yields, in words and numbers. `total` is None where only a pass can tell."""

    told: str
    total: int | None
    batches: Iterator[RuntimeBatch]
    labelled: bool = False
    notes: list[str] = field(default_factory=list)


def inputs_of(request: CompareRequest, pair: ModelPair, signature: Model) -> Inputs:
    """The samples that `request` asks for; raises as `data_inputs` does."""
    if request.data is None:
        return random_inputs(pair, request.samples or RANDOM_SAMPLES, request.seed)
    given = request.inputs.values
    feeds = pair.make_feeds(request.seed).feeds if given else {}
    values = {name: np.asarray(feeds[name]) for name in given if name in feeds}
    return data_inputs(signature, request.data, request, values)


def random_inputs(pair: ModelPair, count: int, seed: int) -> Inputs:
    """`count` reproducible random inputs; in models of a fixed batch each is a whole batch."""

    def batches() -> Iterator[RuntimeBatch]:
        for index in range(count):
            feeds = pair.make_feeds(seed + index).feeds
            rows = next((array.shape[0] for array in feeds.values() if array.ndim), 1)
            yield RuntimeBatch(feeds, rows)

    notes = list(pair.make_feeds(seed).notes)
    return Inputs(f"random inputs (seed {seed})", None, batches(), notes=notes)


def data_inputs(
    signature: Model, spec: str, request: CompareRequest, values: Mapping[str, npt.NDArray[Any]]
) -> Inputs:
    """The test samples of the data that `spec` names, or the training samples if it has no other.

    At most as many as `request` says: of images, which may be sorted by class, at equal distances;
    of a loader the first. `values` are of inputs that the data need not give. Raises `DataError`
    for data that does not fit.
    """
    preprocess = Preprocess.parse(request.preprocess)
    options = DataOptions(preprocess=preprocess, values=values, seed=request.seed)
    limit = request.samples
    data = load_data(spec, signature, options)
    chosen, part = (data.test, "test") if data.test is not None else (data.train, "training")
    notes = list(data.notes)
    labelled = chosen.labelled
    if labelled and (data.metric is not None or data.loss is not None):
        labelled = False
        notes.append("the data has a loss or metric of its own: no accuracy is counted")
    total = limit
    if isinstance(chosen, ImageSamples):
        total = min(len(chosen), len(chosen) if limit is None else limit)
        chosen = chosen.subset(np.arange(total) * len(chosen) // total)
    return Inputs(
        f"{part} samples of {spec}",
        total,
        _limited(signature, chosen, limit),
        labelled,
        notes,
    )


def _limited(signature: Model, samples: Samples, limit: int | None) -> Iterator[RuntimeBatch]:
    left = np.inf if limit is None else limit
    for batch in runtime_batches(signature, samples):
        size = int(min(batch.size, left))
        targets = None if batch.targets is None else batch.targets[:size]
        yield replace(batch, size=size, targets=targets)
        left -= size
        if left <= 0:
            return
