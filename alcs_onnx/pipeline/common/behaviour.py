"""What the dense model does on the pictures: shown before anything is done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, log, nan

import numpy as np

from alcs_onnx.data import ValueRange
from alcs_onnx.fidelity import Array, class_scores
from alcs_onnx.pipeline.common.judge import Judge

#: With a wrong preprocessing a classifier is undecided, or decides for the same few classes. Such
#: figures may be right for the pictures at hand; they are suspicious where another preprocessing
#: does so much better on the same pictures.
_LESS_ENTROPY = 0.7
_ENTROPY_POINTS = 0.05
_MORE_ACCURACY = 0.1
_AS_MANY = 0.8


@dataclass(frozen=True)
class Behaviour:
    """The dense model on `samples` inputs.

    `inputs` are the values of its inputs, by name. Where its only output is scores of `classes`:
    `predicted` is how many of these it gives, `most` the share of the samples that get the most
    frequent one, `entropy` the mean entropy of the probabilities over the largest possible, in
    [0, 1]. `accuracy` is the share of labelled samples that it gets right.
    """

    source: str
    samples: int
    inputs: Mapping[str, ValueRange]
    classes: int | None = None
    predicted: int | None = None
    most: float | None = None
    entropy: float | None = None
    accuracy: float | None = None

    @property
    def message(self) -> str:
        """One line."""
        told = [
            f"input '{name}' from {x.minimum:.3g} to {x.maximum:.3g} (mean {x.mean:.3g}, std "
            f"{x.std:.3g})"
            for name, x in self.inputs.items()
        ]
        entropy = nan if self.entropy is None else self.entropy
        if self.classes is not None and self.most is not None and not isnan(entropy):
            told.append(
                f"{self.predicted} of {self.classes} classes predicted, the commonest for "
                f"{100 * self.most:.0f} %, entropy {100 * entropy:.0f} % of the largest"
            )
        if self.accuracy is not None:
            told.append(f"accuracy {100 * self.accuracy:.2f} %")
        return f"the dense model on {self.samples} {self.source}: {'; '.join(told)}"


def behaviour_of(judge: Judge, inputs: Mapping[str, ValueRange] | None = None) -> Behaviour:
    """What the dense model of `judge` does on its samples, whose values are `inputs`."""
    sizes, targets = [], []
    for batch, _ in judge.batches():
        sizes.append(batch.size)
        targets.append(batch.targets)
    found = Behaviour(judge.source, sum(sizes), inputs or {})
    scores = [class_scores(outputs[0]) for outputs in judge.expected if outputs]
    known = [x for x in scores if x is not None]
    if len(judge.names) != 1 or len(known) < len(judge.expected):
        return found
    probabilities = _probabilities(np.concatenate(known))
    count, classes = probabilities.shape
    chosen = probabilities.argmax(axis=1)
    frequent = np.bincount(chosen, minlength=classes)
    entropy = (probabilities * -np.log(probabilities.clip(1e-30))).sum(axis=1).mean()
    return replace(
        found,
        classes=classes,
        predicted=int((frequent > 0).sum()),
        most=float(frequent.max() / count),
        entropy=float(entropy / log(classes)),
        accuracy=_accuracy(chosen, targets),
    )


def suspicion(given: str, ways: Mapping[str, Callable[[], Judge]]) -> str:
    """A warning where another preprocessing does far better than the `given` one; else empty.

    `ways` make judges of the same pictures by the name of a preprocessing, the given one too.
    """
    told = behaviour_of(ways[given]())
    if told.entropy is None:
        return ""
    best, better = "", told
    for name in (way for way in ways if way != given):
        found = behaviour_of(ways[name]())
        if _as_varied(found, told) and _as_varied(found, better) and _beats(found, better):
            best, better = name, found
    if not best or not _clearly(better, told):
        return ""
    if told.accuracy is not None and better.accuracy is not None:
        why = f"is right for {100 * better.accuracy:.0f} % instead of {100 * told.accuracy:.0f} %"
    else:
        assert better.entropy is not None
        why = (
            f"is far more decided (entropy {100 * better.entropy:.0f} % instead of "
            f"{100 * told.entropy:.0f} %, {better.predicted} classes instead of {told.predicted})"
        )
    return (
        f"is --preprocess {given} right? with '{best}' the dense model {why}; what is measured on "
        "wrong pictures says nothing about the network"
    )


def _beats(one: Behaviour, other: Behaviour) -> bool:
    if one.accuracy is not None and other.accuracy is not None:
        return one.accuracy > other.accuracy
    return (one.entropy or 0.0) < (other.entropy or 0.0)


def _clearly(better: Behaviour, told: Behaviour) -> bool:
    """Whether the difference is more than chance."""
    if better.accuracy is not None and told.accuracy is not None:
        return better.accuracy > told.accuracy + _MORE_ACCURACY
    one, other = better.entropy or 0.0, told.entropy or 0.0
    return one < min(_LESS_ENTROPY * other, other - _ENTROPY_POINTS)


def _as_varied(one: Behaviour, other: Behaviour) -> bool:
    """Whether `one` gives about as many classes: pixels far out of range are decided for a few."""
    if one.entropy is None or one.accuracy is not None:
        return one.entropy is not None
    return (one.predicted or 0) >= _AS_MANY * (other.predicted or 0)


def _probabilities(scores: Array) -> Array:
    """Rows that are probabilities already, or the softmax of scores."""
    x = scores.astype(np.float64)
    if x.min() >= 0 and np.allclose(x.sum(axis=1), 1, atol=1e-3):
        return x
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(x / x.sum(axis=1, keepdims=True))


def _accuracy(chosen: Array, targets: Sequence[Array | None]) -> float | None:
    known = [x.reshape(-1) for x in targets if x is not None and x.dtype.kind in "iu"]
    truth = np.concatenate(known) if len(known) == len(targets) else chosen[:0]
    return float((chosen == truth).mean()) if len(truth) == len(chosen) else None
