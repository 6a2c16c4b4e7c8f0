"""Estimated against measured latency of random sparse models (figure 6 of the ALCS paper).

    python tools/reproduce/estimate_error.py --topology resnet18 --models 30

Profiles the network at 11 densities, then builds models whose layers have densities drawn
uniformly from [0.05, 1], times each, and compares with the piece-wise linear estimate (eq.
2-6). The dense model runs in turns with every one of them; both sides are corrected by its
drift since the profile, and by nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from measure import RESULTS, write_result
from topologies import TOPOLOGIES, export

from alcs_onnx.latency import Estimator, kept_groups
from alcs_onnx.pipeline.common.tables import measure_table
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.reporter import SILENT

mpl.use("Agg")
from matplotlib import pyplot as plt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), default="resnet18")
    parser.add_argument("--models", type=int, default=30)
    parser.add_argument("--group-size", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workload = open_workload(
            export(args.topology, Path(folder) / "dense.onnx", args.seed),
            simd_group=args.group_size,
            measuring=Measuring(iterations=args.iterations, warmup=5),
            seed=args.seed,
            reporter=SILENT,
        )
    table = measure_table(workload, SILENT)
    estimator = Estimator.from_table(table)
    groups = {name: layer.groups for name, layer in estimator.layers.items()}
    prunable = {layer.name for layer in workload.prunable}
    groups = {name: count for name, count in groups.items() if name in prunable}
    rng = np.random.default_rng(args.seed + 1)
    rows = []
    for index in range(args.models):
        # Half of the models spread around a common density, so that the whole range of
        # latencies is covered and not only its middle.
        centre = rng.uniform(0.05, 1.0)
        spread = rng.uniform(0.05, 1.0, len(groups))
        mixed = np.clip(centre + 0.5 * (spread - 0.5), 0.02, 1) if index % 2 else spread
        densities = dict(zip(groups, mixed.tolist(), strict=True))
        dense, sparse = workload.against_dense(workload.random_sparse(densities, args.seed + index))
        stored = {name: kept_groups(d, groups[name]) for name, d in densities.items()}
        drift = dense.median / table.dense.median
        estimated = estimator.model_ms(stored) * drift
        error = estimated / sparse.median - 1
        rows.append({"estimated_ms": estimated, "measured_ms": sparse.median, "drift": drift})
        print(f"{index + 1:3d}  {sparse.median:7.3f} ms  estimated {estimated:7.3f}  {error:+.1%}")
    measured = np.array([row["measured_ms"] for row in rows])
    estimates = np.array([row["estimated_ms"] for row in rows])
    errors = np.abs(estimates / measured - 1)
    summary = {
        "mean_error": float(errors.mean()),
        "largest_error": float(errors.max()),
        "share_within_10_percent": float((errors <= 0.1).mean()),
    }
    print(summary)
    name = f"estimate_{args.topology}_g{args.group_size}"
    figure, axes = plt.subplots(figsize=(4.5, 4.2))
    limit = 1.05 * max(measured.max(), estimates.max())
    axes.plot([0, limit], [0, limit], color="0.6", linewidth=1)
    axes.scatter(measured, estimates, s=18)
    axes.set(
        xlabel="measured latency (ms)",
        ylabel="estimated latency (ms)",
        xlim=(0, limit),
        ylim=(0, limit),
        title=f"{args.topology}: {args.models} random sparse models, "
        f"mean error {100 * errors.mean():.1f} %",
    )
    axes.title.set_fontsize(9)
    figure.tight_layout()
    write_result(name, vars(args), {**summary, "models": rows})
    figure.savefig(RESULTS / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
