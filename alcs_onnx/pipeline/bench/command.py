"""`bench`: time model files side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alcs_onnx import ort
from alcs_onnx.graph import read_file
from alcs_onnx.latency import break_down
from alcs_onnx.pipeline.bench.request import BenchRequest
from alcs_onnx.pipeline.bench.result import BenchNode, BenchResult, BenchRow
from alcs_onnx.pipeline.common.noise import noise_warnings
from alcs_onnx.pipeline.common.runnable import check_names, open_runnable
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.target import Target, get_target

#: Runs of each model that a profile is made of, at most: the runtime's profiler stops recording
#: after a million nodes.
_PROFILED_RUNS = 100


def bench(request: BenchRequest, reporter: Reporter = SILENT) -> BenchResult:
    """Time the models of `request` in turns.

    With one thread all run in this process; with more each has a process of its own. Raises
    `ModelError` for a file that is missing or that the runtime refuses, and for sizes and values of
    inputs that no model has.
    """
    how = request.measuring
    target = get_target(how.target)
    machine = target.machine(how.threads)  # its load is told before this command adds to it
    files = [open_runnable(path) for path in request.models]
    check_names([file.session for file in files], request.inputs, "no model has")
    feeds = [file.make_feeds(request.seed, request.inputs, reporter) for file in files]
    contents = [file.data for file in files]
    del files  # and the sessions with it
    samples = target.time(
        contents,
        threads=how.threads,
        iterations=how.iterations,
        warmup=how.warmup,
        min_seconds=request.min_seconds,
        feeds=feeds,
        reporter=reporter,
    )
    reference = float(np.median(samples[0]))
    rows = tuple(
        BenchRow.from_samples(
            str(path),
            {name: array.shape for name, array in inputs.items()},
            row,
            reference,
            request.percentiles,
            _profile(target, path, file, inputs, how) if request.profile else (),
        )
        for path, file, inputs, row in zip(request.models, contents, feeds, samples, strict=True)
    )
    return BenchResult(
        machine=machine,
        rows=rows,
        warmup=how.warmup,
        iterations=how.iterations,
        min_seconds=request.min_seconds,
        warnings=noise_warnings(machine, [row.timing for row in rows]),
    )


def _profile(
    target: Target, path: Path, file: Serialized, feeds: ort.Feeds, how: Measuring
) -> tuple[BenchNode, ...]:
    """The nodes of one model that ran, the slowest first."""
    [times] = target.node_times(
        [file],
        threads=how.threads,
        iterations=min(how.iterations, _PROFILED_RUNS),
        warmup=how.warmup,
        feeds=feeds,
    )
    model = read_file(path, {name: array.shape for name, array in feeds.items()}).model
    operators = {node.name: node.op_type for node in model.nodes}
    found = break_down(model, times)
    return tuple(
        BenchNode(run.node, operators.get(run.node, ""), run.ran_as, run.ms, found.share(run.ms))
        for run in sorted(found.nodes, key=lambda run: -run.ms)
        if run.ran_as
    )
