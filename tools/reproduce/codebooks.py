"""Weights that are levels of a codebook, from pictures alone: the nearest, and refitted ones.

    python tools/reproduce/codebooks.py --models DIR --photos DIR --cifar DIR --output DIR

`--photos` has pictures, and `--cifar` `train` with a folder for each class; half of `--samples` are
fitted on, without their labels, and the other half judge; ResNet-20 is judged by all of `test`. One
scale for each layer, or for each output channel with `--per-channel`. Depthwise and fully connected
layers and activations stay float32. The table is results/codebooks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from least_loss import accuracy
from measure import run_study

from alcs_onnx.api import compress
from alcs_onnx.codebooks import CODEBOOKS, get_codebook, quantize
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model, loadable, save_model
from alcs_onnx.pipeline.common.evidence import Judging, Subject, gather
from alcs_onnx.pipeline.common.workload import Measuring, Workload, open_workload
from alcs_onnx.pipeline.compress import CompressOptions
from alcs_onnx.report.progress import progress
from alcs_onnx.reporter import Reporter

Figures = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A model, how it reads pixels, and whether its pictures are those of CIFAR-10."""

    name: str
    preprocess: str = "imagenet"
    cifar: bool = False


NETWORKS = (Network("resnet20_cifar", cifar=True), Network("mobilenetv2"))


def levels_of(network: Network, args: argparse.Namespace) -> Figures:
    """What each codebook loses."""
    source = args.models / f"{network.name}.onnx"
    pictures = args.cifar / "train" if network.cifar else args.photos
    judging = Judging(pictures=str(pictures), preprocess=network.preprocess, samples=args.samples)
    rows = []
    with progress() as reporter:
        for name, nearest, model in _nearest(source, judging, args, reporter):
            output = args.output / f"{network.name}-{name}.onnx"
            save_model(model, args.output / "nearest.onnx")
            result = compress(
                source,
                output,
                options=CompressOptions(levels=name, per_channel=args.per_channel),
                judging=judging,
                measuring=Measuring(threads=args.threads, iterations=20),
                seed=args.seed,
                reporter=reporter,
            )
            [row] = result.rows
            assert row.fidelity is not None
            test = args.cifar if network.cifar else None
            rows.append(
                {
                    "levels": name,
                    "bytes": row.relative_bytes,
                    "nearest": _told(nearest, args.output / "nearest.onnx", test),
                    "refitted": _told(row.fidelity, output, test),
                    "seconds": result.seconds,
                }
            )
            print(network.name, rows[-1], flush=True)
    return {"model": network.name, "per_channel": args.per_channel, "rows": rows}


def _nearest(
    source: Path, judging: Judging, args: argparse.Namespace, reporter: Reporter
) -> Iterator[tuple[str, Fidelity, Model]]:
    """What is left with the nearest levels, by codebook from the most bits to the fewest."""
    workload = open_workload(
        source, simd_group=4, measuring=Measuring(), seed=args.seed, reporter=reporter
    )
    judge = gather(Subject.of(workload), judging, None, reporter).judge
    for name in args.levels:
        model = _quantized(workload, name, args.per_channel)
        yield name, judge.judge(loadable(model)), model


def _quantized(workload: Workload, name: str, per_channel: bool) -> Model:
    """The layers that `compress` quantizes, by their weights alone."""
    levels, arrays, model = get_codebook(name), {}, workload.model
    for layer in workload.prunable:
        weight = np.asarray(model.initializers[layer.weight], np.float32)
        arrays[layer.weight] = quantize(weight, levels, per_channel=per_channel).values()
    return model.with_initializers(arrays)


def _told(found: Fidelity, model: Path, test: Path | None) -> Figures:
    return {
        "test_percent": None if test is None else accuracy(model, test),
        "left_percent": 100 * (found.agreement or 0.0),
        "relative_error": found.relative_error,
    }


def _left(told: Figures) -> str:
    """Agreement with the dense model on what judges, and accuracy on test pictures."""
    test = told["test_percent"]
    return f"{told['left_percent']:.1f} %" + (f", test {test:.2f} %" if test is not None else "")


def markdown(rows: Sequence[Figures]) -> str:
    """A row for each codebook of each model."""
    lines = [
        "| model | levels | stored | left by the nearest | refitted | error of outputs | time |",
        "|---|---|---|---|---|---|---|",
    ]
    for network in rows:
        for row in network["rows"]:
            near, refitted = row["nearest"], row["refitted"]
            errors = " → ".join(f"{100 * x['relative_error']:.1f}" for x in (near, refitted))
            cells = (
                network["model"],
                row["levels"],
                f"{row['bytes'] / 1e3:.0f} KB",
                _left(near),
                _left(refitted),
                f"{errors} %",
                f"{row['seconds']:.0f} s",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--levels", nargs="+", choices=CODEBOOKS, default=[*CODEBOOKS][::-1])
    parser.add_argument("--per-channel", action="store_true")
    run_study("codebooks", parser, NETWORKS, levels_of, markdown)


if __name__ == "__main__":
    main()
