"""What a benchmark of models gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alcs_onnx.types import Timing
from modelbench.layers import ClassTime, LayerTime

#: Names of the two engines that are always there.
DENSE = "onnxruntime"
OURS = "alcs"
#: The same on a quantized file.
DENSE_INT8 = "onnxruntime int8"
OURS_INT8 = "alcs int8"
#: Whose multiply-adds are of bytes.
OF_BYTES = frozenset({DENSE_INT8, OURS_INT8})
#: A run this much longer than the median is a slow one.
_SLOW = 1.25


@dataclass(frozen=True)
class Row:
    """One model in one engine. `density` and `group_size` are None for the dense model."""

    engine: str
    density: float | None
    group_size: int | None
    threads: int
    mac_ratio: float
    timing: Timing
    #: Dense ONNX Runtime's median with as many threads / this one.
    speedup: float
    #: This median / ours on the same weights; None for ours, and where ours was not timed.
    against_ours: float | None
    #: Median with the fewest threads / this one; None for that one itself.
    scaling: float | None
    #: Share of the runs that took much longer than the median.
    slow: float
    #: Largest difference to ONNX Runtime's outputs on the same weights / their largest value.
    difference: float | None
    samples: tuple[float, ...] = ()
    #: ONNX Runtime's median on the dense quantized file / this one; None where that was not timed.
    over_int8: float | None = None

    @property
    def weights(self) -> str:
        """Which weights, in a few characters."""
        return "dense" if self.density is None else f"d={self.density:g} g={self.group_size}"


@dataclass(frozen=True)
class NodeReport:
    """Where the time of one model goes, node by node and by class.

    `wall_ms` is the median run without the profiler: about what the nodes sum up to, unless
    they were interrupted.
    """

    engine: str
    weights: str
    threads: int
    wall_ms: float
    classes: tuple[ClassTime, ...]
    layers: tuple[LayerTime, ...]


@dataclass(frozen=True)
class ModelReport:
    """Everything about one model. `peaks` are in GMAC/s, by number of threads."""

    model: str
    macs: int
    peaks: dict[int, float]
    rows: tuple[Row, ...]
    nodes: tuple[NodeReport, ...] = ()
    #: By number of threads: each depthwise layer in ONNX Runtime and here.
    depthwise: dict[int, list[dict[str, object]]] = field(default_factory=dict)
    #: Added by the profiler to each node, and taken away again (ms), by number of threads.
    profiler_overhead_ms: dict[int, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    #: As `peaks`, of bytes.
    byte_peaks: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Timed:
    """The samples (ms) of one model, before they are compared."""

    engine: str
    density: float | None
    group_size: int | None
    threads: int
    mac_ratio: float
    samples: npt.NDArray[np.float64]
    difference: float | None


def compare(timed: Sequence[Timed]) -> tuple[Row, ...]:
    """Rows with the ratios between them."""
    medians = {_key(item): float(np.median(item.samples)) for item in timed}
    fewest = min(item.threads for item in timed)
    rows = []
    for item in timed:
        engine, density, group_size, threads = _key(item)
        own = medians[_key(item)]
        ours = medians.get((OURS, density, group_size, threads))
        single = medians.get((engine, density, group_size, fewest))
        int8 = medians.get((DENSE_INT8, None, None, threads))
        rows.append(
            Row(
                engine,
                density,
                group_size,
                threads,
                item.mac_ratio,
                Timing.from_samples(item.samples),
                medians[DENSE, None, None, threads] / own,
                None if ours is None or engine == OURS else own / ours,
                None if single is None or threads == fewest else single / own,
                float(np.mean(item.samples > _SLOW * own)),
                item.difference,
                tuple(item.samples.tolist()),
                None if int8 is None else int8 / own,
            )
        )
    return tuple(rows)


def _key(item: Timed) -> tuple[str, float | None, int | None, int]:
    return item.engine, item.density, item.group_size, item.threads


def largest_difference(
    outputs: Sequence[npt.NDArray[np.generic]], expected: Sequence[npt.NDArray[np.generic]]
) -> float | None:
    """Largest absolute difference / largest absolute expected value; None for other shapes."""
    if [array.shape for array in outputs] != [array.shape for array in expected]:
        return None
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64))
        for a, b in zip(outputs, expected, strict=True)
        if np.asarray(b).size
    ]
    scale = max((float(np.abs(b).max()) for _, b in pairs), default=0.0)
    worst = max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0)
    return worst / scale if scale else worst
