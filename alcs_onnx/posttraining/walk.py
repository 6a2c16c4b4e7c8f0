"""A network on its way through the samples, with its tensors at one place at a time.

What a network has computed is kept where that is cheaper than to compute it again from where it was
kept last: the tensors inside a block of a compact network are many times larger than those between
blocks, and computed in a fraction of the time that a disk takes for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, loadable
from alcs_onnx.ort import Session, create_session, processors, run
from alcs_onnx.posttraining.stages import Fed, Stages
from alcs_onnx.posttraining.tensors import Array, Tensors
from alcs_onnx.types import FloatArray

#: About what a processor does in a second, and a disk that is written and read: which of two ways
#: is quicker is seldom close.
_MACS_PER_SECOND, _BYTES_PER_SECOND = 3e10, 2e8


def open_part(model: Model, *, optimized: bool = True) -> Session:
    """A session of a part, with all processors."""
    return create_session(loadable(model), processors(), library=False, optimized=optimized)


@dataclass(eq=False)
class Walk:
    """All samples at one part after the other.

    The tensors behind part `kept` are in `tensors`, chunk by chunk; `changed` are initializers that
    have other values than in the model. Without `optimized` parts run as they are written: the
    runtime takes out pairs of rounding nodes that no integer kernel has use for, and their ranges
    with them.
    """

    stages: Stages
    chunks: int
    samples: int
    tensors: Tensors
    optimized: bool = True
    kept: int = -1
    changed: dict[str, FloatArray] = field(default_factory=dict)
    _opened: tuple[tuple[int, int, tuple[str, ...]], Session] | None = None

    @classmethod
    def begin(cls, stages: Stages, fed: Fed, *, optimized: bool = True) -> Walk:
        """At the inputs that `fed` gives, chunk by chunk; `DataError` where it gives none."""
        tensors, sizes = Tensors(), []
        for chunk, feeds in enumerate(fed()):
            for name, array in feeds.items():
                tensors.put(name, chunk, array)
            sizes.append(next(iter(feeds.values())).shape[0])
        if not sizes:
            raise DataError("there are no pictures to refit with")
        return cls(stages, len(sizes), sum(sizes), tensors, optimized)

    def change(self, arrays: Mapping[str, FloatArray]) -> None:
        """Other values for initializers, before anything that reads them is kept."""
        self.changed |= arrays
        self._opened = None

    def each(self, index: int, *names: str) -> Iterator[tuple[Array, ...]]:
        """The named tensors as they are once part `index` has run, chunk by chunk."""
        for chunk in range(self.chunks):
            found = self.values(index, names, chunk)
            yield tuple(found[name] for name in names)

    def values(self, index: int, names: tuple[str, ...], chunk: int) -> dict[str, Array]:
        """The same of one chunk, by name."""
        there = set(self.stages.live(self.kept))
        wanted = tuple(name for name in dict.fromkeys(names) if name not in there)
        found = {name: self.tensors.get(name, chunk) for name in names if name in there}
        if wanted:
            session = self._session(index, wanted)
            feeds = {value.name: self.tensors.get(value.name, chunk) for value in session.inputs}
            found |= run(session, feeds)
        return found

    def move_on(self, index: int) -> None:
        """Past part `index`: its tensors are kept where that is quicker than to come here again."""
        if not self._pays(index):
            return
        before, now = self.stages.live(self.kept), self.stages.live(index)
        new = tuple(name for name in now if name not in before)
        for chunk in range(self.chunks):
            for name, array in self.values(index, new, chunk).items():
                self.tensors.put(name, chunk, array)
        for name in before:
            if name not in now:
                self.tensors.drop(name)
        self.kept, self._opened = index, None

    def _pays(self, index: int) -> bool:
        stages, times = self.stages, self.samples / self._own_samples
        before = stages.live(self.kept)
        size = stages.bytes([n for n in stages.live(index) if n not in before]) * times
        if size <= self.tensors.left:
            return True
        macs = sum(stages.macs(i) for i in range(self.kept + 1, index + 1)) * times
        return macs / _MACS_PER_SECOND > size / _BYTES_PER_SECOND

    @property
    def _own_samples(self) -> int:
        """The samples of the model's shapes."""
        model = self.stages.model
        shapes = (model.shapes[name] for name in model.sample_inputs)
        return next((shape[0] for shape in shapes if shape), 1)

    def _session(self, index: int, names: tuple[str, ...]) -> Session:
        key = (self.kept, index, names)
        if self._opened is None or self._opened[0] != key:
            model = self.stages.between(self.kept, index, names)
            own = {n: a for n, a in self.changed.items() if n in model.initializers}
            changed = model.with_initializers(own)
            self._opened = key, open_part(changed, optimized=self.optimized)
        return self._opened[1]
