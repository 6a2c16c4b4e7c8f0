"""The samples that two models are compared on: test data, or random inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from alcs_onnx import ort
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.common.accuracy import runtime_batches
from alcs_onnx.pipeline.compare.pair import ModelPair
from alcs_onnx.pipeline.compare.request import CompareRequest

if TYPE_CHECKING:
    from alcs_onnx.train import Samples

#: Random inputs that stand in where there is no data.
RANDOM_SAMPLES = 8


@dataclass(frozen=True)
class InputBatch:
    """`size` samples. A model of a fixed batch may be fed more, of which the rest is padding."""

    feeds: ort.Feeds
    size: int
    targets: npt.NDArray[Any] | None = None

    def singles(self, dynamic_batch: bool) -> Iterator[ort.Feeds]:
        """The samples one by one, or the whole batch where the models fix its size."""
        if not dynamic_batch:
            yield self.feeds
            return
        for index in range(self.size):
            yield {name: array[index : index + 1] for name, array in self.feeds.items()}

    def without_padding(self, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`output` without the rows of padding, where it has a row for each sample."""
        fed = next((array.shape[0] for array in self.feeds.values() if array.ndim), self.size)
        padded = self.size < fed and output.ndim > 0 and output.shape[0] == fed
        return output[: self.size] if padded else output


@dataclass(frozen=True)
class Inputs:
    """What `batches` yields, in words and numbers. `total` is None where only a pass can tell."""

    told: str
    total: int | None
    batches: Iterator[InputBatch]
    labelled: bool = False
    notes: list[str] = field(default_factory=list)


def inputs_of(request: CompareRequest, pair: ModelPair, signature: Model) -> Inputs:
    """The samples that `request` asks for; raises as `data_inputs` does."""
    if request.data is None:
        return random_inputs(pair, request.samples or RANDOM_SAMPLES, request.seed)
    return data_inputs(signature, request.data, request.preprocess, request.samples, request.seed)


def random_inputs(pair: ModelPair, count: int, seed: int) -> Inputs:
    """`count` reproducible random inputs; in models of a fixed batch each is a whole batch."""

    def batches() -> Iterator[InputBatch]:
        for index in range(count):
            feeds = pair.random_feeds(seed + index)
            rows = next((array.shape[0] for array in feeds.values() if array.ndim), 1)
            yield InputBatch(feeds, rows)

    zeros = [name for name, x in pair.random_feeds(seed).items() if x.dtype.kind != "f"]
    notes = [f"inputs that are no floats are zeros: {', '.join(zeros)}"] if zeros else []
    return Inputs(f"random inputs (seed {seed})", None, batches(), notes=notes)


def data_inputs(
    signature: Model, spec: str, preprocess: str, limit: int | None, seed: int
) -> Inputs:
    """The test samples of the data that `spec` names, or the training samples if it has no other.

    At most `limit`: of images, which may be sorted by class, at equal distances; of a loader the
    first. Raises `AlcsError` where torch is not installed, which reads the data, and
    `DataError` for data that does not fit.
    """
    from alcs_onnx import train

    options = train.DataOptions(preprocess=train.Preprocess.parse(preprocess), seed=seed)
    data = train.load_data(spec, signature, options)
    chosen, part = (data.test, "test") if data.test is not None else (data.train, "training")
    notes = list(data.notes)
    labelled = chosen.labelled
    if labelled and (data.metric is not None or data.loss is not None):
        labelled = False
        notes.append("the data has a loss or metric of its own: no accuracy is counted")
    total = limit
    if isinstance(chosen, train.ImageSamples):
        total = min(len(chosen), len(chosen) if limit is None else limit)
        chosen = train.subset(chosen, np.arange(total) * len(chosen) // total)
    return Inputs(
        f"{part} samples of {spec}",
        total,
        _limited(signature, chosen, limit),
        labelled,
        notes,
    )


def _limited(signature: Model, samples: Samples, limit: int | None) -> Iterator[InputBatch]:
    left = np.inf if limit is None else limit
    for feeds, targets, size in runtime_batches(signature, samples):
        size = int(min(size, left))
        yield InputBatch(feeds, size, None if targets is None else targets[:size])
        left -= size
        if left <= 0:
            return
