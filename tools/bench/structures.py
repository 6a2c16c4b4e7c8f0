"""How fast each structure of sparsity runs: multiply-adds on kept weights per second.

    python tools/bench/structures.py -o tools/reproduce/results/structure_speed.json

A model of one convolution for each layer, structure and kept share, groups dropped at random, all
models of a layer run in turns through the library in ONNX Runtime. A figure of 1 means that a
layer takes the same share of the dense layer's time as it keeps of its weights.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rich.table import Table

from alcs_onnx.documents import write_json
from alcs_onnx.files import check_writable
from alcs_onnx.graph import Model, conv_layers, load_model, serialize
from alcs_onnx.report.console import out
from alcs_onnx.rewrite import random_model, rewrite
from alcs_onnx.structures import STRUCTURES
from alcs_onnx.target import get_target
from alcs_onnx.types import Machine

#: Layers of ResNet: kernel, channels, size of the image.
LAYERS = ((3, 64, 56), (3, 256, 14), (1, 256, 28))
SHARES = (0.5, 0.25, 0.1)


@dataclass(frozen=True)
class Row:
    """One layer, structure and share. `relative` is to the dense layer through the same op."""

    layer: str
    structure: str
    kept: float
    ms: float
    gmacs_per_second: float
    relative: float


@dataclass(frozen=True)
class Report:
    """All rows, and where and how they were measured."""

    command: str
    date: str
    machine: Machine
    iterations: int
    rows: tuple[Row, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", nargs="+", choices=sorted(STRUCTURES), default=None)
    parser.add_argument("--share", type=float, nargs="+", default=list(SHARES))
    parser.add_argument("--group-size", type=int, default=4, help="of the structure simd")
    parser.add_argument("--iterations", type=int, default=200, help="recorded runs per model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="write everything as JSON")
    args = parser.parse_args()
    if args.output is not None:
        check_writable(args.output)
    structures = args.structure or ["simd", "shape", "filter", "unstructured"]
    rows: list[Row] = []
    for kernel, channels, size in LAYERS:
        rows += measure(one_convolution(kernel, channels, size), structures, args)
    show(rows, structures, args.share)
    if args.output is not None:
        machine = get_target("local").machine(1)
        command = "python tools/bench/structures.py"
        report = Report(command, date.today().isoformat(), machine, args.iterations, tuple(rows))
        write_json(args.output, report)


def measure(model: Model, structures: list[str], args: argparse.Namespace) -> list[Row]:
    """All structures and shares of the only layer of `model`, in turns with the dense op."""
    [layer] = conv_layers(model)
    cases = [(name, share) for name in structures for share in args.share]
    made = [rewrite(model, simd_group=args.group_size)] + [
        random_model(model, {layer.name: share}, args.group_size, args.seed, structure=name)
        for name, share in cases
    ]
    samples = get_target("local").time(
        [serialize(result.model) for result in made],
        iterations=args.iterations,
        warmup=10,
    )
    times = [float(np.median(row)) for row in samples]
    speeds = [
        layer.macs * result.layers[0].density / ms / 1e6
        for result, ms in zip(made, times, strict=True)
    ]
    kernel, (_, channels, size, _) = layer.kernel_shape[0], layer.output_shape
    called = f"{kernel}x{kernel} {channels} at {size}x{size}"
    labels = [("dense", 1.0), *cases]
    return [
        Row(called, name, share, ms, speed, speed / speeds[0])
        for (name, share), ms, speed in zip(labels, times, speeds, strict=True)
    ]


def show(rows: list[Row], structures: list[str], shares: list[float]) -> None:
    """A line per layer and structure: speed on kept weights, relative to the dense layer."""
    table = Table("layer", "structure", *(f"{share:g}" for share in shares))
    for layer in dict.fromkeys(row.layer for row in rows):
        own = {(row.structure, row.kept): row for row in rows if row.layer == layer}
        dense = own["dense", 1.0]
        table.add_row(layer, "dense", f"{dense.gmacs_per_second:.0f} GMAC/s, {dense.ms:.3f} ms")
        for name in structures:
            cells = (f"{own[name, share].relative:.2f}" for share in shares)
            table.add_row("", name, *cells)
    out.print(table)


def one_convolution(kernel: int, channels: int, size: int) -> Model:
    """`channels` to as many, of a square image, with Relu; weights are random."""
    rng = np.random.default_rng(0)
    shape = (channels, channels, kernel, kernel)
    weights = {
        "w": rng.standard_normal(shape).astype(np.float32),
        "b": rng.standard_normal(channels).astype(np.float32),
    }
    image = [1, channels, size, size]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv", pads=[kernel // 2] * 4),
            helper.make_node("Relu", ["y"], ["z"], "relu"),
        ],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, image)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(model, path)
        return load_model(path)


if __name__ == "__main__":
    main()
