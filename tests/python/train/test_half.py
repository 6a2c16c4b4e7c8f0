"""float16 models are trained in float32 and written in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, op, run
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch")

from alcs_onnx.graph import Model, as_float32, load_model, serialize  # noqa: E402
from alcs_onnx.train.module import OnnxModule  # noqa: E402
from alcs_onnx.train.verify import verify  # noqa: E402

HALF = TensorProto.FLOAT16


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> Model:
    """A convolution, a Cast there and back, a constant and a product, with float16 ends."""
    weights = {
        "w": conv_weight(rng, 4, 3, 3, 3),
        "scale": np.array(0.5),
        "v": conv_weight(rng, 4, 5),
    }
    nodes = [
        op("Conv", "x w", "c", "conv", pads=[1] * 4),
        op("Cast", "c", "f", "up", to=TensorProto.FLOAT),
        op("Cast", "f", "h", "down", to=HALF),
        op("Mul", "h scale", "m", "mul"),
        op("GlobalAveragePool", "m", "p", "pool"),
        op("Flatten", "p", "r", "flat"),
        op("MatMul", "r v", "y", "product"),
    ]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("x", HALF, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", HALF, [1, 5])],
        [numpy_helper.from_array(a.astype(np.float16), name) for name, a in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, tmp_path / "half.onnx")
    return load_model(tmp_path / "half.onnx")


def test_the_float32_form_computes_the_same(model: Model, rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 3, 6, 6)).astype(np.float16)
    (expected,) = run(serialize(model), {"x": x})
    (found,) = run(serialize(as_float32(model)), {"x": x.astype(np.float32)})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=4 * 2.0**-10 * np.abs(expected).max())
    plain = as_float32(model)
    assert as_float32(plain) is plain


def test_torch_computes_what_the_runtime_does(model: Model) -> None:
    assert verify(model) <= 1e-4


def test_weights_are_trained_in_float32_and_written_in_float16(
    model: Model, rng: np.random.Generator
) -> None:
    module = OnnxModule(model)
    assert {"w", "v"} <= set(module.trained_names)
    assert module.parameter("w").dtype == torch.float32
    x = torch.from_numpy(rng.standard_normal((1, 3, 6, 6)).astype(np.float16))
    (output,) = module(x)
    output.square().sum().backward()
    assert module.parameter("w").grad is not None
    with torch.no_grad():
        module.parameter("w").mul_(2)
    trained = model.with_initializers(module.arrays())
    assert trained.initializers["w"].dtype == np.float16
    np.testing.assert_array_equal(trained.initializers["w"], 2 * model.initializers["w"])
    (found,) = run(serialize(trained), {"x": x.numpy()})
    (before,) = run(serialize(model), {"x": x.numpy()})
    np.testing.assert_allclose(found, 2 * before, atol=8 * 2.0**-10 * np.abs(found).max())
