"""Training takes several samples at once where the graph does, and says so where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from graph_helpers import Array, conv_weight, model, op, run, store  # noqa: E402

from alcs_onnx.data import Data, DataOptions, load_data  # noqa: E402
from alcs_onnx.differences import relative_difference  # noqa: E402
from alcs_onnx.errors import AlcsError  # noqa: E402
from alcs_onnx.graph import Model, load_model, serialize  # noqa: E402
from alcs_onnx.train import (  # noqa: E402
    OnnxModule,
    TrainConfig,
    TrainRun,
    finetune,
    limits,
    verify,
)
from alcs_onnx.train.batches import TensorBatch  # noqa: E402
from alcs_onnx.train.verify import runtime_reference  # noqa: E402

Rng = np.random.Generator


def classifier(folder: Path, rng: Rng, batch: int | str = 1) -> Model:
    """As torch exports one: the batch is fixed, and the last Reshape repeats it."""
    nodes = [
        op("Conv", "x w b", "a", "conv"),
        op("Relu", "a", "r"),
        op("GlobalAveragePool", "r", "p"),
        op("Reshape", "p flat", "f", "view", allowzero=1),
        op("Gemm", "f m c", "y", "linear"),
    ]
    rows = batch if isinstance(batch, int) else 1
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "b": conv_weight(rng, 8),
               "flat": np.array([rows, 8]), "m": conv_weight(rng, 8, 4),
               "c": conv_weight(rng, 4)}  # fmt: skip
    return load_model(store(model(nodes, weights, (batch, 3, 8, 8)), folder))


def moving(folder: Path, rng: Rng, batch: int) -> Model:
    """A graph that is written for its own batch: it shifts channels from one sample to the next."""
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Transpose", "a", "t", "turn", perm=[1, 0, 2, 3]),
        op("Reshape", "t back", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "back": np.array([batch, 4, 6, 6])}
    return load_model(store(model(nodes, weights, (batch, 3, 8, 8)), folder))


def test_a_fixed_batch_does_not_hold_training_up(tmp_path: Path, rng: Rng) -> None:
    loaded = classifier(tmp_path, rng)
    module = OnnxModule(loaded)
    assert module.usable_batch(5) == 5
    assert limits(loaded) == ()
    x = torch.from_numpy(rng.standard_normal((5, 3, 8, 8)).astype(np.float32))
    (together,) = module(x)
    singles = torch.cat([module(x[i : i + 1])[0] for i in range(5)])
    torch.testing.assert_close(together, singles)
    together.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in module.named_parameters()}
    module.zero_grad()
    sum(module(x[i : i + 1])[0].square().sum() for i in range(5)).backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_graph_of_its_own_batch_is_run_piece_by_piece(
    batch: int, tmp_path: Path, rng: Rng
) -> None:
    loaded = moving(tmp_path, rng, batch)
    count = "one sample" if batch == 1 else "2 samples"
    why = "node 'turn' (Transpose): it moves the axis of the samples"
    assert limits(loaded) == (f"trains {count} at a time, which is slower: {why}",)
    module = OnnxModule(loaded)
    assert module.usable_batch(7) == batch
    x = rng.standard_normal((5, 3, 8, 8)).astype(np.float32)
    (found,) = module(torch.from_numpy(x))
    # The last piece is filled up with its last sample.
    filled = np.concatenate([x, x[-1:]])
    pieces = [run(serialize(loaded), {"x": filled[i : i + batch]}) for i in range(0, 5, batch)]
    expected = np.concatenate([piece[0] for piece in pieces])[:5]
    assert relative_difference(found.numpy(force=True), expected) < 1e-5


def test_both_batches_are_verified(tmp_path: Path, rng: Rng) -> None:
    """A reference that goes wrong with the second sample is found out."""
    loaded = classifier(tmp_path, rng)
    assert verify(loaded) < 1e-4
    other = loaded.with_initializers({"b": loaded.initializers["b"] + 1})
    calls = []

    def wrong_later(given: Model, feeds: Any, names: Any) -> Any:
        calls.append(feeds)
        return runtime_reference(given if len(calls) in (1, 2) else other, feeds, names)

    with pytest.raises(AlcsError, match=r"at node 'conv' \(Conv\) at 2 batches at once"):
        verify(loaded, wrong_later)
    assert not np.array_equal(calls[0]["x"], calls[2]["x"])


def test_values_that_the_graph_takes_are_verified(tmp_path: Path, rng: Rng) -> None:
    """The position 7 of a table of 8: with zeros most of it would not be looked at."""
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Cast", "position", "p", to=7),
        op("Gather", "table p", "row", "pick"),
        op("Add", "a row", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "table": conv_weight(rng, 8, 4, 1, 1)}
    inputs = {"x": ("N", 3, 8, 8), "position": ()}
    loaded = load_model(store(model(nodes, weights, inputs=inputs), tmp_path))
    feeds = {"x": rng.standard_normal((1, 3, 8, 8)).astype(np.float32),
             "position": np.array(7, np.float32)}  # fmt: skip
    table = loaded.initializers["table"].copy()
    table[7] += 1
    other = loaded.with_initializers({"table": table})

    def reference(given: Model, feeds: Any, names: Any) -> Any:
        return runtime_reference(other, feeds, names)

    assert verify(loaded, feeds=feeds) < 1e-4
    with pytest.raises(AlcsError, match=r"at node 'pick' \(Gather\)"):
        verify(loaded, reference, feeds=feeds)


def gated(folder: Path, rng: Rng) -> Model:
    """An image of an open batch, a scalar, a vector of a fixed size, and a row for each sample."""
    nodes = [
        op("Reshape", "scale column", "s"),
        op("Conv", "x w b", "a", "conv"),
        op("Greater", "a threshold", "g"),
        op("Where", "g a zero", "t"),
        op("Mul", "t s", "m"),
        op("GlobalAveragePool", "m", "p"),
        op("Flatten", "p", "f"),
        op("Concat", "f side", "h", axis=1),
        op("Gemm", "h m2 c", "y", "linear"),
    ]
    weights = {"column": np.array([1, 4, 1, 1]), "w": conv_weight(rng, 4, 3, 3, 3),
               "b": conv_weight(rng, 4), "zero": np.float32(0), "m2": conv_weight(rng, 6, 3),
               "c": conv_weight(rng, 3)}  # fmt: skip
    inputs = {"threshold": (), "scale": (4,), "x": ("N", 3, 8, 8), "side": ("N", 2)}
    return load_model(store(model(nodes, weights, inputs=inputs), folder))


VALUES: dict[str, Array] = {
    "threshold": np.array(0.1, np.float32),
    "scale": np.array([1, 2, 3, 4], np.float32),
    "side": np.array([[0.5, -0.5]], np.float32),
}


def gated_data(loaded: Model, folder: Path, rng: Rng) -> Data:
    images = rng.integers(0, 256, (24, 3, 8, 8), np.uint8)
    np.savez(folder / "x.npz", x_train=images[:16], x_test=images[16:])
    return load_data(str(folder / "x.npz"), loaded, DataOptions(values=VALUES))


def test_inputs_beside_the_images_are_trained_with(tmp_path: Path, rng: Rng) -> None:
    """What comes back goes into the file, which then computes what the module does."""
    loaded = gated(tmp_path, rng)
    data = gated_data(loaded, tmp_path, rng)
    student = loaded.with_initializers({"w": loaded.initializers["w"] * 0.5})
    config = TrainConfig(finetune_epochs=8, batch_size=8, threads=1, finetune_lr=0.01)
    result = finetune(student, {"conv": "w"}, TrainRun(data, config, teacher=loaded))
    losses = [record.loss for record in result.history.records]
    assert losses[-1] < losses[0]
    written = student.with_initializers(result.weights)
    assert data.test is not None
    (batch,) = data.test.batches(8, training=False)
    assert batch.size == 8
    assert [tuple(x.shape) for x in batch.inputs] == [(), (4,), (8, 3, 8, 8), (8, 2)]
    (found,) = OnnxModule(written)(*TensorBatch.of(batch).inputs)
    feeds = {i.name: x for i, x in zip(written.inputs, batch.inputs, strict=True)}
    (expected,) = run(serialize(written), feeds)
    assert relative_difference(found.numpy(force=True), expected) < 1e-5
