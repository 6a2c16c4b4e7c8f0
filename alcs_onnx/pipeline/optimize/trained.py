"""`--method auto` where there is data: what is trained beside what needs no training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.pipeline.optimize.auto import Compared, Made
from alcs_onnx.pipeline.optimize.begun import Begun
from alcs_onnx.pipeline.optimize.finish import finish
from alcs_onnx.pipeline.optimize.methods import GOOD_ENOUGH
from alcs_onnx.pipeline.optimize.result import OptimizeResult, TriedMethod
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.serialized import StoredModel


def finish_best(compared: Compared) -> OptimizeResult:
    """Write the candidate that loses least, after the training of the one that is to be trained.

    Raises as the training does where there is no other candidate.
    """
    if compared.unchanged is not None:
        return finish(compared.unchanged)
    if compared.trains is None:
        assert compared.best is not None
        return _written(compared, compared.best)
    return _finish_trained(compared, compared.trains)


def _written(compared: Compared, best: Made, *more: TriedMethod) -> OptimizeResult:
    """What needs no training is the best; `more` is what training came to.

    Where that measures above the budget when all is done, and a smaller plan that takes its place
    loses more than another method does, the other one is written.
    """
    within = (x for x in compared.made if x.measured.met and x is not best)
    result, ended = finish(best.begun), []
    for rival in sorted(within, key=lambda x: x.fidelity.loss):
        missed = result.status == "missed"
        if not missed and (not result.fidelity or result.fidelity.loss <= rival.fidelity.loss):
            break
        why = result.message if missed else "loses more"
        ended.append(_row(result, "missed" if missed else "met", why, result.fidelity))
        result, best = finish(rival.begun), rival
    ended.append(_row(result, "chosen", "", result.fidelity))
    final = {row.method: row for row in ended}
    rows = compared.rows(*more, chosen=best.method)
    return replace(result, tried=tuple(final.get(row.method, row) for row in rows))


def _finish_trained(compared: Compared, begun: Begun) -> OptimizeResult:
    run, method, best = begun.run, begun.method, compared.best
    if best is not None:
        run.reporter.note(
            f"{best.method} loses {best.fidelity.loss:.2g} %, more than {GOOD_ENOUGH:g} %: "
            f"{method} is trained, and what loses less is written"
        )
    try:
        result = finish(begun)
    except AlcsError as error:
        if best is None:
            raise
        run.reporter.note(f"{method}: {error}")
        return _written(compared, best, TriedMethod(method, "not tried", str(error)))
    if best is None:
        row = _row(result, "chosen", "trained", result.fidelity)
        return replace(result, tried=compared.rows(row, chosen=method))
    fidelity = _comparable(run, result)
    missed = result.status == "missed"
    if not missed and fidelity.loss <= best.fidelity.loss:
        row = _row(result, "chosen", "trained", fidelity)
        return replace(result, tried=compared.rows(row, chosen=method))
    why = result.message if missed else "trained, and loses more"
    run.reporter.note(f"{method}: {why}; {best.method} is written in its place")
    return _written(compared, best, _row(result, "missed" if missed else "met", why, fidelity))


def _comparable(run: Run, result: OptimizeResult) -> Fidelity:
    """What was lost as the judge says it of all: a metric of the data's own is known of one."""
    assert result.fidelity is not None
    assert result.output is not None
    if result.fidelity.measure != "metric":
        return result.fidelity
    return run.evidence.judge.judge(StoredModel(Path(result.output)))


def _row(result: OptimizeResult, outcome: str, why: str, fidelity: Fidelity | None) -> TriedMethod:
    """What the table says of a result."""
    assert result.sparse is not None
    return TriedMethod(
        str(result.settings["method"]),
        outcome,  # type: ignore[arg-type]
        why,
        result.sparse.median,
        result.sparse.median / result.budget_ms,
        fidelity,
        None if result.output is None else Path(result.output).stat().st_size,
    )
