"""Speed of a network topology at given densities against dense ONNX Runtime, in one run.

    python tools/reproduce/topology_speed.py --topology resnet18 --density 0.25 --group-size 4

Every convolution but the first keeps a random share `--density` of its SIMD groups; the first
and depthwise ones stay dense. Dense and sparse sessions take turns, one thread each.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from measure import write_result
from topologies import TOPOLOGIES, export

from alcs_onnx import ort
from alcs_onnx.graph import load_model
from alcs_onnx.rewrite import random_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), default="resnet18")
    parser.add_argument("--density", type=float, nargs="+", default=[0.25])
    parser.add_argument("--group-size", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = export(args.topology, Path(folder) / "dense.onnx", args.seed)
        model = load_model(path)
    stem = model.conv_layers[0].name
    sessions = [ort.create_session(model.serialize(), library=False)]
    ratios = []
    for density in args.density:
        densities = {
            layer.name: 1.0 if layer.name == stem or layer.depthwise else density
            for layer in model.conv_layers
        }
        sparse = random_model(model, densities, args.group_size, args.seed).model
        sessions.append(ort.create_session(sparse.serialize()))
        kept = sum(layer.macs * (1 - densities[layer.name]) for layer in model.conv_layers)
        ratios.append(1 - kept / model.macs)
    feeds = [ort.random_feeds(session, args.seed) for session in sessions]
    samples = ort.time_interleaved(sessions, feeds, args.iterations, args.warmup)
    medians = [float(np.median(row)) for row in samples]
    figures = []
    print(f"{args.topology} dense ONNX Runtime: {medians[0]:.2f} ms")
    for density, ratio, median in zip(args.density, ratios, medians[1:], strict=True):
        speedup = medians[0] / median
        print(
            f"density {density:g}, MAC ratio {ratio:.3f}, groups of {args.group_size}: "
            f"{median:.2f} ms, {speedup:.2f}x"
        )
        figures.append(
            {"density": density, "mac_ratio": ratio, "median_ms": median, "speedup": speedup}
        )
    write_result(
        f"speed_{args.topology}_g{args.group_size}",
        vars(args),
        {"dense_median_ms": medians[0], "sparse": figures},
    )


if __name__ == "__main__":
    main()
