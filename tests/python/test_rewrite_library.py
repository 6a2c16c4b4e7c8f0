"""Written files with the custom-op library and without it: the same outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from graph_helpers import assert_same, conv_weight, model, op, run, store, vector

from alcs_onnx.graph import load_model
from alcs_onnx.rewrite import random_model, rewrite

Rng = np.random.Generator
_LIB = Path(__file__).resolve().parents[2] / "alcs_onnx" / "lib"


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
    densities = {layer.name: density for layer in loaded.conv_layers}
    written = random_model(loaded, densities, g, seed=5).model.serialize()
    feeds = {"x": rng.standard_normal(x_shape).astype(np.float32)}
    outputs, names = run_with(library, written, feeds, tmp_path / "profile")
    assert sorted(names) == ["SimdSparseConv", "SimdSparseConv", "SimdSparseConvAdd"]
    assert_same(outputs, run(written, feeds))


@pytest.mark.parametrize(
    "name", ["mobilenetv2", "resnet20_cifar", "yunet_n_640", "FastestDet", "open-nsfw"]
)
@pytest.mark.parametrize("density", [1.0, 0.4])
def test_real_models_agree(
    library: Path, shared: Path, tmp_path: Path, rng: Rng, name: str, density: float
) -> None:
    loaded = load_model(shared / "models" / f"{name}.onnx")
    feeds = {i.name: rng.standard_normal(i.shape).astype(np.float32) for i in loaded.inputs}
    densities = {layer.name: density for layer in loaded.conv_layers if not layer.depthwise}
    written = random_model(loaded, densities, 8, seed=1) if density < 1 else rewrite(loaded)
    data = written.model.serialize()
    outputs, names = run_with(library, data, feeds, tmp_path / "profile")
    assert names.count("Conv") == 0
    assert sum(n.startswith("SimdSparseConv") for n in names) == len(loaded.conv_layers)
    assert_same(outputs, run(data, feeds))
