"""How a budget is shared out without data: each solver's split, by what the network loses.

    python tools/reproduce/splits.py --models DIR --photos DIR --cifar DIR --output DIR

SIMD groups are removed at 80, 70 and 60 % of the dense latency as if each layer's time fell with
its density, and nothing is refitted; pictures are only there to judge by. The table is
results/splits.md: agreement with the dense model where the outputs are classes, and the relative
error of the outputs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import run_study
from precision_auto import SUBJECTS, Subject

from alcs_onnx.errors import BudgetError
from alcs_onnx.graph import loadable
from alcs_onnx.pipeline.common.evidence import Judging, gather
from alcs_onnx.pipeline.common.evidence import Subject as Judged
from alcs_onnx.pipeline.common.pruned import masked_model
from alcs_onnx.pipeline.common.tables import proportional_table
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.reporter import SILENT
from alcs_onnx.solve import SOLVERS
from alcs_onnx.types import Budget

Figures = dict[str, Any]
BUDGETS = ("80%", "70%", "60%")


def split(subject: Subject, args: argparse.Namespace) -> Figures:
    """What one model loses by each solver at each budget."""
    workload = open_workload(
        args.models / f"{subject.name}.onnx",
        inputs=subject.inputs,
        simd_group=4,
        measuring=Measuring(threads=args.threads),
        seed=args.seed,
        reporter=SILENT,
    )
    pictures = args.cifar if subject.name == "resnet20_cifar" else args.photos
    judging = Judging(pictures=str(pictures), preprocess=subject.preprocess, samples=args.samples)
    judge = gather(Judged.of(workload), judging, None, SILENT).judge
    table = proportional_table(workload)
    rows = []
    for text in BUDGETS:
        for solver in SOLVERS:
            groups = GroupPruning(workload, table, Budget.parse(text), solver)
            row: Figures = {"budget": text, "solver": solver}
            try:
                plan = groups.plan(1.0)
            except BudgetError as error:
                rows.append({**row, "why": str(error)})
                continue
            lost = judge.judge(loadable(masked_model(workload.model, plan)), library=False)
            least = min(mask.mean() for mask in plan.keep.values())
            rows.append(
                {
                    **row,
                    "agreement_percent": None if lost.agreement is None else 100 * lost.agreement,
                    "relative_error": lost.relative_error,
                    "least_density": float(least),
                }
            )
    return {"model": subject.name, "rows": rows}


def markdown(rows: Sequence[Figures]) -> str:
    """A row for each model and budget, a column for each solver."""
    lines = [
        f"| model, budget | {' | '.join(SOLVERS)} |",
        f"|{'---|' * (1 + len(tuple(SOLVERS)))}",
    ]
    for row in rows:
        for budget in BUDGETS:
            cells = (_cell(x) for x in row["rows"] if x["budget"] == budget)
            lines.append(f"| {row['model']}, {budget} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(row: Figures) -> str:
    if "why" in row:
        return "–"
    agreement = row["agreement_percent"]
    agrees = "" if agreement is None else f"agrees {agreement:.1f} %, "
    return f"{agrees}error {row['relative_error']:.2f}, least density {row['least_density']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=200)
    run_study("splits", parser, SUBJECTS, split, markdown)


if __name__ == "__main__":
    main()
