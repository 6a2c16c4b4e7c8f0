"""By what a run is judged: pictures, labelled data, or random inputs where there is neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from alcs_onnx.data import (
    PRESETS,
    Data,
    ImageSamples,
    PictureOptions,
    Pictures,
    Preprocess,
    Samples,
    input_range,
    load_pictures,
    training_pictures,
)
from alcs_onnx.errors import AlcsError
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.accuracy import runtime_accuracy
from alcs_onnx.pipeline.common.behaviour import Behaviour, behaviour_of, suspicion
from alcs_onnx.pipeline.common.judge import Judge, judge_random, judge_samples, load_score
from alcs_onnx.pipeline.common.training import Trainer
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.reporter import Reporter
from alcs_onnx.serialized import Serialized

#: Pictures on which other preprocessings are tried.
_TRIED = 64


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How it is judged what was lost.

    pictures: a folder of pictures, an .npz file or `module:function`; labels are not needed.
    preprocess: what happens to their pixels.
    samples: how many of them are used; None: a few hundred.
    score: `module:function` that says how far two outputs say the same, for outputs that are
        neither classes nor to be compared value by value.
    max_loss: what may be lost, as `Fidelity.loss` counts it (percent); None: anything.
    """

    pictures: str | None = None
    preprocess: str = "none"
    samples: int | None = None
    score: str | None = None
    max_loss: float | None = None

    def __post_init__(self) -> None:
        if self.max_loss is not None and not 0 <= self.max_loss < 100:
            raise AlcsError(f"a largest loss of {self.max_loss:g} is not between 0 and 100")


@dataclass(frozen=True, eq=False)
class Subject:
    """The model that is judged: the file as it is to be, and the `model` loaded from it.

    `feeds` are inputs that it can take, of the settings `inputs`.
    """

    original: Serialized
    model: Model
    inputs: InputSettings
    feeds: Feeds
    seed: int

    @classmethod
    def of(cls, workload: Workload) -> Subject:
        """The dense model of `workload`."""
        return cls(
            workload.original, workload.model, workload.inputs, workload.feeds, workload.seed
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What candidates are judged by.

    `fit` are pictures to fit on, which the judge has not seen; `max_loss` is what may be lost.
    `by_data`: the judge's are the test samples of the training data.
    """

    judge: Judge
    fit: Samples | None = None
    behaviour: Behaviour | None = None
    max_loss: float | None = None
    by_data: bool = False

    def test_accuracy(self, model: Model, data: Data, found: Fidelity) -> float | None:
        """`runtime_accuracy` of `model`, which was `found` to be so: not counted twice."""
        if self.by_data and found.accuracy is not None:
            return found.accuracy
        return runtime_accuracy(model, data)


def gather(
    subject: Subject, judging: Judging, trainer: Trainer | None, reporter: Reporter
) -> Evidence:
    """Open what `judging` names, and tell what the dense model of `subject` does on it.

    Without pictures those to fit on are training samples, and the judge's the test samples of the
    same data; without these, random inputs.
    Raises `DataError` for pictures that do not fit the model, and `AlcsError` for a `max_loss`
    that nothing can be held against.
    """
    score = None if judging.score is None else load_score(judging.score)
    dense, model = subject.original, subject.model
    if judging.pictures is not None:
        pictures = _pictures(subject, judging)
        for text in pictures.notes:
            reporter.note(text)
        judge = judge_samples(dense, model, pictures.judge, f"pictures of {pictures.source}", score)
        values = input_range(pictures.judge)
        named = zip((info.name for info in model.inputs), values, strict=True)
        behaviour = behaviour_of(judge, {name: x for name, x in named if x is not None})
        reporter.note(behaviour.message)
        ways = _ways_to_read(subject, pictures, judging.preprocess)
        warning = suspicion(judging.preprocess, ways) if behaviour.entropy is not None else ""
        if warning:
            reporter.note(f"warning: {warning}")
        return Evidence(judge, pictures.fit, behaviour, judging.max_loss)
    data, test = (None, None) if trainer is None else (trainer.data, trainer.data.test)
    fit = None if data is None else training_pictures(data.train, subject.seed)
    if data is not None and test is not None and trainer is not None:
        source = f"test samples of {trainer.training.data}"
        judge = judge_samples(dense, model, test, source, score)
        if data.metric is not None or data.loss is not None:
            judge = replace(judge, labelled=False)
        return Evidence(judge, fit, None, judging.max_loss, by_data=True)
    if judging.max_loss is not None:
        raise AlcsError("--max-loss needs --calibration PICTURES or --data to be judged by")
    return Evidence(judge_random(dense, subject.inputs, subject.seed), fit)


def _pictures(subject: Subject, judging: Judging) -> Pictures:
    assert judging.pictures is not None
    values = {name: subject.feeds[name] for name in subject.inputs.values}
    options = PictureOptions(
        preprocess=Preprocess.parse(judging.preprocess),
        samples=judging.samples,
        values=values,
        seed=subject.seed,
    )
    return load_pictures(judging.pictures, subject.model, options)


def _ways_to_read(
    subject: Subject, pictures: Pictures, given: str
) -> dict[str, Callable[[], Judge]]:
    """Judges by the first pictures, read as `given` and in other ways, by the preprocessing."""
    samples = pictures.judge
    few = samples.subset(np.arange(min(len(samples), _TRIED)))

    def judge(read: Samples) -> Judge:
        return judge_samples(subject.original, subject.model, read, pictures.source)

    ways: dict[str, Callable[[], Judge]] = {given: partial(judge, few)}
    if isinstance(few, ImageSamples):
        shape = subject.model.inputs[few.others.place].shape
        channels = shape[1 if few.channels_first else -1]
        for name in (*PRESETS, "scale=1"):
            read = Preprocess.parse(name)
            if read != few.preprocess and read.fits(channels):
                ways[name] = partial(judge, replace(few, preprocess=read))
    return ways
