"""`optimize`: a model and a latency budget in, a model within the budget out.

`optimize` is ALCS Algorithm 2 with measured latencies in place of estimates alone; what is
removed is the method's business (`METHODS`).
"""

from __future__ import annotations

from alcs_onnx.pipeline.optimize.auto import compare_methods
from alcs_onnx.pipeline.optimize.begun import begin, open_method
from alcs_onnx.pipeline.optimize.finish import finish
from alcs_onnx.pipeline.optimize.methods import AUTO
from alcs_onnx.pipeline.optimize.request import OptimizeRequest
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.pipeline.optimize.trained import finish_best
from alcs_onnx.reporter import SILENT, Reporter


def optimize(request: OptimizeRequest, reporter: Reporter = SILENT) -> OptimizeResult:
    """Make the model of `request` meet its budget, and write it.

    The problem is ALCS eq. 1, SP-LAMP eq. 4: the least loss whose latency is within the budget.
    This is ALCS Algorithm 2, whose lines `finish` names at the side. Wherever it projects onto the
    budget once and for all, the projection is closed over measurements here: plan, build, measure,
    correct, until what is planned measures within the budget.

    The result says whether the measured model is within [0.95, 1] x budget, and `status` "missed"
    when it is above. A budget above the dense latency changes nothing: the output is then a copy
    of the model. Raises `BudgetError` when the budget cannot be reached, before anything is
    trained, and another child of `AlcsError` for bad input; no file is written or changed then.
    """
    return optimize_run(open_run(request, reporter))


def optimize_run(run: Run) -> OptimizeResult:
    """The same for a run that is open. Raises as `optimize`."""
    if run.request.way == AUTO:
        return finish_best(compare_methods(run))
    return finish(begin(run, open_method(run)))
