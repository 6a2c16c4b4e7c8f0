"""Measures the latency table of a model (ALCS section III-C), in context.

The whole model is built at each of the 11 densities with random sparse weights, all eleven
and the dense model run in turns on the target, and the runtime's profiler gives the time of
every node. So each layer is measured with the caches, the allocator and the neighbours that
it will really have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from alcs_onnx.errors import TargetError
from alcs_onnx.graph import Model, conv_layers, loadable
from alcs_onnx.latency.estimator import Estimator
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.latency.overhead import profiler_overhead
from alcs_onnx.latency.runner import Runner
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.sparse_format import block_count, largest_fitting
from alcs_onnx.target import ModelTimes
from alcs_onnx.types import DENSITIES, ConvLayer, LatencyTable, LayerCurve, Timing

#: Makes the serialised sparse model whose layers have these densities, at random positions
#: that depend on the seed: exactly `kept_groups(density, groups)` groups in each layer.
Build = Callable[[Mapping[str, float], int], Serialized]

#: Limits of the correction of the profiler's times by those of whole runs.
_MOST_RATIO = 1.25


@dataclass(frozen=True, eq=False)
class SparseModels:
    """A dense model and how it is built sparse; a node that replaces a layer has its name.

    `structure` names what a group is, and `groups` gives their number for each layer that is
    measured, by name; the default counts SIMD groups of `simd_group` weights of all.
    """

    dense: Model
    build: Build
    simd_group: int
    structure: str = "simd"
    groups: Mapping[str, int] | None = None

    def group_counts(self) -> dict[str, int]:
        """The number of groups of each layer, by name."""
        if self.groups is None:
            return {x.name: _group_count(x, self.simd_group) for x in conv_layers(self.dense)}
        return dict(self.groups)


def kept_groups(density: float, groups: int) -> int:
    """How many of a layer's `groups` are stored at `density`: to the nearest, halves to even."""
    return round(density * groups)


def profile(
    models: SparseModels,
    runner: Runner,
    *,
    iterations: int = 40,
    warmup: int = 3,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> LatencyTable:
    """The latency table of the dense model, with `iterations` recorded runs of each model.

    Raises `TargetError` if the target cannot measure, or does not run a layer as a node
    of the layer's name (the custom-op library was not used).
    """
    model, layers = models.dense, models.group_counts()
    built = [loadable(model.detached())]
    for index, density in enumerate(DENSITIES):
        reporter.phase("building sparse models", index / len(DENSITIES))
        built.append(models.build(dict.fromkeys(layers, density), seed + index))
    reporter.phase("building sparse models", 1.0)
    machine = runner.target.machine(runner.threads)
    dense, *sparse = runner.target.node_times(
        built,
        threads=runner.threads,
        iterations=iterations,
        warmup=warmup,
        feeds=runner.feeds,
        reporter=reporter,
    )
    dense_ms = dense_times(model, dense.profile)
    overhead = profiler_overhead([dense, *sparse])
    curves = tuple(
        _curve(name, count, sparse, overhead, max(dense_ms[name] - overhead, 0.0))
        for name, count in layers.items()
    )
    table = LatencyTable(
        model_digest=model.digest,
        simd_group=models.simd_group,
        machine=machine,
        tau=0.0,
        dense=Timing.from_samples(dense.wall),
        curves=curves,
        input_shapes={value.name: value.shape for value in model.inputs},
        structure=models.structure,
    )
    return _calibrated(table, sparse)


def _group_count(layer: ConvLayer, simd_group: int) -> int:
    """Groups of `layer`, of as many weights up to `simd_group` as its conv groups have rows."""
    fitting = largest_fitting(layer.rows_per_group, simd_group)
    return block_count(layer.out_channels, layer.group, fitting) * layer.columns


def _curve(
    layer: str, groups: int, sparse: Sequence[ModelTimes], overhead: float, dense_ms: float
) -> LayerCurve:
    """The rising curve through one layer's measurements.

    A layer of few groups stores equally many at several densities: those are averaged.
    """
    measured: dict[int, list[float]] = {}
    for density, item in zip(DENSITIES, sparse, strict=True):
        if layer not in item.profile.nodes:
            raise TargetError(
                f"layer '{layer}' did not run as one node at density {density:g}: "
                "was the custom-op library used?"
            )
        time = max(item.profile.nodes[layer] - overhead, 0.0)
        measured.setdefault(kept_groups(density, groups), []).append(time)
    times = isotonic_regression([np.mean(group) for group in measured.values()]).x
    return LayerCurve(layer, tuple(measured), tuple(times.tolist()), dense_ms)


def _calibrated(table: LatencyTable, sparse: Sequence[ModelTimes]) -> LatencyTable:
    """`table` with tau of eq. 2, and curves that add up to what whole runs take.

    The profiler also slows the nodes down, by what it leaves in the caches: the sum of the
    nodes rises a few percent faster or slower with density than the run without it does.
    The curves are multiplied by the ratio of the two (the median over all pairs of the
    eleven models, Theil and Sen). Tau is the median of what they then leave of a run, so
    that the estimate has no bias at the models that were measured.
    """
    estimator = Estimator.from_curves(0.0, table.curves)
    sums = np.array(
        [
            estimator.model_ms(
                {name: kept_groups(density, item.groups) for name, item in estimator.layers.items()}
            )
            for density in DENSITIES
        ]
    )
    walls = np.array([np.median(item.wall) for item in sparse])
    ratio = _slope(sums, walls)
    curves = tuple(
        replace(curve, times=tuple(time * ratio for time in curve.times)) for curve in table.curves
    )
    return replace(table, tau=float(np.median(walls - ratio * sums)), curves=curves)


def _slope(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Median slope over all pairs of points, held to what a profiler can explain."""
    first, second = np.triu_indices(len(x), 1)
    rise = x[second] - x[first]
    far = rise > 0.1 * max(float(np.ptp(x)), 1e-9)  # nearby points say little
    if not far.any():
        return 1.0
    slope = float(np.median((y[second] - y[first])[far] / rise[far]))
    return min(max(slope, 1 / _MOST_RATIO), _MOST_RATIO)
