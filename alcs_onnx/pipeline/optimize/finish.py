"""A method that was begun, to its end: ALCS Algorithm 2 from its second line on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import loadable, save_model
from alcs_onnx.pipeline.common.training import Network, TrainingRecord
from alcs_onnx.pipeline.optimize.begun import Begun, as_made, refitted
from alcs_onnx.pipeline.optimize.measured import measure_finally
from alcs_onnx.pipeline.optimize.method import Rewritten
from alcs_onnx.pipeline.optimize.methods import removes
from alcs_onnx.pipeline.optimize.outcome import Final, summary, unchanged
from alcs_onnx.pipeline.optimize.refitting import refits
from alcs_onnx.pipeline.optimize.request import OptimizeRequest
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.pipeline.optimize.search import Choice, choose_less, save_choice
from alcs_onnx.pipeline.optimize.training_stages import train_stages

#: Times that a plan is taken back which measures above the budget when all is done, where nothing
#: is trained.
_TAKEN_BACK = 2


def finish(begun: Begun, left: int = _TAKEN_BACK) -> OptimizeResult:
    """Train what is left where there is data, write it and measure it: lines 2 to 8.

    What was accepted by one measurement may be above the budget by another. Where nothing was
    trained a smaller plan takes its place then, `left` times at the most.
    """
    run, choice = begun.run, begun.choice
    request, reporter = run.request, run.reporter
    if choice is None:
        return unchanged(run, begun.pruning, begun.reachable_ms)

    removing = removes(begun.method)
    trains = run.trains and removing
    made = begun.one_shot
    choice, network = _begun_with(begun, trains)
    record = TrainingRecord()
    if run.trainer is not None:
        record = record.evaluated("dense", run.trainer.evaluate(run.workload.model))
    if run.trainer is not None and removing:
        record = record.evaluated("one-shot", run.trainer.evaluate(network.pruned))
    if trains:
        choice, network, record = train_stages(run, choice, network, record)
        made = None

    record = replace(record, history=(*record.history, *network.history))
    rewritten = made.rewritten if made else choice.pruning.rewrite(run, network, choice.plan)
    _require_equal(request, rewritten)
    save_choice(run, choice)
    removed = removing and not choice.keeps_all
    if run.trainer is None and removed and request.output is not None and not refits(run):
        reporter.note("no data: weights are removed but none is trained; expect a loss of accuracy")
    # Written before it is measured: whatever happens to the measurement, training is not lost.
    if request.output is not None:
        save_model(rewritten.model, request.output, reporter)
    written = loadable(rewritten.model)
    fidelity = made.fidelity if made else run.evidence.judge.judge(written)
    if request.output is not None and run.trainer is not None:
        model, data = rewritten.model, run.trainer.data
        record = record.deployed(run.evidence.test_accuracy(model, data, fidelity))
    measured = measure_finally(run.workload, written, request.budget)
    if left and not measured.met and not trains:
        less = choose_less(run, choice, measured)
        if less is not None:
            return finish(replace(begun, choice=less, one_shot=None), left - 1)
    final = Final(rewritten, written, fidelity, measured)
    return summary(run, choice, final, record, begun.reachable_ms)


def _begun_with(begun: Begun, trains: bool) -> tuple[Choice[Any], Network]:
    """The choice and its network: as compared before, to be trained, or as they are made."""
    run, choice = begun.run, begun.choice
    assert choice is not None
    if begun.one_shot is not None:
        return choice, begun.one_shot.network
    return refitted(run, choice) if trains else as_made(run, choice)


def _require_equal(request: OptimizeRequest, rewritten: Rewritten) -> None:
    """Raise `AlcsError` when the model does not compute what it should."""
    check = rewritten.check
    if not check.passed:
        raise AlcsError(
            f"{request.model}: the rewritten model differs from the original with the same weights "
            f"removed by {check.difference}; nothing was written"
        )
