"""Times one model in all its variants and engines, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alcs_onnx.errors import TargetError
from alcs_onnx.feeds import make_feeds
from alcs_onnx.graph import Model, model_macs, save_model, serialize
from alcs_onnx.ort import Feeds, Runner, create_session, interleave
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.target import NodeTimes
from modelbench import layers
from modelbench.results import (
    DENSE,
    DENSE_INT8,
    OF_BYTES,
    OURS,
    OURS_INT8,
    ModelReport,
    NodeReport,
    Timed,
    compare,
    largest_difference,
)
from modelbench.rivals import Rival
from modelbench.runners import LEAD_IN, SPIN_SECONDS, TURN, Loader, PeakRunner
from modelbench.subjects import Pruned, prune, prune_int8, quantized

Outputs = list[np.ndarray]
#: Told what is being done and the share of it that is done.


@dataclass(frozen=True)
class Settings:
    """How models are timed."""

    densities: tuple[float, ...] = (1.0, 0.5, 0.25)
    group_sizes: tuple[int, ...] = (4, 8)
    threads: tuple[int, ...] = (1,)
    iterations: int = 40
    warmup: int = 5
    seed: int = 0
    nodes: bool = True
    int8: bool = False
    isa: str = "avx512"
    peak_tool: Path | None = None


@dataclass(frozen=True)
class _Entry:
    """A model that takes turns; `profile` is its twin that records node times."""

    engine: str
    pruned: Pruned | None
    threads: int
    runner: Runner
    difference: float | None
    profile: Runner | None = None


@dataclass(frozen=True, eq=False)
class _Variant:
    """A model for ONNX Runtime: `pruned` here, or None as the runtime's own.

    `expected` are the outputs on the same weights without this engine.
    """

    engine: str
    model: Model
    pruned: Pruned | None = None
    expected: Outputs | None = None


def bench_model(
    name: str,
    model: Model,
    settings: Settings,
    rivals: Sequence[Rival] = (),
    reporter: Reporter = SILENT,
) -> ModelReport:
    """Time `model`: dense in ONNX Runtime, pruned here, and both in the `rivals`.

    With `settings.int8` also ONNX Runtime's static quantization, dense, and the same file with its
    integers computed here. All take turns in one run, and so do the peaks. A rival that does not
    run a model is a line in `failures`.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="alcs-bench-"))
        gathering = _Gathering(stack, Path(folder), model, settings)
        variants = gathering.variants()
        pause = SPIN_SECONDS if rivals or max(settings.threads) > 1 else 0.0
        steps = len(variants) * len(settings.threads)
        for index in range(steps):
            reporter.phase(f"{name}: loading", index / steps)
            threads = settings.threads[index // len(variants)]
            gathering.add(variants[index % len(variants)], threads, rivals, pause)
        reporter.phase(f"{name}: loading", 1.0)
        peaks = {}
        if settings.peak_tool is not None:
            peaks = {n: PeakRunner(settings.peak_tool, settings.isa, n) for n in settings.threads}
        entries = gathering.entries
        twins = [entry.profile for entry in entries if entry.profile is not None]
        samples = interleave(
            [*(entry.runner for entry in entries), *twins, *peaks.values()],
            settings.iterations,
            settings.warmup,
            turn=TURN,
            reporter=reporter,
        )
        timed = [
            Timed(
                entry.engine,
                entry.pruned.density if entry.pruned else None,
                entry.pruned.group_size if entry.pruned else None,
                entry.threads,
                entry.pruned.mac_ratio if entry.pruned else 1.0,
                row,
                entry.difference,
            )
            for entry, row in zip(entries, samples, strict=False)
        ]
        rates = {threads: peak.median() for threads, peak in peaks.items()}
        dots = {threads: peak.median_of_bytes() for threads, peak in peaks.items()}
        return ModelReport(
            name,
            model_macs(model),
            rates,
            compare(timed),
            *_nodes(model, entries, timed, rates, dots),
            failures=tuple(gathering.failures),
            byte_peaks=dots,
        )


class _Gathering:
    """Loads everything that takes turns."""

    def __init__(self, stack: ExitStack, scratch: Path, model: Model, settings: Settings) -> None:
        self.entries: list[_Entry] = []
        self.failures: list[str] = []
        self._stack, self._scratch = stack, scratch
        self._model, self._settings = model, settings
        session = create_session(serialize(model), library=False)
        self._feeds: Feeds = make_feeds(session, settings.seed).feeds

    def variants(self) -> list[_Variant]:
        """What ONNX Runtime runs, by itself and with this engine."""
        model, settings = self._model, self._settings
        kinds = [(d, g) for g in settings.group_sizes for d in settings.densities]
        found = [_Variant(DENSE, model, expected=self._outputs(model))]
        for density, group_size in kinds:
            pruned = prune(model, density, group_size, settings.seed)
            found.append(_Variant(OURS, pruned.sparse, pruned, self._outputs(pruned.zeros)))
        if settings.int8:
            network = quantized(model, self._feeds)
            found.append(_Variant(DENSE_INT8, network.model))
            for density, group_size in kinds:
                pruned = prune_int8(network, model, density, group_size, settings.seed)
                # As the file says: the runtime's own integers may overflow.
                expected = self._outputs(pruned.zeros, optimized=False)
                found.append(_Variant(OURS_INT8, pruned.sparse, pruned, expected))
        return found

    def _outputs(self, model: Model, optimized: bool = True) -> Outputs:
        session = create_session(serialize(model), library=False, optimized=optimized)
        return session.run(self._feeds)

    def add(self, variant: _Variant, threads: int, rivals: Sequence[Rival], pause: float) -> None:
        """A variant, in all engines that are to run it."""
        loader = Loader(self._stack, self._scratch, max(self._settings.threads) > 1, pause)
        mine, pruned = variant.model, variant.pruned
        library = pruned is not None
        difference = None
        if pruned and variant.expected is not None:
            outputs = create_session(serialize(mine)).run(self._feeds)
            difference = largest_difference(outputs, variant.expected)
        self.entries.append(
            _Entry(
                variant.engine,
                pruned,
                threads,
                loader.load(mine, self._feeds, threads, library=library),
                difference,
                loader.load(mine, self._feeds, threads, library=library, profiled=True)
                if self._settings.nodes
                else None,
            )
        )
        wanted = [rival for rival in rivals if rival.engine.uses_zeros or pruned is None]
        if not wanted or variant.engine in OF_BYTES or variant.expected is None:
            return
        path = self._scratch / "plain.onnx"
        save_model(pruned.zeros if pruned else self._model, path)
        for rival in wanted:
            self._add_rival(rival, path, pruned, threads, pause, variant.expected)

    def _add_rival(
        self,
        rival: Rival,
        path: Path,
        pruned: Pruned | None,
        threads: int,
        pause: float,
        expected: Outputs,
    ) -> None:
        try:
            worker, outputs = rival.load(path, self._feeds, threads, self._scratch, LEAD_IN, pause)
        except TargetError as error:
            what = pruned.label if pruned else "dense"
            self.failures.append(f"{rival.label} does not run this model, {what}: {error}")
            return
        self._stack.enter_context(worker)
        difference = largest_difference(outputs, expected)
        self.entries.append(_Entry(rival.engine.name, pruned, threads, worker, difference))


def _nodes(
    model: Model,
    entries: Sequence[_Entry],
    timed: Sequence[Timed],
    rates: dict[int, float],
    dots: dict[int, float],
) -> tuple[tuple[NodeReport, ...], dict[int, list[dict[str, object]]], dict[int, float]]:
    """Node reports, depthwise layers and the profiler's part, of all profiled models."""
    profiles: list[tuple[_Entry, NodeTimes, float]] = [
        (entry, entry.profile.nodes(), float(np.median(item.samples)))  # type: ignore[attr-defined]
        for entry, item in zip(entries, timed, strict=True)
        if entry.profile is not None
    ]
    reports: list[NodeReport] = []
    depthwise: dict[int, list[dict[str, object]]] = {}
    overheads: dict[int, float] = {}
    for threads in sorted({entry.threads for entry, _, _ in profiles}):
        group = [item for item in profiles if item[0].threads == threads]
        overhead = layers.profiler_overhead([(times, wall) for _, times, wall in group])
        tables = []
        for entry, times, wall in group:
            peak = (dots if entry.engine in OF_BYTES else rates).get(threads, 0) * 1e6 or None
            densities = entry.pruned.densities if entry.pruned else None
            rows = layers.layer_times(model, times, densities, peak, overhead)
            if entry.engine not in OF_BYTES:
                tables.append(rows)
            reports.append(
                NodeReport(
                    entry.engine,
                    entry.pruned.label if entry.pruned else "dense",
                    threads,
                    wall,
                    tuple(layers.summarise(rows, peak)),
                    tuple(rows),
                )
            )
        depthwise[threads] = layers.depthwise_pairs(model, tables[0], tables[1:])
        overheads[threads] = overhead
    return tuple(reports), depthwise, overheads
