"""Initializers in two roles keep their values, and what cannot be trained is told before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from graph_helpers import assert_same, conv_weight, feed, load, model, op, run  # noqa: E402

from alcs_onnx.data import load_data  # noqa: E402
from alcs_onnx.errors import ModelError, UnsupportedError  # noqa: E402
from alcs_onnx.graph import Model, conv_layers, load_model, serialize  # noqa: E402
from alcs_onnx.structures import reason_dense  # noqa: E402
from alcs_onnx.train import (  # noqa: E402
    OnnxModule,
    TrainConfig,
    TrainRun,
    finetune,
    limits,
    verify,
    weights_of,
)

Rng = np.random.Generator


def assert_trains(loaded: Model, folder: Path, rng: Rng) -> dict[str, np.ndarray]:
    """One epoch towards another model; the file with the result computes what the module does."""
    shape = loaded.inputs[0].shape[1:]
    np.savez(folder / "x.npz", x_train=rng.standard_normal((8, *shape)).astype(np.float32))
    data = load_data(str(folder / "x.npz"), loaded)
    trained = weights_of(loaded).trained
    teacher = loaded.with_initializers({n: loaded.initializers[n] * 1.1 for n in trained})
    config = TrainConfig(finetune_epochs=1, batch_size=4, threads=1)
    verify(loaded)
    result = finetune(loaded, {}, TrainRun(data, config, teacher=teacher))
    assert result.weights.keys() == trained
    assert any(not np.array_equal(result.weights[n], loaded.initializers[n]) for n in trained)
    written = loaded.with_initializers(result.weights)
    x = feed((1, *shape), rng)
    found = OnnxModule(written)(torch.from_numpy(x["x"]))
    assert_same([part.numpy(force=True) for part in found], run(serialize(written), x))
    return dict(result.weights)


def test_one_initializer_as_shift_and_mean(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Relu", "x", "a"),
        op("BatchNormalization", "a scale shift shift scale", "b", "norm"),
        op("Relu", "b", "c"),
        op("Conv", "c w", "y", "conv"),
    ]
    weights = {"scale": np.full(3, 0.5, np.float32), "shift": np.ones(3, np.float32),
               "w": conv_weight(rng, 4, 3, 3, 3)}  # fmt: skip
    loaded = load(model(nodes, weights, ("N", 3, 8, 8)), tmp_path)
    assert_trains(loaded, tmp_path, rng)
    why = "node 'norm' (BatchNormalization) reads it as input"
    assert limits(loaded) == (
        f"weight 'scale' is not trained: {why} 4, which is not trained",
        f"weight 'shift' is not trained: {why} 3, which is not trained",
    )


def test_one_initializer_as_weights_of_two_kinds(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w both", "a", "conv"),
        op("GlobalAveragePool", "a", "p"),
        op("Flatten", "p", "f"),
        op("Gemm", "f m both", "y", "linear"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "both": conv_weight(rng, 4),
               "m": conv_weight(rng, 4, 4)}  # fmt: skip
    loaded = load(model(nodes, weights, ("N", 3, 8, 8)), tmp_path)
    assert_trains(loaded, tmp_path, rng)
    (told,) = limits(loaded)
    assert told == (
        "weight 'both' is not trained: it is input 2 of node 'conv' (Conv) and input 2 of node "
        "'linear' (Gemm)"
    )


def test_weights_that_two_layers_share_are_trained(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a"), op("Relu", "a", "r"), op("Conv", "r w", "y")]
    loaded = load(model(nodes, {"w": conv_weight(rng, 3, 3, 3, 3)}, ("N", 3, 8, 8)), tmp_path)
    assert weights_of(loaded).trained == {"w"}
    assert_trains(loaded, tmp_path, rng)


def test_a_weight_that_is_an_output(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "first"), op("Conv", "a tied", "y", "second")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "tied": conv_weight(rng, 4, 4, 1, 1)}
    loaded = load(model(nodes, weights, ("N", 3, 8, 8), outputs="y tied"), tmp_path)
    assert "tied" not in assert_trains(loaded, tmp_path, rng)
    assert limits(loaded) == ("weight 'tied' is not trained: it is an output of the model, too",)
    reasons = {layer.name: reason_dense(loaded, layer) for layer in conv_layers(loaded)}
    assert reasons == {"first": "", "second": "weights that are an output of the model, too"}


@pytest.mark.parametrize("opset", [12, 17])
def test_the_mask_of_a_dropout_is_all_true(opset: int, tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a"),
        op("Dropout", "a ratio", "d mask"),
        op("Cast", "mask", "m", to=1),
        op("Mul", "d m", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "ratio": np.float32(0.4)}
    loaded = load(model(nodes, weights, ("N", 3, 8, 8), opset=opset), tmp_path)
    assert_trains(loaded, tmp_path, rng)


def test_dropout_that_drops_is_refused(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a"), op("Dropout", "a ratio train", "y", "drop")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "ratio": np.float32(0.4), "train": np.array(True)}
    with pytest.raises(UnsupportedError, match=r"'drop' \(Dropout\).*training_mode"):
        OnnxModule(load(model(nodes, weights), tmp_path))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(bad: float, tmp_path: Path, rng: Rng) -> None:
    w = conv_weight(rng, 4, 3, 3, 3)
    w[1, 2, 0, 0] = bad
    loaded = load(model([op("Conv", "x w", "y", "conv")], {"w": w}), tmp_path)
    message = "initializer 'w' of node 'conv' holds 1 NaN or infinite values of 108"
    with pytest.raises(ModelError, match=message):
        verify(loaded)


def test_constants_may_be_infinite(tmp_path: Path, rng: Rng) -> None:
    """The mask of an attention is."""
    nodes = [op("Conv", "x w", "a"), op("Where", "keep a low", "b"), op("Softmax", "b", "y")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "keep": np.arange(6) > 1,
               "low": np.float32(-np.inf)}  # fmt: skip
    assert_trains(load(model(nodes, weights, ("N", 3, 8, 8)), tmp_path), tmp_path, rng)


def test_a_branch_on_a_constant_is_trained(tmp_path: Path, rng: Rng) -> None:
    def branch(*nodes: onnx.NodeProto) -> onnx.GraphProto:
        result = onnx.ValueInfoProto(name=nodes[-1].output[0])
        return onnx.helper.make_graph(nodes, "branch", [], [result])

    nodes = [
        op("Conv", "x w", "a"),
        op("If", "yes", "y", then_branch=branch(op("Relu", "a", "t")),
           else_branch=branch(op("Neg", "a", "e"))),
    ]  # fmt: skip
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "yes": np.array(True)}
    assert_trains(load(model(nodes, weights, ("N", 3, 8, 8)), tmp_path), tmp_path, rng)


@pytest.mark.parametrize(
    "case",
    ["k09_bn_beta_and_mean_one_initializer__training_RuntimeError",
     "k09_weight_is_graph_output__training_RuntimeError",
     "k09_dropout_mask_read__training_AttributeError",
     "k16_if_on_constant_condition__not_folded_training_refused"],
)  # fmt: skip
def test_models_that_went_wrong_are_trained(
    case: str, shared: Path, tmp_path: Path, rng: Rng
) -> None:
    assert_trains(load_model(shared / "cases" / f"{case}.onnx"), tmp_path, rng)
