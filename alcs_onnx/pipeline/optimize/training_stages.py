"""ALCS Algorithm 2 from its second line on: ADMM, then masked retraining from the better start.

ADMM begins with the dense weights, as the paper has it: from refitted ones, whose gradients are
large, its plain descent diverges at rates that a dense network bears (ResNet-20 at a quarter of its
latency, 0.001). Retraining begins with what ADMM came to or with what was refitted before
any training, whichever is nearer to the dense network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alcs_onnx.data import training_pictures
from alcs_onnx.errors import DivergedError
from alcs_onnx.graph import loadable
from alcs_onnx.pipeline.common.judge import judge_samples
from alcs_onnx.pipeline.common.training import Network, TrainingRecord
from alcs_onnx.pipeline.optimize.checkpoint import FINETUNE
from alcs_onnx.pipeline.optimize.method import Projection
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.pipeline.optimize.search import Choice, choose_again, same_plan, start_over
from alcs_onnx.types import FloatArray


def train_stages(
    run: Run, choice: Choice[Any], network: Network, record: TrainingRecord
) -> tuple[Choice[Any], Network, TrainingRecord]:
    """`network`, what `choice` begins with, trained; the choice is another where ADMM moved it.

    Raises a child of `AlcsError` where training diverges.
    """
    trainer = run.trainer
    assert trainer is not None
    weights = None
    projection = choice.pruning.projection(choice.loop)
    if projection is not None and not choice.given and trainer.config.admm_epochs:
        try:
            choice, network, weights, record = _by_admm(run, projection, choice, network, record)
        except DivergedError as error:
            if not network.refitted:
                raise
            run.reporter.note(f"ADMM: {error}; fine-tuning starts from the refitted weights")
            choice = start_over(run, choice)
    elif network.refitted and not choice.keeps_all:
        run.reporter.note("training starts from refitted weights (--refit off: from those kept)")
    tuned = trainer.finetune(network, weights, run.request.budget.text)  # line 8
    record = record.evaluated("fine-tuned", trainer.evaluate(network.model, tuned.weights))
    # The errors of refitted layers were those of other weights.
    return choice, replace(network.trained(tuned), errors={}), record


def _by_admm(
    run: Run,
    projection: Projection[Any],
    choice: Choice[Any],
    network: Network,
    record: TrainingRecord,
) -> tuple[Choice[Any], Network, Mapping[str, FloatArray] | None, TrainingRecord]:
    """The better start, of ADMM's and `network`, and the weights where they are ADMM's."""
    trainer = run.trainer
    assert trainer is not None
    dense = choice.pruning.pruned(run, choice.plan) if network.refitted else network
    found = trainer.admm(dense, projection, run.request.budget.text)  # lines 2-6
    record = record.trained(found.history)
    record = record.evaluated("ADMM", trainer.evaluate(dense.model, found.weights))
    kept, moved = projection.plan(found.keep), dense.by_layer(found.weights)
    begun = run.checkpoint.begun(FINETUNE)  # in which the start was settled
    again = choose_again(run, choice, kept, moved)  # line 7: W = U
    projected = again.pruning.pruned(run, again.plan)
    if network.refitted and (
        (begun and same_plan(choice, again)) or _nearer(run, network, projected, found.weights)
    ):
        return start_over(run, choice), network, None, record
    return again, projected, found.weights, record


def _nearer(
    run: Run, refitted: Network, projected: Network, weights: Mapping[str, FloatArray]
) -> bool:
    """Whether the outputs of `refitted` part less from the dense ones than those ADMM came to.

    On training samples that nothing was refitted to, where these can be told apart.
    """
    workload, trainer = run.workload, run.trainer
    assert trainer is not None
    samples = training_pictures(trainer.data.train, workload.seed, others=True)
    judge = judge_samples(workload.original, workload.model, samples, "training samples")
    starts = (refitted, trainer.recalibrated(projected, weights))
    here, there = (judge.divergence(loadable(each.pruned)) for each in starts)
    nearer = not there <= here
    run.reporter.note(
        f"outputs on training samples part by {here:.3g} where weights were refitted, by "
        f"{there:.3g} after ADMM: fine-tuning starts from "
        + ("the refitted weights" if nearer else "ADMM's")
    )
    return nearer
