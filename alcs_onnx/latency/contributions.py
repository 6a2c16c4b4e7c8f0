"""Latency contributions of channel groups: the look-up table of SP-LAMP section 3.2.

For each group and several numbers of its channels, the whole model is built with that group
alone reduced, every layer that it couples reduced with it, and measured on the target. So a
contribution holds skip connections, the layer's place in the network and what the runtime
makes of a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import isotonic_regression

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.latency.overhead import without_overhead
from alcs_onnx.latency.runner import Runner
from alcs_onnx.ort import Samples
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.target import ModelTimes
from alcs_onnx.types import ChannelCurve, ChannelGroup, ChannelTable, DoubleArray, Machine, Timing

#: Makes the serialised model in which the named groups keep that many channels; the dense
#: model of an empty mapping.
Build = Callable[[Mapping[str, int]], Serialized]
_Point = tuple[str, int]

#: Models measured in turns with the dense one at a time: more would fill the memory.
_BATCH = 6
#: Seconds that each model runs at least: one group saves a few per cent of the whole, and of
#: noise the solver would choose what happened to look quick.
MIN_SECONDS = 0.4
#: About how many numbers of its channels a group is measured at (`step_counts`).
STEPS = 8


@dataclass(frozen=True, eq=False)
class ReducedModels:
    """A dense model, which `build({})` serialises, and its channel groups that are reduced."""

    dense: Model
    build: Build
    groups: Sequence[ChannelGroup]

    @property
    def reducible(self) -> list[ChannelGroup]:
        """The groups that are not frozen."""
        return [group for group in self.groups if not group.frozen]


def step_counts(channels: int, steps: int) -> tuple[int, ...]:
    """About `steps` counts of a group's channels, ascending, `channels` the last.

    Multiples of 16 in groups of 128 and more, of 8 from 64 and of 4 from 16 on: the run time
    jumps where another vector of channels begins, and a part of one may cost more than a whole
    one. The least counts are one such multiple, and a quarter of that.
    """
    multiple = next((m for least, m in ((128, 16), (64, 8), (16, 4)) if channels >= least), 1)
    spread = np.linspace(min(multiple, channels), channels, max(2, steps))
    counts = {int(count) for count in np.round(spread[:-1] / multiple) * multiple}
    counts.add(min(max(1, multiple // 4), channels))
    return (*sorted(count for count in counts if count < channels), channels)


def measure_contributions(
    models: ReducedModels,
    runner: Runner,
    *,
    iterations: int = 30,
    warmup: int = 5,
    steps: int = STEPS,
    reporter: Reporter = SILENT,
) -> ChannelTable:
    """Steps 1 to 3 of section 3.2: a measured curve for each group that is not frozen.

    `iterations` are the recorded runs of each reduced model. Removes steps of channels
    (`step_counts`) rather than single ones. The dense model runs in turns with every few
    reduced ones, and their times are multiplied by how much faster or slower it was among all:
    a drift of the machine cancels.

    Raises `TargetError` if the target cannot measure and `ModelError` if the runtime refuses
    a reduced model.
    """
    counts = {group.name: step_counts(group.channels, steps) for group in models.reducible}
    points = [(name, kept) for name, steps_ in counts.items() for kept in steps_[:-1]]
    machine = runner.target.machine(runner.threads)
    dense, samples = _measure(
        models, points, runner, reporter, iterations=iterations, warmup=warmup
    )
    times = {point: Timing.from_samples(row) for point, row in samples.items()}
    times |= {(name, steps_[-1]): dense for name, steps_ in counts.items()}
    curves = (
        _curve(name, steps_, [times[name, kept] for kept in steps_])
        for name, steps_ in counts.items()
    )
    return _table(models.dense, machine, dense, curves)


def predict_contributions(
    models: ReducedModels,
    runner: Runner,
    times: ModelTimes,
    *,
    iterations: int = 30,
    warmup: int = 5,
    samples: int = 8,
    reporter: Reporter = SILENT,
) -> ChannelTable:
    """The table without measuring every group, as the paper has it from nn-Meter.

    `times` is the dense model's `target.node_times`. A layer's time is taken as proportional
    to what is left of its weight on each axis; nodes without weights keep theirs. `samples`
    random points of the curves are really measured, and `ChannelTable.error` is the sum of
    their errors over the sum of the savings that were measured (None for no samples).

    Raises as `measure_contributions`, and `AlcsError` if the profile has none of the layers
    of the groups.
    """
    model, dense = models.dense, Timing.from_samples(times.wall)
    layers = _layer_times(model, times)
    curves = [_predicted(group, model, layers, dense.median) for group in models.reducible]
    if curves and all(curve.times_ms[0] >= dense.median for curve in curves):
        raise AlcsError("the profile of the dense model has no layer of any channel group")
    machine = runner.target.machine(runner.threads)
    table = replace(_table(model, machine, dense, curves), predicted=True)
    points = [(curve.group, kept) for curve in curves for kept in curve.kept[:-1]]
    chosen = np.random.default_rng(0).permutation(len(points))[:samples]
    if not chosen.size:
        return table
    checked = [points[index] for index in sorted(chosen)]
    now, measured = _measure(
        models, checked, runner, reporter, iterations=iterations, warmup=warmup
    )
    saved = np.array([1 - float(np.median(row)) / now.median for row in measured.values()])
    expected = np.array(
        [1 - _time_at(table.curve(name), kept) / dense.median for name, kept in measured]
    )
    total = float(np.abs(saved).sum())
    error = float(np.abs(expected - saved).sum()) / total if total > 0 else float("inf")
    return replace(table, error=error)


def contribution(curve: ChannelCurve) -> DoubleArray:
    """Latency (ms) of the model by the channels that the group keeps, [channels + 1].

    Piece-wise linear between the measured counts and constant below the least of them: what
    was not measured promises nothing. The difference of two neighbours is c_l^j of SP-LAMP eq. 7.

    A measured time may fall where a channel is added, so that eq. 7 turns negative, mostly by
    noise. The times are replaced by the closest non-decreasing ones (least squares), so
    channels that seemed to make the model faster cost nothing; the solver never keeps one
    because it is thought to save time.
    """
    times = isotonic_regression(curve.times_ms).x
    return np.asarray(np.interp(np.arange(curve.channels + 1), curve.kept, times))


@dataclass(frozen=True, eq=False)
class ChannelEstimator:
    """Latency of a model from the channels that its groups keep (SP-LAMP eq. 6).

    `saved[group][k]` is what the model gains (ms, >= 0) when that group alone keeps k
    channels; `dense_ms` is what it takes with all.

    Eq. 6 as it stands leaves 1 - s of the dense latency, s the sum of all savings in its units.
    But a layer between two groups shrinks on both axes, and both are credited with the whole of
    it: with half of every group gone the sum is the whole model, while a quarter of it is left.
    Here every layer is such a one: what is left is the product of two axes, (1 - s / 2)^2. To
    first order the two agree.
    """

    dense_ms: float
    saved: Mapping[str, DoubleArray]

    @classmethod
    def from_table(cls, table: ChannelTable) -> ChannelEstimator:
        """The estimator of a table; raises `AlcsError` for an unusable one."""
        saved = {}
        for curve in table.curves:
            _check(curve)
            times = contribution(curve)
            saved[curve.group] = times[-1] - times
        return cls(table.dense.median, saved)

    def latency(self, kept: Mapping[str, int]) -> float:
        """Latency (ms) when the groups keep so many channels; those not named keep all.

        Raises `AlcsError` for a group or a count that has no measurement.
        """
        return self.after(self.saving(kept))

    def saving(self, kept: Mapping[str, int]) -> float:
        """Sum (ms) of what the groups save one by one; errors as `latency`."""
        total = 0.0
        for name, count in kept.items():
            if name not in self.saved:
                raise AlcsError(f"channel group '{name}' has no latency curve")
            if not 0 <= count < self.saved[name].size:
                raise AlcsError(
                    f"channel group '{name}' has {self.saved[name].size - 1} channels, not {count}"
                )
            total += float(self.saved[name][count])
        return total

    def after(self, saving_ms: float) -> float:
        """The latency (ms) that a sum of savings leaves."""
        return self.dense_ms * max(0.0, 1.0 - saving_ms / self.dense_ms / 2) ** 2

    def needed(self, latency_ms: float) -> float:
        """The sum of savings (ms) that leaves `latency_ms`: the inverse of `after`."""
        left = float(max(0.0, latency_ms / self.dense_ms) ** 0.5)
        return self.dense_ms * (2.0 * (1.0 - left))


def _measure(
    models: ReducedModels,
    points: Sequence[_Point],
    runner: Runner,
    reporter: Reporter,
    *,
    iterations: int,
    warmup: int,
) -> tuple[Timing, dict[_Point, Samples]]:
    """The dense model, and the runs (ms) of the model at each point, free of drift."""
    dense_model = models.build({})
    batches: list[tuple[Samples, Sequence[_Point], list[Samples]]] = []
    for start in range(0, max(1, len(points)), _BATCH):
        batch = points[start : start + _BATCH]
        reporter.phase("measuring channel groups", start / max(1, len(points)))
        built = [dense_model, *(models.build({name: kept}) for name, kept in batch)]
        dense, *rows = runner.target.time(
            built,
            threads=runner.threads,
            iterations=iterations,
            warmup=warmup,
            min_seconds=MIN_SECONDS,
            feeds=runner.feeds,
            library=False,
        )
        batches.append((dense, batch, rows))
    reporter.phase("measuring channel groups", 1.0)
    dense_samples = np.concatenate([dense for dense, _, _ in batches])
    usual = float(np.median(dense_samples))
    samples: dict[_Point, Samples] = {}
    for dense, batch, rows in batches:
        ratio = usual / float(np.median(dense))
        samples |= {point: row * ratio for point, row in zip(batch, rows, strict=True)}
    return Timing.from_samples(dense_samples), samples


def _curve(group: str, kept: tuple[int, ...], times: Sequence[Timing]) -> ChannelCurve:
    return ChannelCurve(
        group,
        kept,
        tuple(time.median for time in times),
        tuple(time.mean for time in times),
        tuple(time.stddev for time in times),
    )


def _table(
    model: Model, machine: Machine, dense: Timing, curves: Iterable[ChannelCurve]
) -> ChannelTable:
    shapes = {value.name: value.shape for value in model.inputs}
    return ChannelTable(model.digest, machine, dense, tuple(curves), input_shapes=shapes)


def _layer_times(model: Model, times: ModelTimes) -> dict[str, float]:
    """Time (ms) of each node by its name in the model, as far as the profile has it.

    Scaled so that all nodes of the profile together take what a run without it does. Where one node
    was disturbed so much that nothing of the convolutions is left without the profiler's part, they
    keep it.
    """
    clean, _ = without_overhead(times)
    convs = {name: ms for name, ms in dense_times(model, clean).items() if np.isfinite(ms)}
    if not any(convs.values()):
        clean = times.profile
        convs = {name: ms for name, ms in dense_times(model, clean).items() if np.isfinite(ms)}
    nodes = dict(clean.nodes)
    total = clean.total
    ratio = float(np.median(times.wall)) / total if total > 0 else 1.0
    return {name: time * ratio for name, time in (nodes | convs).items()}


def _predicted(
    group: ChannelGroup, model: Model, layers: Mapping[str, float], dense_ms: float
) -> ChannelCurve:
    """The curve of a group from the times of the layers whose weights its slots name."""
    kept = step_counts(group.channels, STEPS)
    left = np.asarray(kept) / group.channels
    # By tensor and axis: slots of one axis are different parts of it, inputs of a concatenation.
    parts: dict[tuple[str, int], float] = {}
    for slot in group.slots:
        if slot.role != "vector" and slot.tensor in model.initializers:
            shape = model.initializers[slot.tensor].shape
            axis = slot.axis % len(shape)
            parts[slot.tensor, axis] = (
                parts.get((slot.tensor, axis), 0.0) + slot.indices.size / shape[axis]
            )
    shares: dict[str, DoubleArray] = {}
    for (tensor, _), part in parts.items():
        for node in model.consumers(tensor):
            shares[node.name] = shares.get(node.name, np.ones_like(left)) * (1 - part * (1 - left))
    saved = sum(
        (layers.get(name, 0.0) * (1 - share) for name, share in shares.items()),
        np.zeros_like(left),
    )
    times = tuple(float(time) for time in dense_ms - saved)
    return ChannelCurve(group.name, kept, times, times, (0.0,) * len(times))


def _time_at(curve: ChannelCurve, kept: int) -> float:
    return curve.times_ms[curve.kept.index(kept)]


def _check(curve: ChannelCurve) -> None:
    """Raise `AlcsError` unless `curve` is one of times at rising counts from 1 on."""
    counts, times = np.asarray(curve.kept), np.asarray(curve.times_ms, dtype=np.float64)
    usable = counts.size > 0 and counts.shape == times.shape and bool(np.isfinite(times).all())
    usable = usable and len(curve.mean) == len(curve.stddev) == counts.size
    if not usable or counts[0] < 1 or (np.diff(counts) <= 0).any():
        raise AlcsError(f"channel group '{curve.group}': its latency curve is not a usable one")
