"""The machine this process runs on.

With one thread the models are sessions of this process. With more, each model gets a
process of its own (`alcs_onnx.target.agent`): the thread pools of two sessions in one
process share its cores badly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from alcs_onnx.errors import TargetError
from alcs_onnx.feeds import make_feeds
from alcs_onnx.ort import (
    Feeds,
    Runner,
    Samples,
    SessionRunner,
    create_session,
    interleave,
)
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.target.base import ModelTimes, NodeTimes
from alcs_onnx.target.machine import describe
from alcs_onnx.target.profile_log import read_profile
from alcs_onnx.target.worker import Worker
from alcs_onnx.types import Machine

#: Recorded runs of a model before the next one gets its turn, and unrecorded ones before
#: them. An application runs one model over and over: alternating single runs would let
#: every model find its weights evicted by the others.
_TURN = 4
_LEAD_IN = 1
#: The runtime's worker threads spin for tens of milliseconds after a run (35-39 ms seen
#: with 1.31), on cores that the next model needs.
_SPIN_SECONDS = 0.06


class _ProfiledRunner(Runner, Protocol):
    def nodes(self) -> NodeTimes:
        """Node times over the recorded runs so far; ends the profile."""
        ...


class _ProfiledSession(SessionRunner):
    """A session of this process that records node times."""

    def nodes(self) -> NodeTimes:
        return read_profile(self.session.end_profiling(), self.turns)


class LocalTarget:
    """Times models on this machine; see `alcs_onnx.target.base.Target`."""

    @classmethod
    def from_url(cls, url: str) -> LocalTarget:
        """The target named `local`; raises `TargetError` for anything after it."""
        if url != "local":
            raise TargetError(f"target '{url}': write just 'local' for this machine")
        return cls()

    def machine(self, threads: int = 1) -> Machine:
        """This machine as it is now."""
        return describe(threads)

    def time(
        self,
        models: Sequence[Serialized],
        *,
        threads: int = 1,
        iterations: int = 50,
        warmup: int = 5,
        min_seconds: float = 0.0,
        feeds: Feeds | Sequence[Feeds] | None = None,
        library: bool = True,
        reporter: Reporter = SILENT,
    ) -> list[Samples]:
        """Run all models in turns; returns the duration of each recorded run (ms)."""
        each = [feeds] * len(models) if feeds is None or isinstance(feeds, Mapping) else list(feeds)
        with _load(models, [False] * len(models), threads, each, library) as runners:
            return interleave(runners, iterations, warmup, min_seconds, _TURN, reporter)

    def node_times(
        self,
        models: Sequence[Serialized],
        *,
        threads: int = 1,
        iterations: int = 50,
        warmup: int = 5,
        feeds: Feeds | None = None,
        library: bool = True,
        reporter: Reporter = SILENT,
    ) -> list[ModelTimes]:
        """As `time`, and node by node: every model is loaded with and without a profile."""
        twice = [model for model in models for _ in range(2)]
        profiled = [True, False] * len(models)
        with _load(twice, profiled, threads, [feeds] * len(twice), library) as runners:
            samples = interleave(runners, iterations, warmup, turn=_TURN, reporter=reporter)
            return [
                ModelTimes(runners[index].nodes(), samples[index + 1])
                for index in range(0, len(twice), 2)
            ]


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    # A session that failed half-way may still hold its profile open (Windows).
    return tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True)


@contextmanager
def _load(
    models: Sequence[Serialized],
    profiled: Sequence[bool],
    threads: int,
    feeds: Sequence[Feeds | None],
    library: bool,
) -> Iterator[list[_ProfiledRunner]]:
    """All models ready to run; processes and files are gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_temporary_folder()))
        prefixes = [
            folder / f"profile{index}" if wanted else None for index, wanted in enumerate(profiled)
        ]
        if threads > 1:
            yield _load_workers(stack, folder, models, prefixes, threads, feeds, library)
            return
        runners: list[_ProfiledRunner] = []
        for model, prefix, inputs in zip(models, prefixes, feeds, strict=True):
            session = create_session(model, threads, library, prefix)
            runners.append(
                _ProfiledSession(session, inputs or make_feeds(session).feeds, lead_in=_LEAD_IN)
            )
        yield runners


def _load_workers(
    stack: ExitStack,
    folder: Path,
    models: Sequence[Serialized],
    prefixes: Sequence[Path | None],
    threads: int,
    feeds: Sequence[Feeds | None],
    library: bool,
) -> list[_ProfiledRunner]:
    """One process per model, started together and loading one after the other."""
    workers = [stack.enter_context(Worker()) for _ in models]
    path = folder / "model.onnx"
    for worker, model, prefix, inputs in zip(workers, models, prefixes, feeds, strict=True):
        if isinstance(model, bytes):
            path.write_bytes(model)
        worker.load(
            path if isinstance(model, bytes) else model.path,
            inputs,
            threads,
            library=library,
            profile=prefix,
            lead_in=_LEAD_IN,
            pause=_SPIN_SECONDS,
        )
    return list(workers)
