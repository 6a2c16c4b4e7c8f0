"""The ends of a run of `optimize`: what is told before it begins, and its result."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from math import inf, isfinite

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.files import write_atomically
from alcs_onnx.graph import save_model
from alcs_onnx.latency.attribution import attribute
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.pipeline.common.layers import with_times
from alcs_onnx.pipeline.common.training import TrainingRecord
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.measured import Measured
from alcs_onnx.pipeline.optimize.method import Decided, Plan, Pruning, Rewritten
from alcs_onnx.pipeline.optimize.methods import precision_of
from alcs_onnx.pipeline.optimize.plan_file import save_plan
from alcs_onnx.pipeline.optimize.result import OptimizeResult, Status
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.pipeline.optimize.search import Choice
from alcs_onnx.serialized import Serialized


def tell_range(run: Run, pruning: Pruning[Plan]) -> tuple[float, float]:
    """Say what the budget means and what can be reached (ms), before anything is decided."""
    budget = run.request.budget
    low, high = pruning.range_ms()
    dense = pruning.dense.median
    meaning = f"{budget.text} = {pruning.budget_ms:.3f} ms" if budget.relative else budget.text
    run.reporter.note(
        f"the dense model takes {dense:.3f} ms, the budget is {meaning}; "
        f"reachable by the estimate: {low:.3f} to {high:.3f} ms"
    )
    return low, high


def unchanged(
    run: Run, pruning: Pruning[Plan], reachable_ms: tuple[float, float]
) -> OptimizeResult:
    """The dense model is already within the budget: say so; the output is a copy of it."""
    request, dense, decided = run.request, pruning.dense.median, pruning.decided(None)
    told = "no file was written"
    if request.save_plan_to is not None:
        save_plan(pruning.saved(pruning.plan(inf)), request.save_plan_to)
        told = f"{request.save_plan_to} keeps everything"
    if request.output is not None:
        original = run.workload.original
        if isinstance(original, bytes):
            write_atomically(request.output, original)
        else:
            save_model(run.workload.model.as_loaded(), request.output)
        told = f"{request.output} is the dense model as it was given"
        if run.repaired is not None:
            told = (
                f"{request.output} differs from the file as it was given only in "
                f"{' and '.join(run.repaired.what)}"
            )
    already = "nothing to do" if run.repaired is None else "nothing more to do"
    return OptimizeResult(
        status="unchanged",
        message=(
            f"{already}: the dense model takes {dense:.3f} ms, the budget is "
            f"{pruning.budget_ms:.3f} ms; {told}"
        ),
        model=str(request.model),
        output=None if request.output is None else str(request.output),
        budget=request.budget.text,
        budget_ms=pruning.budget_ms,
        reachable_ms=reachable_ms,
        machine=pruning.machine,
        dense=pruning.dense,
        sparse=None,
        predicted_ms=dense,
        predicted_share=1.0,
        mac_ratio=1.0,
        layers=(),
        settings=_settings(run, decided),
        seconds=time.monotonic() - run.began,
        model_digest=run.workload.model.digest,
        curves=decided.curves,
        channel_curves=decided.channel_curves,
        repaired=run.repaired,
        behaviour=run.evidence.behaviour,
        verdict="nothing is lost: the dense model is what it was",
    )


@dataclass(frozen=True, eq=False)
class Final:
    """The model that was made, its file, and what that lost and measures."""

    rewritten: Rewritten
    written: Serialized
    fidelity: Fidelity
    measured: Measured


def summary(
    run: Run,
    choice: Choice[Plan],
    final: Final,
    record: TrainingRecord,
    reachable_ms: tuple[float, float],
) -> OptimizeResult:
    """The result of a run that made a model: what was decided, with what, and what it measures."""
    request, rewritten, measured = run.request, final.rewritten, final.measured
    decided = choice.pruning.decided(choice.plan)
    # The data's own metric is of the float model: what rounding did to it is not known.
    rounded = precision_of(request.way) != "float32"
    fidelity = final.fidelity if rounded else record.judged(final.fidelity)
    whole = choice.keeps_all and all(row.kept == row.channels for row in decided.channels)
    met, message = measured.verdict(keeps_all=whole)
    return OptimizeResult(
        status=_status(run, fidelity, met=met),
        message=message,
        model=str(request.model),
        output=None if request.output is None else str(request.output),
        budget=request.budget.text,
        budget_ms=measured.budget_ms,
        reachable_ms=reachable_ms,
        machine=run.workload.target.machine(request.measuring.threads),
        dense=measured.dense,
        sparse=measured.sparse,
        predicted_ms=choice.plan.predicted_ms,
        predicted_share=choice.predicted_fraction,
        mac_ratio=rewritten.mac_ratio,
        layers=with_times(rewritten.layers, _node_times(run.workload, final)),
        channels=decided.channels,
        accuracy=record.accuracy,
        check=rewritten.check.numbers,
        history=record.history,
        settings=_settings(run, decided),
        seconds=time.monotonic() - run.began,
        model_digest=run.workload.model.digest,
        curves=decided.curves,
        channel_curves=decided.channel_curves,
        repaired=run.repaired,
        behaviour=run.evidence.behaviour,
        fidelity=fidelity,
        verdict=fidelity.verdict(run.evidence.max_loss),
    )


def _status(run: Run, fidelity: Fidelity, *, met: bool) -> Status:
    if not met:
        return "missed"
    untrained = run.trainer is not None and not run.trains  # what training would win back
    if fidelity.exceeds(run.evidence.max_loss) and not untrained:
        return "lost"
    return "dry run" if run.request.output is None else "met"


def _settings(run: Run, decided: Decided) -> dict[str, object]:
    """What the run was told, the defaults of training included."""
    request = run.request
    told: dict[str, object] = {
        "method": request.way,
        "seed": request.seed,
        "measuring": asdict(request.measuring),
        **decided.settings,
        **({} if run.given is None else run.given.settings),
    }
    if run.trainer is None:
        return told
    training = run.trainer.training
    return {
        **told,
        "data": training.data,
        "preprocess": training.preprocess,
        "augment": training.augment,
        **run.trainer.config.as_dict(),
    }


def _node_times(workload: Workload, final: Final) -> dict[str, float]:
    """Time (ms) of each node by the name of its layer, also where the runtime fused it."""
    model = final.rewritten.model
    profile = workload.node_times([final.written])[0].profile
    own = {run.node: run.ms for run in attribute(model, profile) if run.node and run.ran_as}
    found = {name: ms for name, ms in dense_times(model, profile).items() if isfinite(ms)}
    return {**own, **found, **profile.nodes}
