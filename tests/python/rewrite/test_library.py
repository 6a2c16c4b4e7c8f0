"""Written files with the custom-op library and without it: the same outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from graph_helpers import GOLDEN, assert_same, conv_weight, model, op, run, store, vector

from alcs_onnx.graph import conv_layers, load_model, serialize
from alcs_onnx.graph.activations import GATES
from alcs_onnx.graph.functions import sparse_conv_function
from alcs_onnx.rewrite import compile_sparse, random_model, rewrite

Rng = np.random.Generator
_LIB = Path(__file__).resolve().parents[3] / "alcs_onnx" / "lib"


@pytest.fixture(scope="module")
def library() -> Path:
    """$ALCS_LIBRARY, or the one built into the package."""
    given = os.environ.get("ALCS_LIBRARY")
    found = [Path(given)] if given else sorted(_LIB.glob("*alcs_ort.*"))
    if not found or not found[0].is_file():
        pytest.skip(f"no custom-op library in {_LIB}; build it or set ALCS_LIBRARY")
    return found[0]


def run_with(library: Path, source: bytes, feeds: dict, prefix: Path) -> tuple[list, list[str]]:
    """Outputs, and the operators that ran, by the runtime's own profile."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    options.register_custom_ops_library(str(library))
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    names = [e["args"]["op_name"] for e in events if e["name"].endswith("_kernel_time")]
    return outputs, names


CASES = [
    ("plain", (16, 8, 3, 3), {"pads": [1, 1, 1, 1]}, (1, 8, 14, 14)),
    ("odd", (13, 8, 3, 3), {"strides": [2, 2]}, (2, 8, 15, 9)),
    ("pointwise", (24, 8, 1, 1), {}, (1, 8, 7, 7)),
    ("grouped", (12, 4, 3, 3), {"group": 2, "pads": [1, 0, 0, 1]}, (1, 8, 9, 9)),
    ("depthwise", (8, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1]}, (1, 8, 12, 12)),
    ("dilated", (8, 8, 3, 3), {"dilations": [2, 2], "pads": [2, 2, 2, 2]}, (1, 8, 9, 9)),
    ("one-dimensional", (16, 8, 5), {"pads": [2, 2]}, (1, 8, 33)),
]


