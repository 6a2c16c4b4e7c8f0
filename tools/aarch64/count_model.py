"""Instructions of a network on emulated arm64: dense ONNX Runtime against the sparse engine.

    python tools/aarch64/count_model.py --world DIR --topology resnet18 --library LIB \
        --density 1 0.5 0.25 0.1 --group-size 4 8

DIR is made by make_root.sh, LIB by the preset aarch64. As in tools/bench/models.py, the
first convolution and the depthwise ones stay dense, the others keep a random share of their groups.
`efficiency` is how far instructions fall for the multiply-accumulates that are left out: 1 where
they fall by the same factor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from emulation import HERE, Emulator

from alcs_onnx.graph import Model, conv_layers, load_model, model_macs, serialize
from alcs_onnx.rewrite import random_model


def load_topology(name: str, seed: int) -> Model:
    sys.path.insert(0, str(HERE.parent / "reproduce"))
    from topologies import export  # needs torch

    with tempfile.TemporaryDirectory() as folder:
        return load_model(export(name, Path(folder) / "model.onnx", seed))


def first_line(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--topology", choices=("resnet18", "resnet50", "mobilenet_v1"))
    what.add_argument("--model", type=Path)
    parser.add_argument("--density", type=float, nargs="+", default=[1, 0.5, 0.25, 0.1])
    parser.add_argument("--group-size", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = load_model(args.model) if args.model else load_topology(args.topology, args.seed)
    name = args.model.stem if args.model else args.topology
    stem = conv_layers(model)[0].name
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(args.world, Path(folder))
        dense = emulator.count(serialize(model))
        print(f"{name} dense: {dense.total / 1e6:.1f} M, FMA {dense.fma / dense.total:.3f}")
        rows = []
        for group_size in args.group_size:
            for density in args.density:
                densities = {
                    layer.name: 1.0 if layer.name == stem or layer.depthwise else density
                    for layer in conv_layers(model)
                }
                sparse = random_model(model, densities, group_size, args.seed).model
                ours = emulator.count(serialize(sparse), args.library)
                dropped = sum(i.macs * (1 - densities[i.name]) for i in conv_layers(model))
                mac_ratio = 1 - dropped / model_macs(model)
                ratio = dense.total / ours.total
                row = {
                    "group_size": group_size,
                    "density": density,
                    "mac_ratio": mac_ratio,
                    "instruction_ratio": ratio,
                    "efficiency": ratio * mac_ratio,
                    "fma_share": ours.fma / ours.total,
                    "counts": asdict(ours),
                }
                rows.append(row)
                print(
                    f"groups of {group_size}, density {density:g}, MAC ratio {mac_ratio:.3f}: "
                    f"{ours.total / 1e6:.1f} M, {ratio:.2f}x fewer, efficiency "
                    f"{ratio * mac_ratio:.3f}, FMA {ours.fma / ours.total:.3f}",
                    flush=True,
                )
    shown = [Path(a).name if Path(a).exists() else a for a in sys.argv[1:]]
    record = {
        "command": " ".join(["python", "tools/aarch64/count_model.py", *shown]),
        "compiler": first_line(["aarch64-linux-gnu-g++", "--version"]),
        "emulator": first_line(["qemu-aarch64", "--version"]),
        "processor": "cortex-a76, one thread",
        "dense": asdict(dense),
        "sparse": rows,
    }
    path = HERE / "results" / f"instructions_{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
