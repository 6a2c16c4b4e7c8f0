"""What each step of refitting from pictures alone brings: an ablation on ResNet-20.

    python tools/reproduce/post_training_steps.py --models DIR --cifar DIR --output DIR

`--cifar` has `train` and `test`, a folder for each class: half of `--samples` pictures of `train`
are fitted on, whose labels are not looked at, and all of `test` tell the accuracy. Budgets are
shares of the dense latency as if each layer's time fell with its density, so that the table, which
is results/post_training_steps.md, is the same on every machine but for rounding.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from least_loss import accuracy
from measure import run_study

from alcs_onnx.graph import Model, save_model
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.pruned import masked_model
from alcs_onnx.pipeline.common.tables import proportional_table
from alcs_onnx.pipeline.common.training import Training, trainer_of
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize import OptimizeRequest
from alcs_onnx.pipeline.optimize.closing import closed
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.posttraining import largest, refit_in_order
from alcs_onnx.report.progress import progress
from alcs_onnx.reporter import Reporter
from alcs_onnx.types import Budget, PruningPlan

Figures = dict[str, Any]
BUDGETS = ("50%", "35%", "25%")


@dataclass(frozen=True)
class Subject:
    """A model, by its name."""

    name: str


def steps(subject: Subject, args: argparse.Namespace) -> Figures:
    """Accuracies after each step at each budget."""
    rows = []
    source = args.models / f"{subject.name}.onnx"
    with progress() as reporter:
        for budget in BUDGETS:
            found: Figures = {}
            for step, model in _steps(source, budget, args, reporter):
                path = args.output / "step.onnx"
                save_model(model, path, reporter)
                found[step] = accuracy(path, args.cifar)
                print(budget, step, found[step], flush=True)
            rows.append({"budget": budget, "accuracy_percent": found})
    return {"model": subject.name, "dense": accuracy(source, args.cifar), "rows": rows}


def _steps(
    source: Path, budget: str, args: argparse.Namespace, reporter: Reporter
) -> Iterator[tuple[str, Model]]:
    """The model after each step, in words."""
    run, groups = _opened("off", source, budget, args, reporter)
    plan = groups.plan(1.0)
    yield "weight energy shares out, largest weights stay", masked_model(run.workload.model, plan)
    for by, told in (("error", "errors of layers share out"), ("loss", "the network's loss does")):
        run, groups = _opened(by, source, budget, args, reporter)
        plan = groups.plan(1.0)
        largest = _largest(groups, plan)
        yield f"{told}, largest weights stay", masked_model(run.workload.model, largest)
        yield "– the same, channel moments matched", _matched(run, groups, largest, args)
        yield (
            "– layer-wise ADMM on the dense network's inputs",
            _alone(groups, plan, run.request.seed),
        )
        network = groups.refitted(run, plan)[1]
        yield "– layers in order", network.pruned
        yield "– closing", closed(run, network).pruned


def _opened(
    refit: str, source: Path, budget: str, args: argparse.Namespace, reporter: Reporter
) -> tuple[Run, GroupPruning]:
    request = OptimizeRequest(
        model=source,
        budget=Budget.parse(budget),
        method="simd",
        refit=refit,
        tables=args.output / "tables",
        judging=Judging(
            pictures=str(args.cifar / "train"), preprocess="imagenet", samples=args.samples
        ),
        measuring=Measuring(threads=args.threads),
        seed=args.seed,
    )
    run = open_run(request, reporter)
    table = proportional_table(run.workload)
    macs = {layer.name: layer.macs / 1e6 for layer in run.workload.prunable}
    curves = tuple(
        replace(x, times=(0.0, macs[x.layer]), dense_time=macs[x.layer]) for x in table.curves
    )
    dense = replace(table.dense, median=sum(macs.values()))
    table = replace(table, curves=curves, tau=0.0, dense=dense)
    return run, GroupPruning.by_table(run, run.workload, table).refitting_for(run)


def _largest(groups: GroupPruning, plan: PruningPlan) -> PruningPlan:
    """As many groups of each layer as in `plan`, those of the largest norm."""
    keep = {}
    for name, norms in groups.norms().items():
        count = int(plan.keep[name].sum())
        mask = np.zeros(norms.size, dtype=bool)
        mask[np.argsort(-norms.reshape(-1), kind="stable")[:count]] = True
        keep[name] = mask.reshape(norms.shape)
    return replace(plan, keep=keep)


def _matched(run: Run, groups: GroupPruning, plan: PruningPlan, args: argparse.Namespace) -> Model:
    """The masked model with the channel moments of the dense one."""
    data = Training(data=str(args.cifar / "train"), preprocess="imagenet")
    trainer = trainer_of(run.workload, data, run.reporter)
    return trainer.repair(run.workload.model, groups.weight_masks(plan))


def _alone(groups: GroupPruning, plan: PruningPlan, seed: int) -> Model:
    """Each layer refitted as if no other had lost anything."""
    refitting, layers = groups.refitting, groups.layers
    assert refitting is not None
    supports = {
        name: largest(refitting.structure, layers[name], int(mask.sum()))
        for name, mask in plan.keep.items()
        if not mask.all()
    }
    shown = refitting.shown
    found = refit_in_order(shown.model, supports, shown.fed, alone=True, seed=seed)
    return groups.workload.model.with_initializers(found.arrays)


def markdown(rows: Sequence[Figures]) -> str:
    """A row for each step, a column for each budget."""
    lines = []
    for row in rows:
        lines += [f"| {row['model']} | {' | '.join(x['budget'] for x in row['rows'])} |"]
        lines += [f"|---|{'---|' * len(row['rows'])}"]
        for step in row["rows"][0]["accuracy_percent"]:
            cells = " | ".join(f"{x['accuracy_percent'][step]:.2f}" for x in row["rows"])
            lines.append(f"| {step} | {cells} |")
        lines.append(f"| dense | {' | '.join([format(row['dense'], '.2f')] * len(row['rows']))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=2048)
    run_study("post_training_steps", parser, (Subject("resnet20_cifar"),), steps, markdown)


if __name__ == "__main__":
    main()