@pytest.mark.parametrize("g", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_library_and_function_body_agree(
    library: Path, tmp_path: Path, rng: Rng, case: tuple, g: int, density: float
) -> None:
    """Every activation and the residual form, on random patterns."""
    _, shape, attributes, x_shape = case
    m = shape[0]
    nodes = [
        op("Conv", "x w b", "a", "c1", **attributes),
        op("Relu", "a", "r"),
        op("Conv", "r p", "t", "c2"),
        op("Add", "t r", "s"),
        op("LeakyRelu", "s", "u", alpha=0.1),
        op("Conv", "u p", "v", "c3"),
        op("Clip", "v lo hi", "y"),
    ]
    weights = {
        "w": conv_weight(rng, *shape), "b": vector(rng, m),
        "p": conv_weight(rng, m, m, *(1,) * (len(shape) - 2)),
        "lo": np.float32(-0.5), "hi": np.float32(0.75),
    }  # fmt: skip
    loaded = load_model(store(model(nodes, weights, x_shape), tmp_path))
    densities = {layer.name: density for layer in conv_layers(loaded)}
    written = serialize(random_model(loaded, densities, g, seed=5).model)
    feeds = {"x": rng.standard_normal(x_shape).astype(np.float32)}
    outputs, names = run_with(library, written, feeds, tmp_path / "profile")
    assert sorted(names) == ["SimdSparseConv", "SimdSparseConv", "SimdSparseConvAdd"]
    assert_same(outputs, run(written, feeds))


@pytest.mark.parametrize("opset", [12, 13, 14, 17, 20])
@pytest.mark.parametrize("gate", GATES)
def test_gates_agree(library: Path, tmp_path: Path, rng: Rng, gate: str, opset: int) -> None:
    """Plain and residual, on a dense and on a depthwise layer."""

    def product(x: str, out: str) -> list:
        factor, nodes = x, []
        for index, call in enumerate(GATES[gate].factor):
            read, factor = factor, f"{x}{index}"
            nodes.append(op(call.op_type, read, factor, None, **call.attributes))
        return [*nodes, op("Mul", f"{factor} {x}", out)]

    nodes = [
        op("Conv", "x w", "a", "c1", pads=[1, 1, 1, 1]),
        *product("a", "b"),
        op("Conv", "b d", "c", "c2", group=8, pads=[1, 1, 1, 1]),
        op("Add", "c b", "s"),
        *product("s", "y"),
    ]
    weights = {"w": conv_weight(rng, 8, 8, 3, 3) * 5, "d": conv_weight(rng, 8, 1, 3, 3) * 5}
    shape = (2, 8, 19, 23)
    loaded = load_model(store(model(nodes, weights, shape, opset=opset), tmp_path))
    written = serialize(random_model(loaded, {"c1": 0.5}, 4, seed=5).model)
    feeds = {"x": rng.standard_normal(shape).astype(np.float32)}
    outputs, names = run_with(library, written, feeds, tmp_path / "profile")
    assert sorted(names) == ["SimdSparseConv", "SimdSparseConvAdd"]
    assert_same(outputs, run(written, feeds), relative=1e-5)
    (tmp_path / "written.onnx").write_bytes(written)
    assert_same(outputs, run(serialize(load_model(tmp_path / "written.onnx")), feeds), 1e-5)


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ([op("Sigmoid", "a", "f"), op("Mul", "a f", "y")], {"QuickGelu", "Sigmoid", "Mul"}),
        ([op("HardSwish", "a", "y")], {"HardSigmoid", "Mul"}),
        ([op("Relu", "a", "y")], set()),
        ([op("Identity", "a", "y")], set()),
    ],
)
def test_runtime_folds_the_choice_of_activation(
    tmp_path: Path, rng: Rng, nodes: list, left: set[str]
) -> None:
    """Without the library too, nothing but the convolution and the gate is left to run."""
    graph = [op("Conv", "x w", "a", "conv", pads=[1, 1, 1, 1]), *nodes]
    weights = {"w": conv_weight(rng, 16, 16, 3, 3)}
    loaded = load_model(store(model(graph, weights, (1, 16, 9, 9)), tmp_path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    written = serialize(rewrite(loaded).model)
    onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    found = {node.op_type for node in onnx.load_model(tmp_path / "optimized.onnx").graph.node}
    layout = {"Conv", "FusedConv", "ReorderInput", "ReorderOutput"}
    assert found - layout <= left
    assert bool(found - layout) == bool(left)


def test_file_written_before_there_were_gates(library: Path, tmp_path: Path, rng: Rng) -> None:
    """Neither its nodes nor its function bodies know the attribute."""
    written = GOLDEN.with_name("before_gate.onnx").read_bytes()
    proto = onnx.load_model_from_string(written)
    assert len(proto.functions) == 2
    assert b"gate" not in written
    feeds = {"x": rng.standard_normal((1, 3, 6, 6)).astype(np.float32)}
    outputs, names = run_with(library, written, feeds, tmp_path / "profile")
    assert sorted(names) == ["SimdSparseConv", "SimdSparseConvAdd"]
    assert np.ptp(outputs[0]) > 1
    assert_same(outputs, run(written, feeds))
    loaded = load_model(GOLDEN.with_name("before_gate.onnx"))
    assert [n.op_type for n in loaded.nodes] == ["Conv", "Relu", "Conv", "Add", "LeakyRelu"]
    assert_same(outputs, run(serialize(loaded), feeds))
    again = serialize(compile_sparse(loaded).model)
    assert b"gate" in again
    outputs_again, _ = run_with(library, again, feeds, tmp_path / "profile")
    assert_same(outputs, outputs_again)


def test_old_nodes_with_new_function_bodies(library: Path, tmp_path: Path, rng: Rng) -> None:
    """As when a tool puts models together: the attribute's default stands in."""
    proto = onnx.load_model(GOLDEN.with_name("before_gate.onnx"))
    feeds = {"x": rng.standard_normal((1, 3, 6, 6)).astype(np.float32)}
    expected = run(proto.SerializeToString(), feeds)
    bodies = [sparse_conv_function(function.name, 17) for function in proto.functions]
    del proto.functions[:]
    proto.functions.extend(bodies)
    onnx.checker.check_model(proto, full_check=True)
    mixed = proto.SerializeToString()
    assert_same(run(mixed, feeds), expected)
    assert_same(run_with(library, mixed, feeds, tmp_path / "profile")[0], expected)


@pytest.mark.parametrize(
    "name", ["mobilenetv2", "resnet20_cifar", "yunet_n_640", "FastestDet", "open-nsfw"]
)
@pytest.mark.parametrize("density", [1.0, 0.4])
def test_real_models_agree(
    library: Path, shared: Path, tmp_path: Path, rng: Rng, name: str, density: float
) -> None:
    loaded = load_model(shared / "models" / f"{name}.onnx")
    feeds = {i.name: rng.standard_normal(i.shape).astype(np.float32) for i in loaded.inputs}
    densities = {layer.name: density for layer in conv_layers(loaded) if not layer.depthwise}
    written = random_model(loaded, densities, 8, seed=1) if density < 1 else rewrite(loaded)
    data = serialize(written.model)
    outputs, names = run_with(library, data, feeds, tmp_path / "profile")
    assert names.count("Conv") == 0
    assert sum(n.startswith("SimdSparseConv") for n in names) == len(conv_layers(loaded))
    assert_same(outputs, run(data, feeds))
