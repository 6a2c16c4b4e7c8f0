"""Pictures to calibrate with: some to fit on, others to judge with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from alcs_onnx.data.options import DEFAULT_SAMPLES, PictureOptions
from alcs_onnx.data.pool import Chosen
from alcs_onnx.data.samples import Batch, IndexedSamples, Samples
from alcs_onnx.data.sources import find_source
from alcs_onnx.data.split import halves, stratified_order
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model

#: With fewer, a share that is judged with has steps of more than 12 %.
SMALLEST = 16


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in two parts that share none: `fit` is fitted on, and `judge` judged with.

    Every beginning of either part has its share of each class. `labelled` where they have targets:
    labels of the model's classes, or of a loader of the user's for a model without classes whatever
    it gives, with a row for each sample.

    classes: names of the class folders that they come from.
    notes: what was done to them, for the user.
    source: where they are from.
    """

    fit: IndexedSamples
    judge: IndexedSamples
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    source: str

    @property
    def labelled(self) -> bool:
        """Whether there are targets."""
        return self.fit.labelled


def load_pictures(spec: str, model: Model, options: PictureOptions | None = None) -> Pictures:
    """Open `spec`: a folder of pictures, an .npz file, or `module:function`; labels are optional.

    As many as `options` say are chosen and halved by the seed, evenly of each class. Raises
    `DataError` where there are fewer than `SMALLEST`, where all of them are of one colour, and
    where they are missing, malformed, or do not fit the model.
    """
    options = options or PictureOptions()
    needed = f"at least {SMALLEST} are needed, half of them to fit on and half to judge with"
    if options.limit < SMALLEST:
        raise DataError(f"{options.limit} samples are too few: {needed}")
    pool = find_source(spec).pictures(spec, model, options)
    if pool.count < SMALLEST:
        raise DataError(f"{pool.source}: {pool.count} pictures are too few: {needed}")
    members = stratified_order(pool.count, pool.strata, options.seed)[: options.limit]
    chosen = pool.read(members)
    notes = (*pool.notes, *chosen.notes, *_constant(chosen, pool.source))
    fit, judge = halves(len(members), None if pool.strata is None else pool.strata[members])
    samples = chosen.samples
    return Pictures(samples.subset(fit), samples.subset(judge), pool.classes, notes, pool.source)


def training_pictures(samples: Samples, seed: int, *, others: bool = False) -> Samples:
    """As many of the training `samples` as pictures are fitted on where there are such.

    Those are chosen by the seed, evenly of each class; of a loader of the user's, whose order is
    its own, the first ones. As many `others` to judge with, where there are some besides those.
    Changes of `--augment` are not made.
    """
    wanted = DEFAULT_SAMPLES // 2
    if not isinstance(samples, IndexedSamples):
        return _First(samples, wanted)
    order = stratified_order(len(samples), samples.labels, seed)
    first = wanted if others and len(samples) > wanted else 0
    return samples.subset(order[first : first + wanted])


@dataclass(frozen=True, eq=False)
class _First:
    """The first `wanted` of `samples`, or a few more: the last batch is whole.

    They are kept: a loader with a generator of its own gives others in another pass, and what two
    models make of the same ones is to be compared.
    """

    samples: Samples
    wanted: int
    kept: list[Batch] = field(default_factory=list)

    @property
    def labelled(self) -> bool:
        """Whether batches carry targets."""
        return self.samples.labelled

    def batch_count(self, batch_size: int, *, training: bool) -> None:
        """Not known: batches may be of other sizes than `batch_size`."""

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass over as many: the same batches each time."""
        if not self.kept:
            left = self.wanted
            for batch in self.samples.batches(batch_size, training=False, seed=seed):
                self.kept.append(batch)
                left -= batch.size
                if left <= 0:
                    break
        yield from self.kept


def _constant(chosen: Chosen, source: str) -> tuple[str, ...]:
    """What to say of pictures of one colour; raises `DataError` where all of them are."""
    count = int(chosen.constant.sum())
    if count == len(chosen.names):
        raise DataError(f"{source}: all {count} pictures are of one colour: they tell nothing")
    if count == 0:
        return ()
    first = chosen.names[int(np.argmax(chosen.constant))]
    told = "is" if count == 1 else "are"
    others = " and others" if count > 1 else ""
    return (
        f"{count} of {len(chosen.names)} pictures {told} of one colour throughout: {first}{others}",
    )
