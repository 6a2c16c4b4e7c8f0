"""`bench`: time model files side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from alcs_onnx import ort
from alcs_onnx.errors import ModelError
from alcs_onnx.pipeline.results import BenchResult, BenchRow
from alcs_onnx.pipeline.scene import MIN_SECONDS, Measuring, runnable_bytes
from alcs_onnx.target import get_target
from alcs_onnx.types import Shape, Timing


def bench(
    models: Sequence[str | Path],
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    measuring: Measuring | None = None,
    seed: int = 0,
) -> BenchResult:
    """Time `models` in turns, each on reproducible random inputs of its own shapes.

    With one thread all run in this process; with more each has a process of its own. Raises
    `ModelError` for a file that is missing or that the runtime refuses.
    """
    how = measuring or Measuring()
    target = get_target(how.target)
    files = [_read(Path(path), input_shapes or {}) for path in models]
    feeds = [ort.random_feeds(ort.create_session(data), seed, input_shapes) for data in files]
    samples = target.time(
        files,
        threads=how.threads,
        iterations=how.iterations,
        warmup=how.warmup,
        min_seconds=MIN_SECONDS,
        feeds=feeds,
    )
    first = float(np.median(samples[0]))
    rows = tuple(
        BenchRow(
            str(path), Timing.from_samples(row), first / float(np.median(row)), tuple(row.tolist())
        )
        for path, row in zip(models, samples, strict=True)
    )
    return BenchResult(target.machine(how.threads), rows)


def _read(path: Path, input_shapes: Mapping[str, Shape]) -> bytes:
    try:
        return runnable_bytes(path, input_shapes)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
