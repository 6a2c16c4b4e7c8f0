"""What a candidate lost of the dense model: both on the same inputs, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx import ort
from alcs_onnx.data import (
    RuntimeBatch,
    Samples,
    first_batches,
    runtime_batches,
    users_code,
    users_function,
)
from alcs_onnx.errors import DataError
from alcs_onnx.feeds import make_feeds
from alcs_onnx.fidelity import Fidelity, FidelityCount, Score
from alcs_onnx.graph import Model
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.posttraining.divergence import divergence
from alcs_onnx.serialized import Serialized

Array = npt.NDArray[Any]

#: Random inputs that stand in where there are no pictures.
RANDOM_SAMPLES = 8
#: What the dense model's outputs may take in memory, in bytes; they are computed once.
_MEMORY = 1 << 30


@dataclass(frozen=True, eq=False)
class Judge:
    """The dense model's outputs on some inputs, beside which candidates are put.

    `names` are those of its outputs, `expected` has them batch by batch. `source` says what the
    inputs are, which `fed` gives, the same in every pass. Targets are passed over where they are
    not class numbers: `labelled` is False then.
    """

    names: tuple[str, ...]
    expected: tuple[Sequence[Array], ...]
    fed: Callable[[], Iterable[RuntimeBatch]]
    source: str
    random: bool = False
    score: Score | None = None
    labelled: bool = True

    def batches(self) -> Iterator[tuple[RuntimeBatch, Sequence[Array]]]:
        """One pass: inputs, and the dense model's outputs."""
        for batch, expected in zip(self.fed(), self.expected, strict=False):
            yield batch if self.labelled else replace(batch, targets=None), expected

    def few(self, count: int) -> Judge:
        """A quicker judge, by the first `count` samples or a few more."""
        sizes = accumulate(batch.size for batch, _ in self.batches())
        batches = next((n for n, seen in enumerate(sizes, start=1) if seen >= count), None)
        return replace(self, expected=self.expected[:batches])

    def judge(self, candidate: Serialized, *, library: bool = True) -> Fidelity:
        """What `candidate` lost. Raises `DataError` where it does not run."""
        counted = FidelityCount(self.names, self.score)
        for batch, expected, outputs in self._beside(candidate, library):
            counted.add(expected, outputs, batch.size, batch.targets)
        return counted.result(self.source, random=self.random)

    def divergence(self, candidate: Serialized) -> float:
        """How far the outputs of `candidate` part from the dense ones, see `divergence`.

        Raises `DataError` where it does not run.
        """
        total, seen = 0.0, 0
        for batch, expected, outputs in self._beside(candidate, library=True):
            total += batch.size * divergence(expected, outputs)
            seen += batch.size
        return total / max(seen, 1)

    def _beside(
        self, candidate: Serialized, library: bool
    ) -> Iterator[tuple[RuntimeBatch, Sequence[Array], Sequence[Array]]]:
        """One pass: inputs, the dense model's outputs, and those of `candidate`."""
        session = ort.create_session(candidate, ort.processors(), library)
        for batch, expected in self.batches():
            found = ort.run(session, batch.feeds)
            outputs = [batch.without_padding(np.asarray(found[name])) for name in self.names]
            yield batch, expected, outputs


def judge_samples(
    dense: Serialized, model: Model, samples: Samples, source: str, score: Score | None = None
) -> Judge:
    """A judge by `samples`, which `model` takes, in the words of `source`.

    Where the outputs of all would not fit in memory the first ones do.
    """
    return _judge(dense, lambda: runtime_batches(model, samples), source, score=score)


def judge_few(dense: Serialized, model: Model, samples: Samples, count: int) -> Judge:
    """A judge by the first `count` of `samples`, or a few more where they come in batches."""
    return _judge(dense, lambda: first_batches(model, samples, count), "pictures")


def judge_random(dense: Serialized, settings: InputSettings, seed: int) -> Judge:
    """A judge by reproducible random inputs, where there are no pictures."""
    session = ort.create_session(dense, library=False)

    def fed() -> Iterator[RuntimeBatch]:
        for index in range(RANDOM_SAMPLES):
            yield RuntimeBatch(make_feeds(session, seed + index, settings).feeds, 1)

    return _judge(dense, fed, "random inputs", random=True)


def _judge(
    dense: Serialized,
    fed: Callable[[], Iterable[RuntimeBatch]],
    source: str,
    *,
    random: bool = False,
    score: Score | None = None,
) -> Judge:
    session = ort.create_session(dense, ort.processors(), library=False)
    names = tuple(value.name for value in session.outputs)
    found: list[Sequence[Array]] = []
    used = 0
    for batch in fed():
        expected = [batch.without_padding(np.asarray(x)) for x in session.run(batch.feeds)]
        used += sum(x.nbytes for x in expected)
        if found and used > _MEMORY:
            break
        found.append(expected)
    if not found:
        raise DataError("there is nothing to judge with")
    return Judge(names, tuple(found), fed, source, random, score)


def load_score(spec: str) -> Score:
    """The user's function `module:function`; the current folder is importable.

    It is given the outputs of the dense model and of the other one by name, for one sample (or
    one batch, where the model fixes that), and returns how far they say the same, from 0 to 1.
    Raises `DataError` where there is no such function.
    """
    if not all(spec.partition(":")):
        raise DataError(f"score '{spec}' is not of the form module:function")
    with users_code(f"score '{spec}'"):
        found = users_function(spec)
    if not callable(found):
        raise DataError(f"score '{spec}' is no function")

    def score(expected: Mapping[str, Array], outputs: Mapping[str, Array]) -> float:
        with users_code(f"score '{spec}'"):
            value = float(found(expected, outputs))
        if not 0 <= value <= 1:
            raise DataError(f"score '{spec}' gave {value}, which is not from 0 to 1")
        return value

    return score
