"""The least loss at a budget: `optimize --method auto` on trained models, with pictures.

    python tools/reproduce/least_loss.py --models DIR --photos DIR --cifar DIR --output DIR

`--models` has the files below, `--photos` pictures without labels, and `--cifar` has `train` and
`test`, a folder for each class: ResNet-20 is made with pictures of `train`, and all of `test` tell
its accuracy. Half of the pictures judge. Detectors are judged by the boxes that they find
(`scores.py`). `auto` takes the least loss of the methods that it makes; with `--alone` each that it
passed over by an estimate, or for want of time, is run at the same budget by itself, to see that
none of them loses less. Models are written to `--output`; the table is results/least_loss.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from int8 import cifar
from measure import run_study

from alcs_onnx import ort
from alcs_onnx.api import optimize
from alcs_onnx.documents import plain
from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize import ChannelOptions, OptimizeResult
from alcs_onnx.pipeline.optimize.methods import CANDIDATES
from alcs_onnx.pipeline.optimize.result import TriedMethod
from alcs_onnx.report.progress import progress

Figures = dict[str, Any]
#: Contributions of channels as `auto` finds them, which is quick.
_AS_AUTO = ChannelOptions(contributions="predicted")


@dataclass(frozen=True)
class Subject:
    """A model, the budget that it is to meet, how it reads pixels, and a score of its outputs."""

    name: str
    budget: str
    preprocess: str = "none"
    score: str | None = None
    cifar: bool = False
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


SUBJECTS = (
    Subject("resnet20_cifar", "56%", "imagenet", cifar=True),
    Subject("mobilenetv2", "60%", "imagenet"),
    Subject("efficientnet-lite0", "58%", "tf"),
    Subject("efficientnet-lite0_legacy", "60%", "tf"),
    Subject("open-nsfw", "50%", "scale=1"),
    Subject("ppocrv4_det", "70%", "imagenet", shapes=(("x", (1, 3, 320, 320)),)),
    Subject("yolox_common_det", "50%", "scale=1", "scores:yolox"),
    Subject("superresolution", "63%"),
    Subject("yunet_n_640", "85%", "scale=1", "scores:yunet"),
    Subject("FastestDet", "85%", score="scores:fastestdet"),
)


def made(subject: Subject, args: argparse.Namespace) -> Figures:
    """What came of one model: its result, or why there is none."""
    pictures = args.cifar / "train" if subject.cifar else args.photos
    output = args.output / f"{subject.name}.onnx"
    try:
        result = run(subject, args, pictures, output)
    except BudgetError as error:
        found: Figures = {"model": subject.name, "budget": subject.budget, "why": str(error)}
    else:
        found = {"model": subject.name, **figures(result, pictures)}
        if subject.cifar:
            dense, written = (accuracy(p, args.cifar) for p in (Path(result.model), output))
            found["test_accuracy_percent"] = {"dense": dense, "written": written}
    if args.alone:
        left = [x for x in CANDIDATES if x not in _made(found)]
        found["alone"] = [by_itself(method, subject, args, pictures) for method in left]
    return found


def _made(found: Figures) -> set[str]:
    """The methods that `auto` made, or found to not reach the budget."""
    rows = found.get("tried", ())
    return {row["method"] for row in rows if row["outcome"] != "not tried"}


def run(
    subject: Subject, args: argparse.Namespace, pictures: Path, output: Path | None, **more: Any
) -> OptimizeResult:
    """`optimize` the model of `subject` with `pictures`."""
    with progress() as reporter:
        return optimize(
            args.models / f"{subject.name}.onnx",
            subject.budget,
            output,
            inputs=InputSettings(shapes=dict(subject.shapes)),
            judging=Judging(
                pictures=str(pictures),
                preprocess=subject.preprocess,
                samples=args.samples,
                score=subject.score,
            ),
            measuring=Measuring(threads=args.threads),
            search_minutes=args.search_minutes,
            seed=args.seed,
            # What one method measures serves the next.
            tables=args.output / "tables",
            reporter=reporter,
            **more,
        )


def by_itself(method: str, subject: Subject, args: argparse.Namespace, pictures: Path) -> Figures:
    """What one method loses at the budget of `subject`, or why it does not reach it."""
    try:
        output = args.output / f"{method}.onnx"
        result = run(subject, args, pictures, output, method=method, channels=_AS_AUTO)
    except AlcsError as error:
        return {"method": method, "why": str(error)}
    assert result.fidelity is not None
    assert result.sparse is not None
    return {
        "method": method,
        "loss_percent": result.fidelity.loss,
        "fraction": result.sparse.median / result.dense.median,
        "seconds": result.seconds,
    }


def figures(result: OptimizeResult, pictures: Path) -> Figures:
    """What is kept of a result on `pictures`: neither layers nor curves, nor where they lie."""
    fidelity = result.fidelity
    source = "" if fidelity is None else fidelity.source.replace(str(pictures), pictures.name)
    return {
        "budget": result.budget,
        "status": result.status,
        "method": result.settings["method"],
        "dense_ms": result.dense.median,
        "written_ms": None if result.sparse is None else result.sparse.median,
        "verdict": result.verdict.replace(str(pictures), pictures.name),
        "fidelity": None if fidelity is None else plain(replace(fidelity, source=source)),
        "tried": [tried(row) for row in result.tried],
        "seconds": result.seconds,
    }


def tried(row: TriedMethod) -> Figures:
    """One of the methods that were compared."""
    loss = None if row.fidelity is None else row.fidelity.loss
    return {**plain(replace(row, fidelity=None)), "loss_percent": loss}


def accuracy(model: Path, folder: Path) -> float:
    """Percent of all test pictures of CIFAR-10 that `model` gives their class."""
    images, labels = cifar(folder, "test")
    mean, std = (np.array(x, np.float32) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    session = ort.create_session(model, threads=os.cpu_count() or 1)
    name, right = session.inputs[0].name, 0
    for start in range(0, len(images), 100):
        x = images[start : start + 100].transpose(0, 2, 3, 1).astype(np.float32) / 255
        feeds = {name: np.ascontiguousarray(((x - mean) / std).transpose(0, 3, 1, 2))}
        right += int((session.run(feeds)[0].argmax(1) == labels[start : start + 100]).sum())
    return 100 * right / len(images)


def markdown(rows: Sequence[Figures]) -> str:
    """The table of all models."""
    lines = [
        "| model | budget | method | dense → written | of dense | left | tried, loss % "
        "| alone, loss % | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(row))} |" for row in rows)]) + "\n"


def _cells(row: Figures) -> Iterator[str]:
    yield from (row["model"], row["budget"])
    if "why" in row:
        yield from ("–", "–", "–", row["why"], "–", _losses(row.get("alone", ())), "–")
        return
    dense, written = row["dense_ms"], row["written_ms"]
    yield row["method"]
    yield f"{dense:.3f} → {written:.3f} ms" if written else f"{dense:.3f} ms"
    yield f"{100 * written / dense:.1f} %" if written else "–"
    yield row["verdict"] + _on_test(row)
    yield _losses(row["tried"])
    yield _losses(row.get("alone", ()))
    yield f"{row['seconds']:.0f} s"


def _losses(rows: Sequence[Figures]) -> str:
    """What each of several methods lost; a dash for those without a result."""
    told = []
    for row in rows:
        loss = row.get("loss_percent")
        told.append(f"{row['method']} {'–' if loss is None else format(loss, '.2f')}")
    return ", ".join(told) or "–"


def _on_test(row: Figures) -> str:
    test = row.get("test_accuracy_percent")
    return f"; all test pictures {test['dense']:.2f} → {test['written']:.2f} %" if test else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--alone", action="store_true", help="what auto passed over, by itself")
    parser.add_argument(
        "--search-minutes", type=float, default=5.0, help="how long methods are tried"
    )
    run_study("least_loss", parser, SUBJECTS, made, markdown)


if __name__ == "__main__":
    main()
