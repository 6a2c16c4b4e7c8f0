"""Training and evaluating on loaders of the user's: losses, metrics, and the types they get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from classifiers import classifier, patterns  # noqa: E402
from data_files import write_npz  # noqa: E402

from alcs_onnx.data import Batch, load_data  # noqa: E402
from alcs_onnx.errors import DataError  # noqa: E402
from alcs_onnx.graph import Model  # noqa: E402
from alcs_onnx.train import TrainConfig, TrainRun, evaluate, finetune, mean_gradients  # noqa: E402
from alcs_onnx.train.batches import TensorBatch  # noqa: E402

MODULE = """
import numpy as np, torch
rng = np.random.default_rng(0)
X = rng.standard_normal((12, 3, 8, 8)).astype("float32")
Y = rng.integers(0, 4, 12)
LOADER = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 4, shuffle=True)
SEEN = []
def loss(outputs, targets):
    SEEN.append(targets)
    return (outputs ** 2).mean()
def loaders(): return LOADER, [(X[:4], Y[:4])]
def full():
    return {"train": LOADER, "test": LOADER, "loss": loss, "metric": lambda out, y: 0.25}
def numpy_targets(): return [(X, Y)], None, loss
def dict_targets(): return [(X, {"boxes": Y})], None, loss
def half(): return [(torch.from_numpy(X).bfloat16(), torch.from_numpy(Y))], None
def read_only():
    given = np.broadcast_to(X[:1, :, ::-1], X.shape)
    return [(given, Y)], None
def unlabelled(): return [X[:4], X[4:]], [(X[:4], None)]
def named(): return [({"x": X[:4]}, Y[:4])], None
def bad_label(): return [(X, Y + 2)], None
def float_targets(): return [(X, X[:, 0])], [(X, X[:, 0])]
"""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"torch_data_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_loader_that_torch_shuffles_repeats_itself(module: str, model: Model) -> None:
    data = load_data(f"{module}:loaders", model)
    first, again, other = (
        torch.cat([b.targets for b in data.train.batches(1, training=True, seed=s)])
        for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert evaluate(model, data).samples == 4


def test_loss_and_metric_of_the_data(module: str, model: Model) -> None:
    result = evaluate(model, load_data(f"{module}:full", model))
    assert (result.kind, result.value, result.samples) == ("metric", 0.25, 12)


@pytest.mark.parametrize("function", ["full", "numpy_targets"])
def test_a_loss_gets_tensors(function: str, module: str, model: Model) -> None:
    data = load_data(f"{module}:{function}", model)
    mean_gradients(model, data)
    seen = data.loss.__globals__["SEEN"]
    assert all(isinstance(targets, torch.Tensor) for targets in seen)
    assert sum(len(targets) for targets in seen) == 12


def test_other_targets_reach_the_loss_as_they_are(module: str, model: Model) -> None:
    data = load_data(f"{module}:dict_targets", model)
    mean_gradients(model, data)
    (seen,) = data.loss.__globals__["SEEN"]
    assert isinstance(seen["boxes"], np.ndarray)


@pytest.mark.parametrize("function", ["half", "read_only"])
def test_inputs_that_torch_and_numpy_do_not_share(function: str, module: str, model: Model) -> None:
    data = load_data(f"{module}:{function}", model)
    assert np.isfinite(mean_gradients(model, data)["stem.weight"]).all()


def test_without_labels_the_model_agrees_with_itself(module: str, model: Model) -> None:
    result = evaluate(model, load_data(f"{module}:unlabelled", model))
    assert (result.kind, result.value, result.samples) == ("agreement", 1.0, 4)


def test_without_test_samples(module: str, model: Model) -> None:
    with pytest.raises(DataError, match="no test samples"):
        evaluate(model, load_data(f"{module}:named", model))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("bad_label", r"label \d of sample \d+ .* 4 classes"),
        ("float_targets", "expected one integer label per sample"),
    ],
)
def test_targets_that_are_no_labels(function: str, message: str, module: str, model: Model) -> None:
    with pytest.raises(DataError, match=message):
        mean_gradients(model, load_data(f"{module}:{function}", model))


def test_batches_share_their_memory_with_torch(tmp_path: Path, model: Model) -> None:
    data = load_data(write_npz(tmp_path, **patterns(20)), model)
    batch = next(iter(data.train.batches(8, training=False)))
    tensors = TensorBatch.of(batch)
    assert np.shares_memory(tensors.inputs[0].numpy(), batch.inputs[0])
    assert tensors.targets.tolist() == batch.targets.tolist()
    empty = TensorBatch.of(Batch(batch.inputs, batch.size))
    assert empty.targets is None


def test_learning_from_an_npz_file(tmp_path: Path, model: Model) -> None:
    data = load_data(write_npz(tmp_path, **patterns(160)), model)
    config = TrainConfig(finetune_epochs=6, finetune_lr=0.1, batch_size=16, threads=1)
    losses = [r.loss for r in finetune(model, {}, TrainRun(data, config)).history.records]
    assert losses[-1] < losses[0]
