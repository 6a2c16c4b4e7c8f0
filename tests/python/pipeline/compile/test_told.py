"""What `compile` tells its users: what was compared, and why nothing became sparse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, store

from alcs_onnx.cli import main


def shown(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["compile", str(path), "-o", str(path.with_name("out.onnx"))]) == 0
    found = capsys.readouterr()
    return " ".join(f"{found.out} {found.err}".split())


def test_the_comparison_is_with_the_original(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [op("Conv", "x w", "y", "conv")]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, ("N", 3, 8, 8)), tmp_path)
    text = shown(path, capsys)
    assert "outputs against the original: equal within 0.0001" in text
    assert "compared at: the given sizes; the given sizes, other values; batch 2" in text


def quantized(rng: np.random.Generator) -> onnx.ModelProto:
    weights = {
        "q": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "s": np.float32(0.01),
        "z": np.int8(0),
    }
    nodes = [
        op("QuantizeLinear", "x s z", "xq", "quantize"),
        op("DequantizeLinear", "xq s z", "xd", "dequantize"),
        op("DequantizeLinear", "q s z", "w", "weight"),
        op("Conv", "xd w", "y", "conv"),
    ]
    return model(nodes, weights)


def test_a_quantized_model_is_left_as_it_is(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result itself says so: not only a note beside it."""
    path, out = store(quantized(rng), tmp_path), tmp_path / "out.onnx"
    assert main(["compile", str(path), "-o", str(out)]) == 0
    found = capsys.readouterr()
    told = (
        "nothing was changed: no layer can be made sparse (1 layer: its weights are "
        "quantized (DequantizeLinear): give the model of before quantization, or remove whole "
        f"channels of this one (--method channel)) wrote {out}"
    )
    assert told in " ".join(found.out.split())
    assert "sparse" not in found.err
    assert onnx.load(out).graph.node == onnx.load(path).graph.node


def test_what_was_set_right_all_the_same_is_told(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = quantized(rng)
    info = onnx.helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, [])
    proto.graph.input.append(info)
    text = shown(store(proto, tmp_path), capsys)
    assert (
        "nothing was changed except for declaring no weights as inputs (1 were): no layer" in text
    )
