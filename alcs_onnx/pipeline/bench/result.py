"""What `bench` returns: frozen values, written as JSON field by field.

Times are milliseconds. A field that is added, renamed or removed is a new version
of `formats.BENCH`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from alcs_onnx.formats import BENCH, Format
from alcs_onnx.ort import Samples
from alcs_onnx.types import Machine, Shape, Timing

#: Percentiles that are always there.
PERCENTILES = (90.0, 95.0, 99.0)


@dataclass(frozen=True)
class BenchNode:
    """A node of the file that has a run of its own, with what was fused into it.

    `op` is its operator in the file and `ran_as` the one that the runtime made of it. `node` and
    `op` are empty for what the runtime added itself, such as reorders of the memory layout: one
    row for each such operator. `ms` is without what the profiler adds, as for
    `inspect latency`; `share` is of the median run that was timed with the profile, in [0, 1].
    """

    node: str
    op: str
    ran_as: str
    ms: float
    share: float


@dataclass(frozen=True)
class BenchRow:
    """The latency of one file, with the samples that the summary was made from.

    `speedup` is the first file's median over this one's and `throughput` inferences per second on
    average. `percentiles` are those of `PERCENTILES` and the wanted ones, named by their number.
    `nodes` are the slowest first, and empty where no profile was asked for.
    """

    model: str
    inputs: Mapping[str, Shape]
    timing: Timing
    minimum: float
    maximum: float
    percentiles: Mapping[str, float]
    throughput: float
    speedup: float
    samples: tuple[float, ...]
    nodes: tuple[BenchNode, ...] = ()

    @classmethod
    def from_samples(
        cls,
        model: str,
        inputs: Mapping[str, Shape],
        samples: Samples,
        reference_ms: float,
        percentiles: Sequence[float],
        nodes: tuple[BenchNode, ...] = (),
    ) -> BenchRow:
        """Summarise samples (ms) of a model beside one with the median `reference_ms`."""
        timing = Timing.from_samples(samples)
        wanted = sorted({*PERCENTILES, *percentiles})
        return cls(
            model=model,
            inputs=inputs,
            timing=timing,
            minimum=float(samples.min()),
            maximum=float(samples.max()),
            percentiles={f"{p:g}": float(np.percentile(samples, p)) for p in wanted},
            throughput=1e3 / timing.mean,
            speedup=reference_ms / timing.median,
            samples=tuple(samples.tolist()),
            nodes=nodes,
        )


@dataclass(frozen=True)
class BenchResult:
    """Files timed side by side, on a machine described before they were.

    `warmup` and `iterations` are the runs and `min_seconds` the time that were asked for;
    `warnings` are about noise.
    """

    format: ClassVar[Format] = BENCH

    machine: Machine
    rows: tuple[BenchRow, ...]
    warmup: int
    iterations: int
    min_seconds: float
    warnings: tuple[str, ...] = ()
