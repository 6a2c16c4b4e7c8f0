"""A network and the pictures that it is shown while its layers are refitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from alcs_onnx.data import Samples, first_batches, runtime_batches
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, as_float32, free_batch
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.evidence import Evidence
from alcs_onnx.posttraining import own_layers


@dataclass(frozen=True, eq=False)
class Shown:
    """`model` takes several pictures at once.

    Networks that do not take several samples at once are run sample by sample.
    """

    model: Model
    pictures: Samples

    @classmethod
    def of(cls, model: Model, evidence: Evidence) -> Shown:
        """`model` as it is run, and the pictures that `evidence` has to fit on."""
        assert evidence.fit is not None
        return cls(free_batch(as_float32(model.detached())).model, evidence.fit)

    def fed(self) -> Iterator[Feeds]:
        """The inputs of the pictures, chunk by chunk."""
        return (batch.feeds for batch in runtime_batches(self.model, self.pictures))

    def few(self, count: int) -> Iterator[Feeds]:
        """The same of the first `count` pictures, or a few more."""
        return (batch.feeds for batch in first_batches(self.model, self.pictures, count))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many pictures there are in each chunk."""
        return tuple(batch.size for batch in runtime_batches(self.model, self.pictures))

    def chunks_of(self, pictures: int) -> int:
        """The first chunks that have so many pictures, or all."""
        seen = accumulate(self.sizes)
        return next((n for n, x in enumerate(seen, 1) if x >= pictures), len(self.sizes))


def unfit_layers(model: Model, layers: Collection[str]) -> Mapping[str, str]:
    """Those of `layers` that cannot be refitted, with the reason."""
    own = {layer.name for layer in own_layers(model)}
    reason = "cannot be refitted: too many weights in a row, or a bias that is shared"
    return {name: reason for name in layers if name not in own}


@contextmanager
def enough_memory(beside: str = "") -> Iterator[None]:
    """Raise `AlcsError` with what helps where memory is short: fewer pictures, or `beside`."""
    try:
        yield
    except MemoryError as error:
        raise AlcsError(
            "refitting takes more memory than there is: use fewer pictures (--calibration with "
            f"--samples){beside}"
        ) from error
