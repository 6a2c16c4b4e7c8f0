"""What `compile` tells its users: what was compared, and why nothing became sparse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


def test_a_quantized_model_is_left_as_it_is(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
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
    text = shown(store(model(nodes, weights), tmp_path), capsys)
    assert (
        "no layer can be made sparse, so the file stays as it is (1 layer: its weights are "
        "quantized (DequantizeLinear): give the model of before quantization, or remove whole "
        "channels of this one (--method channel))"
    ) in text
