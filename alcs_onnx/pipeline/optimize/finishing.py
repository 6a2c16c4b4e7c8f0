"""The end of every run of `optimize`: write, measure what was written, and sum up."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, save_model, serialize
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.pipeline.common.accuracy import runtime_accuracy
from alcs_onnx.pipeline.common.results import OptimizeResult
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.measured import HIGHEST, LOWEST, Measured
from alcs_onnx.pipeline.optimize.request import Outcome, Request
from alcs_onnx.types import Budget

#: Times that the final model is measured; odd, because the middle one counts.
_REPEATS = 3


def finish(request: Request, outcome: Outcome, began: float) -> OptimizeResult:
    """Write the outcome's model and report on it; `began` is in seconds of the monotonic clock.

    Raises `AlcsError`, writing nothing, when the model does not compute what it should.
    """
    if outcome.model is None:
        return _unchanged(request, outcome, began)
    workload, check, written = request.workload, outcome.check, outcome.model
    assert check is not None
    if not check.passed:
        raise AlcsError(
            f"{workload.path}: the rewritten model differs from the masked dense one by "
            f"{max(check.with_library, check.without_library):.1e} (relative); nothing was written"
        )
    if request.trained is None:
        request.note("no data: weights are removed but none is trained; expect a loss of accuracy")
    # Written before it is measured: whatever happens to the measurement, training is not lost.
    if request.output is not None:
        save_model(written, request.output)
    serialized = serialize(written)
    trained = request.trained
    if trained is not None and request.output is not None:
        final = runtime_accuracy(written, trained.data)
        if final is not None:
            trained.stages["final file in ONNX Runtime"] = 100 * final
    measured = _final_timing(workload, request.budget, serialized)
    status, message = _verdict(measured, outcome)
    return OptimizeResult(
        status="dry run" if request.output is None and status == "met" else status,
        message=message,
        model=str(workload.path),
        output=None if request.output is None else str(request.output),
        budget=request.budget.text,
        budget_ms=measured.budget_ms,
        reachable_ms=outcome.reachable_ms,
        machine=workload.target.machine(workload.measuring.threads),
        dense=measured.dense,
        sparse=measured.sparse,
        predicted_ms=outcome.predicted_ms,
        mac_ratio=outcome.mac_ratio,
        layers=outcome.layers(_node_times(workload, written, serialized)),
        channels=outcome.channels,
        accuracy=trained.accuracy() if trained else None,
        check=check,
        history=tuple(trained.history) if trained else (),
        settings=_settings(request, outcome),
        seconds=time.monotonic() - began,
        predicted_share=outcome.predicted_share,
        model_digest=workload.model.digest,
        curves=outcome.curves,
        channel_curves=outcome.channel_curves,
    )


def _settings(request: Request, outcome: Outcome) -> dict[str, object]:
    """What the run was told, the defaults of training included."""
    told: dict[str, object] = {
        "method": request.method,
        "seed": request.seed,
        "measuring": asdict(request.workload.measuring),
        **outcome.settings,
    }
    if request.trained is None:
        return told
    training = request.trained.training
    return {
        **told,
        "data": training.data,
        "preprocess": training.preprocess,
        "augment": training.augment,
        **request.trained.config.as_dict(),
    }


def _node_times(workload: Workload, model: Model, serialized: bytes) -> dict[str, float]:
    """Time (ms) of each node by the name of its layer, also where the runtime fused it."""
    profile = workload.target.node_times(
        [serialized],
        threads=workload.measuring.threads,
        iterations=workload.measuring.iterations,
        warmup=workload.measuring.warmup,
        feeds=workload.feeds,
    )[0].profile
    return {**dense_times(model, profile), **profile.nodes}


def _final_timing(workload: Workload, budget: Budget, serialized: bytes) -> Measured:
    """The measurement that is reported: of several, the one in the middle."""
    found = []
    for _ in range(_REPEATS):
        dense, sparse = workload.against_dense(serialized)
        found.append(Measured(dense, sparse, budget.resolve(dense.median)))
    return sorted(found, key=lambda item: item.share)[len(found) // 2]


def _verdict(measured: Measured, outcome: Outcome) -> tuple[Any, str]:
    told = (
        f"measured {measured.sparse.median:.3f} ms, {100 * measured.share:.1f} % of the budget "
        f"{measured.budget_ms:.3f} ms"
    )
    if measured.share > HIGHEST:
        return "missed", f"budget missed: {told}"
    if measured.share >= LOWEST:
        return "met", f"budget met: {told}"
    if outcome.keeps_all:
        return "met", f"budget met with every weight kept: {told}"
    return "met", f"budget met, with room left: {told}"


def _unchanged(request: Request, outcome: Outcome, began: float) -> OptimizeResult:
    """The dense model is already within the budget: say so and write nothing."""
    return OptimizeResult(
        status="unchanged",
        message=(
            f"nothing to do: the dense model takes {outcome.dense.median:.3f} ms, the budget is "
            f"{outcome.budget_ms:.3f} ms; no file was written"
        ),
        model=str(request.workload.path),
        output=None,
        budget=request.budget.text,
        budget_ms=outcome.budget_ms,
        reachable_ms=outcome.reachable_ms,
        machine=outcome.machine,
        dense=outcome.dense,
        sparse=None,
        predicted_ms=outcome.predicted_ms,
        mac_ratio=1.0,
        layers=(),
        settings=_settings(request, outcome),
        seconds=time.monotonic() - began,
        model_digest=request.workload.model.digest,
        curves=outcome.curves,
        channel_curves=outcome.channel_curves,
    )
