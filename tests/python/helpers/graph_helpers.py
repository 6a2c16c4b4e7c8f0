"""Small ONNX models for tests, loading them, and running them in plain ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx.graph import Model, Node, load_model

Array = npt.NDArray[Any]
GOLDEN = Path(__file__).parents[2] / "golden" / "sparse_weights.txt"
FLOAT = TensorProto.FLOAT


def op(
    op_type: str, inputs: str, outputs: str, name: str | None = None, **attributes: Any
) -> onnx.NodeProto:
    """A node; inputs and outputs are separated by blanks, `-` is an absent one."""
    names = [["" if n == "-" else n for n in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op_type, names[0], names[1], name=name, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Any],
    shape: Sequence[int | str] = (1, 3, 8, 8),
    *,
    outputs: str = "y",
    opset: int = 17,
    domains: Mapping[str, int] | None = None,
    inputs: Mapping[str, Sequence[int | str]] | None = None,
) -> onnx.ModelProto:
    """A model with float input `x` of `shape` (or `inputs`) and float outputs of open rank."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [
            helper.make_tensor_value_info(name, FLOAT, list(dims))
            for name, dims in (inputs or {"x": shape}).items()
        ],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(name, version) for name, version in (domains or {}).items()]
    ir_version = 8 if opset < 19 else 10
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def store(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def load(proto: onnx.ModelProto, folder: Path) -> Model:
    return load_model(store(proto, folder))


def op_types(loaded: Model) -> list[str]:
    return [node.op_type for node in loaded.nodes]


def as_node(proto: onnx.NodeProto) -> Node:
    given = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    inputs, outputs = tuple(proto.input), tuple(proto.output)
    return Node(proto.name, proto.op_type, inputs, outputs, given, proto.domain)


def run(source: bytes | Path, feeds: Mapping[str, Array], optimise: bool = True) -> list[Array]:
    """All outputs of a model in ONNX Runtime, one thread, without the custom-op library."""
    (outputs,) = run_each(source, [feeds], optimise)
    return outputs


def run_each(
    source: bytes | Path, feeds: Iterable[Mapping[str, Array]], optimise: bool = True
) -> list[list[Array]]:
    """The same for each of `feeds`, of any sizes, of one session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    place = source if isinstance(source, bytes) else str(source)
    session = onnxruntime.InferenceSession(place, options, providers=["CPUExecutionProvider"])
    return [session.run(None, dict(values)) for values in feeds]


def assert_same(actual: Sequence[Array], expected: Sequence[Array], relative: float = 1e-4) -> None:
    """Equal to `relative` of the largest value, plus the noise of sums around 1."""
    assert len(actual) == len(expected)
    for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert a.shape == e.shape, f"output {index}: shape {a.shape}, expected {e.shape}"
        error = np.abs(a.astype(np.float64) - e).max(initial=0)
        bound = relative * np.abs(e).max(initial=0) + 1e-6
        assert error <= bound, f"output {index}: error {error:.3g} above {bound:.3g}"


def conv_weight(rng: np.random.Generator, *shape: int) -> Array:
    """Normal weights scaled so that activations keep their size."""
    scale = (2 / max(1, prod(shape[1:]))) ** 0.5
    weight: Array = rng.standard_normal(shape) * scale
    return weight.astype(np.float32)


def vector(rng: np.random.Generator, size: int, low: float = -1, high: float = 1) -> Array:
    return rng.uniform(low, high, size).astype(np.float32)


def feed(proto_or_shape: Any, rng: np.random.Generator) -> dict[str, Array]:
    """A random float32 input `x` of the given shape."""
    return {"x": rng.standard_normal(tuple(proto_or_shape)).astype(np.float32)}


_SCALARS = (
    "group simd_group all_zero_groups_dropped bits count first_level level_step index_bits stored"
)


def golden_cases(path: Path = GOLDEN) -> list[dict[str, Any]]:
    """The cases of a golden file: `name`, scalars as int, everything else as lists of int."""
    cases = []
    for block in path.read_text().split("\n\n"):
        first, *lines = block.strip().splitlines()
        case: dict[str, Any] = {"name": first.removeprefix("case ")}
        for line in lines:
            key, *numbers = line.split()
            case[key] = [int(n) for n in numbers]
        for key in case.keys() & set(_SCALARS.split()):
            (case[key],) = case[key]
        cases.append(case)
    return cases
