"""Weights removed and refitted from pictures alone: `optimize --method simd --calibration`.

    python tools/reproduce/post_training.py --models DIR --photos DIR --cifar DIR --output DIR

`--models` has the files below, `--photos` pictures without labels, and `--cifar` has `train` and
`test`, a folder for each class. ResNet-20 is refitted on 1,024 pictures of `train`, whose labels
are not looked at, and all of `test` tell its accuracy; the others on half of the photos, and the
other half judges. Detectors are judged by the boxes that they find (`scores.py`). `--refit` takes
other ways than the default. Models are written to `--output`; the table is
results/post_training.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from least_loss import accuracy, figures
from measure import run_study

from alcs_onnx.api import optimize
from alcs_onnx.errors import AlcsError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize.methods import REFITS
from alcs_onnx.report.progress import progress

Figures = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A model, the budgets that it is to meet, and how it is fed and judged."""

    name: str
    budgets: tuple[str, ...]
    preprocess: str = "none"
    samples: int = 1000
    seeds: tuple[int, ...] = (0,)
    score: str | None = None
    cifar: bool = False
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


SUBJECTS = (
    Subject("resnet20_cifar", ("50%", "35%", "25%"), "imagenet", 2048, seeds=(0, 1, 2), cifar=True),
    Subject("mobilenetv2", ("80%", "70%", "60%"), "imagenet"),
    Subject("efficientnet-lite0", ("80%", "70%", "60%"), "tf"),
    Subject("yolox_common_det", ("70%",), "scale=1", 256, score="scores:yolox"),
    Subject("yunet_n_640", ("70%",), "scale=1", 256, score="scores:yunet"),
    Subject("superresolution", ("70%",), samples=256),
    Subject("ppocrv4_det", ("70%",), "imagenet", 256, shapes=(("x", (1, 3, 320, 320)),)),
)


def made(subject: Subject, args: argparse.Namespace) -> Figures:
    """What came of one model at all budgets and with all seeds."""
    pictures = args.cifar / "train" if subject.cifar else args.photos
    runs = [
        one(subject, budget, seed, pictures, args)
        for seed in subject.seeds
        for budget in args.budgets or subject.budgets
    ]
    return {"model": subject.name, "samples": subject.samples, "runs": runs}


def one(
    subject: Subject, budget: str, seed: int, pictures: Path, args: argparse.Namespace
) -> Figures:
    """One run, or why there is none."""
    source = args.models / f"{subject.name}.onnx"
    output = args.output / f"{subject.name}-{budget.rstrip('%')}-{seed}.onnx"
    try:
        with progress() as reporter:
            result = optimize(
                source,
                budget,
                output,
                method="simd",
                refit=args.refit,
                tables=args.output / "tables",
                inputs=InputSettings(shapes=dict(subject.shapes)),
                judging=Judging(
                    pictures=str(pictures),
                    preprocess=subject.preprocess,
                    samples=subject.samples,
                    score=subject.score,
                ),
                measuring=Measuring(threads=args.threads),
                seed=seed,
                reporter=reporter,
            )
    except AlcsError as error:
        return {"budget": budget, "seed": seed, "why": str(error)}
    found = {**figures(result, pictures), "seed": seed}
    if subject.cifar:
        dense, written = (accuracy(path, args.cifar) for path in (source, output))
        found["test_accuracy_percent"] = {"dense": dense, "written": written}
    print(subject.name, found["verdict"], found.get("test_accuracy_percent"), flush=True)
    return found


def markdown(rows: Sequence[Figures]) -> str:
    """The table of all runs."""
    lines = ["| model, budget | seed | of dense | left | time |", "|---|---|---|---|---|"]
    for row in rows:
        for run in row["runs"]:
            name = f"{row['model']}, {run['budget']}"
            if "why" in run:
                lines.append(f"| {name} | {run['seed']} | – | {run['why']} | – |")
                continue
            share = 100 * run["written_ms"] / run["dense_ms"]
            test = run.get("test_accuracy_percent")
            told = (
                f"; all test pictures {test['dense']:.2f} → {test['written']:.2f} %" if test else ""
            )
            left = f"{run['verdict']}{told}"
            seconds = f"{run['seconds']:.0f} s"
            lines.append(f"| {name} | {run['seed']} | {share:.1f} % | {left} | {seconds} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--budgets", nargs="+", help="others than those of the models")
    parser.add_argument("--refit", choices=REFITS, default=REFITS[0])
    parser.set_defaults(samples=None)
    run_study("post_training", parser, SUBJECTS, made, markdown)


if __name__ == "__main__":
    main()
