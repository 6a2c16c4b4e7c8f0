"""Sum up the runs of resnet20_structures.sh: one table, timed together, and the curves of rho.

    python tools/reproduce/resnet20_structures.py MODEL.onnx IMAGES RUN -o out.json --plot rho.png

IMAGES may hold more test images than the runs were trained beside: accuracies are of all of them,
by the written files in ONNX Runtime. Latencies are measured again, all files in turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from alcs_onnx.data import DataOptions, Preprocess, load_data
from alcs_onnx.documents import write_json
from alcs_onnx.graph import load_model
from alcs_onnx.pipeline.bench import BenchRequest, bench
from alcs_onnx.pipeline.common.accuracy import runtime_accuracy
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.report.plots import plot_history

#: The runs in the order of the table, and those whose curves are drawn: rho as chosen, and given.
RUNS = ("simd", "shape", "unstructured", "filter", "admm-only", "finetune-only")
CURVES = {"simd": "automatic", "rho-0.001": "0.001", "rho-0.01": "0.01", "rho-0.05": "0.05"}
_RECORD = ("stage", "epoch", "loss", "relative_residual", "metric", "rho")


def summary(run: Path, name: str) -> dict[str, Any]:
    """What one run was told and found."""
    content = json.loads((run / f"{name}.json").read_text())
    settings = content["settings"]
    return {
        "run": name,
        "method": settings["method"],
        "admm_epochs": settings["admm_epochs"],
        "finetune_epochs": settings["finetune_epochs"],
        "rho": settings["rho"],
        "seed": settings["seed"],
        "mac_ratio": content["mac_ratio"],
        "share_of_budget": content["sparse"]["median"] / content["budget_ms"],
        "stages": content["accuracy"]["stages"],
        "curve": [{key: row[key] for key in _RECORD} for row in content["history"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images")
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--plot", type=Path, required=True)
    parser.add_argument("--train-images", type=int, help="of the runs, where IMAGES has others")
    args = parser.parse_args()
    names = [name for name in (*RUNS, *CURVES) if (args.run / f"{name}.json").exists()]
    names = list(dict.fromkeys(names))
    files = [args.run / f"{name}.onnx" for name in names]
    dense = load_model(args.model)
    options = DataOptions(preprocess=Preprocess.parse("imagenet"))
    data = load_data(args.images, dense, options)
    if data.test is None:
        parser.error(f"{args.images} holds no test images")
    request = BenchRequest(models=(args.model, *files), measuring=Measuring(iterations=300))
    timed = bench(request)
    medians = [row.timing.median for row in timed.rows]
    rows = [
        summary(args.run, name)
        | {
            "accuracy": runtime_accuracy(load_model(file), data),
            "ms": median,
            "share_of_dense": median / medians[0],
        }
        for name, file, median in zip(names, files, medians[1:], strict=True)
    ]
    result = {
        "command": "tools/reproduce/resnet20_structures.sh, then resnet20_structures.py",
        "machine": timed.machine,
        "dense_ms": medians[0],
        "dense_accuracy": runtime_accuracy(dense, data),
        "test_images": sum(b.size for b in data.test.batches(256, training=False)),
        "train_images": args.train_images or data.train.batch_count(1, training=True),
        "runs": rows,
    }
    write_json(args.output, result)
    plot_history(
        {f"rho {CURVES[row['run']]}": row["curve"] for row in rows if row["run"] in CURVES},
        args.plot,
    )
    for row in rows:
        print(
            f"{row['run']:14} {100 * row['accuracy']:6.2f} %  {row['ms']:.3f} ms "
            f"({100 * row['share_of_dense']:.1f} % of dense)  MACs {100 * row['mac_ratio']:.1f} %"
        )


if __name__ == "__main__":
    main()
