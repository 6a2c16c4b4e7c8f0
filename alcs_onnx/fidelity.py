"""What a changed model lost of the dense one: how far its outputs still say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log10, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]
#: score(expected, found) -> how far `found` says the same as `expected`, from 0 to 1, for one
#: sample; both are outputs by name.
Score = Callable[[Mapping[str, Array], Mapping[str, Array]], float]

#: Below this share of what the dense model does nobody would call it the same network.
_RUINED = 0.5
#: Channels of an output that is taken as pictures.
_PICTURE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Fidelity:
    """How far a model still does what the dense one does, on the same inputs.

    source, samples: what the inputs were, in words, and how many.
    random: whether they were made up, so that classes mean nothing.
    relative_error: ‖found - dense‖ / ‖dense‖ of the output where that is largest; infinite where
        values are not finite that are so in the dense model.
    psnr_db: peak signal-to-noise ratio of outputs that are pictures, the peak being the range of
        the dense model's values.
    agreement: share of the samples that get the class that the dense model gives them, in [0, 1].
    rank_correlation: Spearman's, of the scores of the classes, the mean over the samples.
    accuracy, dense_accuracy: share of labelled samples whose class is right, in [0, 1], or what
        else `measure` names.
    score: mean of the user's own score of how far outputs say the same, in [0, 1].
    """

    source: str
    samples: int
    random: bool
    relative_error: float
    psnr_db: float | None = None
    agreement: float | None = None
    rank_correlation: float | None = None
    accuracy: float | None = None
    dense_accuracy: float | None = None
    score: float | None = None
    measure: str = "accuracy"

    @property
    def loss(self) -> float:
        """What was lost, in percent: what `--max-loss` is about.

        Points of accuracy where there are labels, else what is missing to full agreement or to the
        full score, else the relative error.
        """
        share = self._share
        return 100 * (self.relative_error if share is None else self._whole - share)

    @property
    def kind(self) -> str:
        """What the loss is counted in."""
        if self.score is not None:
            return "score"
        if self.accuracy is not None:
            return self.measure
        return "relative error" if self.agreement is None else "agreement"

    @property
    def quality(self) -> float | None:
        """What is left, in percent, as `measured_by` says; None of random inputs.

        That of the dense model is its accuracy, or 100; of a ruin that is off by more, 0.
        """
        if self.random:
            return None
        return max(0.0, 100 - self.loss) if self._share is None else 100 * self._share

    @property
    def measured_by(self) -> str:
        """What the quality is."""
        return "100 - relative error" if self._share is None else self.kind

    @property
    def _share(self) -> float | None:
        """What is left of `_whole`: the first that is known of score, accuracy and agreement."""
        shares = (self.score, self.accuracy, self.agreement)
        return next((share for share in shares if share is not None), None)

    @property
    def _whole(self) -> float:
        """What `_share` is for the dense model."""
        counted = self.score is None and self.accuracy is not None
        return 1.0 if not counted or self.dense_accuracy is None else self.dense_accuracy

    @property
    def ruined(self) -> bool:
        """Whether less than half of what the dense model does is left."""
        if self._share is not None and self._whole:
            return self._share < _RUINED * self._whole
        return self.loss > 100 * (1 - _RUINED)

    @property
    def brief(self) -> str:
        """The loss in a few words, as for a title."""
        if self.score is not None:
            return f"score {100 * self.score:.1f} %"
        if self.accuracy is not None and self.dense_accuracy is not None:
            return f"{self.measure} {100 * self.dense_accuracy:.2f} -> {100 * self.accuracy:.2f} %"
        if self.agreement is not None:
            return f"agreement {100 * self.agreement:.1f} %"
        return f"relative error {_percent(self.relative_error)}"

    @property
    def message(self) -> str:
        """The verdict: one line."""
        if self.score is not None:
            told = f"scores {100 * self.score:.1f} % of the dense model's 100 %"
        elif self.accuracy is not None and self.dense_accuracy is not None:
            lost = self.loss
            told = (
                f"{self.measure} {100 * self.dense_accuracy:.2f} -> {100 * self.accuracy:.2f} %, "
                + (f"{lost:.2f} points lost" if lost >= 0 else f"{-lost:.2f} points gained")
            )
        elif self.agreement is not None:
            told = f"agrees with the dense model on {100 * self.agreement:.1f} %"
        else:
            told = f"outputs moved by {_percent(self.relative_error)}"
        beside = [] if self._share is None else [f"relative error {_percent(self.relative_error)}"]
        if self.accuracy is not None and self.agreement is not None:
            beside.insert(0, f"agreement {100 * self.agreement:.1f} %")
        if self.rank_correlation is not None:
            beside.insert(len(beside) - 1, f"rank correlation {self.rank_correlation:.3f}")
        if self.psnr_db is not None:
            beside.append(f"PSNR {self.psnr_db:.1f} dB")
        destroyed = "the network is destroyed: " if self.ruined else ""
        more = f" ({', '.join(beside)})" if beside else ""
        hint = "; give --calibration PICTURES to know what that means" if self.random else ""
        return f"{destroyed}{told} of {self.samples} {self.source}{more}{hint}"

    def exceeds(self, max_loss: float | None) -> bool:
        """Whether more is lost than the percent that may be.

        That is always so of a network that is destroyed, if the inputs were no random ones.
        """
        if max_loss is not None and self.loss > max_loss:
            return True
        return self.ruined and not self.random

    def verdict(self, max_loss: float | None) -> str:
        """What was lost, and whether that may be: one line."""
        if max_loss is None:
            return self.message
        compared = "MORE than" if self.loss > max_loss else "within"
        return f"{self.message}: {compared} the {max_loss:g} % that may be lost"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if isfinite(share) else "more than can be said (not finite)"


class FidelityCount:
    """Sums up what becomes a `Fidelity`, a batch at a time.

    Outputs are arrays by `names`; `score` is the user's own, or None. Classes are counted where
    the only output is scores of classes, or where there are labels to the first.
    """

    def __init__(self, names: Sequence[str], score: Score | None = None) -> None:
        self._names = tuple(names)
        self._score = score
        self._errors = [_Error() for _ in names]
        self._classes = _Classes()
        self._scores: list[float] = []
        self._samples = 0

    def add(
        self,
        expected: Sequence[Array],
        found: Sequence[Array],
        samples: int,
        targets: Array | None = None,
    ) -> None:
        """Take in the outputs of both models for `samples` samples, and their labels if any."""
        for error, x, y in zip(self._errors, expected, found, strict=True):
            error.add(x, y)
        if expected and (len(expected) == 1 or targets is not None):
            self._classes.add(expected[0], found[0], targets)
        if self._score is not None:
            for index in range(samples):
                one, other = (
                    {
                        name: x[index : index + 1] if x.ndim and len(x) == samples else x
                        for name, x in zip(self._names, outputs, strict=True)
                    }
                    for outputs in (expected, found)
                )
                self._scores.append(float(self._score(one, other)))
        self._samples += samples

    def result(self, source: str, *, random: bool = False) -> Fidelity:
        """What came of all batches."""
        classes = None if random else self._classes.result()
        return Fidelity(
            source=source,
            samples=self._samples,
            random=random,
            relative_error=max((error.relative for error in self._errors), default=0.0),
            psnr_db=self._errors[0].psnr_db if len(self._errors) == 1 else None,
            score=float(np.mean(self._scores)) if self._scores else None,
            **(classes or {}),
        )


class _Error:
    """Energies of one output and of its difference, summed over batches."""

    def __init__(self) -> None:
        self._noise = self._energy = 0.0
        self._count = 0
        self._low, self._high = inf, -inf
        self._pictures = True

    def add(self, expected: Array, found: Array) -> None:
        """Sizes that depend on the data may differ: then all of the output counts as lost."""
        if expected.dtype.kind not in "fiub":
            return
        x = expected.astype(np.float64)
        y = found.astype(np.float64) if found.shape == expected.shape else np.zeros_like(x)
        finite = np.isfinite(x)
        x, y = x[finite], y[finite]
        self._energy += float((x * x).sum())
        self._noise += float(((x - y) ** 2).sum()) if np.isfinite(y).all() else inf
        self._count += x.size
        self._low = min(self._low, float(x.min(initial=inf)))
        self._high = max(self._high, float(x.max(initial=-inf)))
        picture = expected.ndim == 4 and expected.shape[1] in _PICTURE_CHANNELS
        self._pictures = self._pictures and picture and min(expected.shape[2:]) > 1

    @property
    def relative(self) -> float:
        """‖found - expected‖ / ‖expected‖."""
        if not self._noise:
            return 0.0
        return sqrt(self._noise / self._energy) if self._energy else inf

    @property
    def psnr_db(self) -> float | None:
        """Against the range of the expected values; None where these are no pictures, or equal."""
        peak = self._high - self._low
        if not self._pictures or not self._noise or not isfinite(self._noise) or peak <= 0:
            return None
        return 10 * log10(peak * peak * self._count / self._noise)


class _Classes:
    """Top-1 classes and the order of all."""

    def __init__(self) -> None:
        self._rows: list[tuple[IntArray, IntArray, IntArray | None]] = []
        self._correlations: list[Array] = []

    def add(self, expected: Array, found: Array, targets: Array | None) -> None:
        if expected.shape != found.shape:
            return
        a, b = class_scores(expected), class_scores(found)
        if a is None or b is None:
            return
        known = targets is not None and targets.dtype.kind in "iu" and targets.size == len(a)
        truth = targets.reshape(-1) if known and targets is not None else None
        self._rows.append((a.argmax(axis=1), b.argmax(axis=1), truth))
        self._correlations.append(_rank_correlations(a, b))

    def result(self) -> dict[str, Any] | None:
        """Fields of `Fidelity`; None where nothing was a score for each class."""
        if not self._rows:
            return None
        a, b = (np.concatenate([row[i] for row in self._rows]) for i in (0, 1))
        correlations = np.concatenate(self._correlations)
        correlations = correlations[np.isfinite(correlations)]
        fields: dict[str, Any] = {
            "agreement": float((a == b).mean()),
            "rank_correlation": float(correlations.mean()) if correlations.size else None,
        }
        truths = [row[2] for row in self._rows if row[2] is not None]
        if len(truths) == len(self._rows):
            truth = np.concatenate(truths)
            fields["dense_accuracy"] = float((a == truth).mean())
            fields["accuracy"] = float((b == truth).mean())
        return fields


def class_scores(output: Array) -> Array | None:
    """Scores [N, classes] of [N, classes] or [N, classes, 1, ...]; None for anything else."""
    if output.ndim < 2 or output.shape[1] < 2 or output.dtype.kind != "f":
        return None
    if output.size != output.shape[0] * output.shape[1]:
        return None
    return output.reshape(output.shape[:2])


def _rank_correlations(a: Array, b: Array) -> Array:
    """Spearman's correlation of each row of `a` with that of `b`; NaN where one is constant."""
    constant = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    one, other = (x.argsort(axis=1).argsort(axis=1).astype(np.float64) for x in (a, b))
    gaps = ((one - other) ** 2).sum(axis=1)
    n = a.shape[1]
    found = 1 - 6 * gaps / (n * (n * n - 1))
    found[constant] = np.nan
    return np.asarray(found)
