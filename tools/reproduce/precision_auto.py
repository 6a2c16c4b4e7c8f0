"""`compile --precision auto` on trained models: never slower than float32 or full int8?

    python tools/reproduce/precision_auto.py --models DIR --photos DIR --output DIR

For each model of `--models` the file with all nodes in int8 that can be (`--precision int8`) and
the one that is decided by measuring (`auto`) are made with `--photos`, and measured in turns with
the file itself over several sessions of each. The table is results/precision_auto.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import run_study

from alcs_onnx.api import compile_model
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.report.progress import progress

Figures = dict[str, Any]
FORMS = ("int8", "auto")


@dataclass(frozen=True)
class Subject:
    """A model, how it reads pixels, and sizes that it leaves open."""

    name: str
    preprocess: str = "none"
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def inputs(self) -> InputSettings:
        return InputSettings(shapes=dict(self.shapes))


SUBJECTS = (
    Subject("resnet20_cifar", "imagenet"),
    Subject("mobilenetv2", "imagenet"),
    Subject("efficientnet-lite0", "tf"),
    Subject("efficientnet-lite0_legacy", "tf"),
    Subject("open-nsfw", "scale=1"),
    Subject("superresolution"),
    Subject("ppocrv4_det", "imagenet", (("x", (1, 3, 320, 320)),)),
    Subject("yolox_common_det", "scale=1"),
    Subject("yunet_n_640", "scale=1"),
    Subject("FastestDet"),
)


def measured(subject: Subject, args: argparse.Namespace) -> Figures:
    """Latencies of the three files, and what the two that were made lost."""
    source = args.models / f"{subject.name}.onnx"
    files = {form: args.output / f"{subject.name}.{form}.onnx" for form in FORMS}
    measuring = Measuring(threads=args.threads)
    figures: Figures = {}
    judging = Judging(
        pictures=str(args.photos), preprocess=subject.preprocess, samples=args.samples
    )
    with progress() as reporter:
        for form, file in files.items():
            made = compile_model(
                source, file, precision=form, inputs=subject.inputs, judging=judging,
                measuring=measuring, seed=args.seed, reporter=reporter,
            )  # fmt: skip
            figures[f"{form}_verdict"] = made.verdict.replace(str(args.photos), args.photos.name)
            if made.precision is not None:
                figures[f"{form}_written"] = made.precision.result.what
                figures[f"{form}_nodes"] = made.precision.result.int8_nodes
        workload = open_workload(
            source, inputs=subject.inputs, simd_group=4, measuring=measuring, seed=args.seed,
            reporter=reporter,
        )  # fmt: skip
    models = [workload.original, *(file.read_bytes() for file in files.values())]
    times = [timing.median for timing in workload.side_by_side(models)]
    return {"model": subject.name, **dict(zip(("float32", *FORMS), times, strict=True)), **figures}


def markdown(rows: Sequence[Figures]) -> str:
    """The table of all models."""
    lines = [
        "| model | float32 | int8 | auto | auto / better of both | auto is | left |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row["auto"] / min(row["float32"], row["int8"])
        times = " | ".join(f"{row[name]:.3f} ms" for name in ("float32", *FORMS))
        told = f"{row.get('auto_written', '–')} | {row['auto_verdict']}"
        lines.append(f"| {row['model']} | {times} | {ratio:.2f} | {told} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=200)
    run_study("precision_auto", parser, SUBJECTS, measured, markdown)


if __name__ == "__main__":
    main()
