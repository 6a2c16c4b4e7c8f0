"""By what a run is judged: pictures, the test samples of its data, random inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_helpers import conv_weight, model, op, store
from pickers import EXCHANGED, SAME, picker, pictures
from reporters import Recorder

from alcs_onnx.errors import AlcsError, DataError
from alcs_onnx.graph import load_model
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Evidence, Judging, Subject, gather
from alcs_onnx.pipeline.common.judge import RANDOM_SAMPLES
from alcs_onnx.pipeline.common.training import Training, open_trainer

#: Eight of each class.
CLASSES = [0, 1, 2] * 8


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return opened(picker(tmp_path / "m.onnx", 40 * SAME))


@pytest.fixture
def other(tmp_path: Path) -> bytes:
    """A candidate that agrees on one class of three."""
    return picker(tmp_path / "other.onnx", 40 * EXCHANGED).read_bytes()


def opened(path: Path) -> Subject:
    model = load_model(path)
    inputs = InputSettings().with_shapes({info.name: info.shape for info in model.inputs})
    return Subject(path.read_bytes(), model, inputs, {}, seed=0)


def write(folder: Path, labels: list[int] | None = None, **arrays: np.ndarray) -> str:
    given = {} if labels is None else {"y_train": np.array(labels)}
    path = folder / "pictures.npz"
    np.savez(path, x_train=pictures(CLASSES), **given, **arrays)  # type: ignore[arg-type]
    return str(path)


def test_pictures_without_labels(subject: Subject, other: bytes, tmp_path: Path) -> None:
    told = Recorder()
    spec = write(tmp_path)
    evidence = gather(subject, Judging(pictures=spec, max_loss=10), None, told)
    found = evidence.judge.judge(other)
    assert (found.samples, found.random, found.accuracy) == (12, False, None)
    assert found.source == f"pictures of {spec}: x_train"
    assert evidence.fit is not None
    fitted, judged = (
        {row.tobytes() for batch in batches for row in batch}
        for batches in (
            (b.inputs[0] for b in evidence.fit.batches(4, training=False)),
            (b.feeds["x"] for b, _ in evidence.judge.batches()),
        )
    )
    assert len(fitted) == len(judged) == 12
    assert not fitted & judged
    # What the dense model does is told, and kept.
    behaviour = evidence.behaviour
    assert behaviour is not None
    assert behaviour.message in told.notes
    assert behaviour.classes == 3
    assert "input 'x' from 0" in behaviour.message
    assert not any("warning" in note for note in told.notes)
    assert evidence.max_loss == 10
    assert found.verdict(10).endswith("MORE than the 10 % that may be lost")
    assert found.exceeds(10)


def test_pictures_with_labels(subject: Subject, other: bytes, tmp_path: Path) -> None:
    evidence = gather(subject, Judging(pictures=write(tmp_path, CLASSES)), None, Recorder())
    found = evidence.judge.judge(other)
    assert (found.dense_accuracy, found.accuracy) == pytest.approx((1, 1 / 3))
    assert evidence.behaviour is not None
    assert evidence.behaviour.accuracy == 1
    assert found.message.startswith("the network is destroyed: accuracy 100.00 -> 33.33 %")


def test_the_number_of_pictures(subject: Subject, other: bytes, tmp_path: Path) -> None:
    spec = write(tmp_path)
    evidence = gather(subject, Judging(pictures=spec, samples=16), None, Recorder())
    assert evidence.judge.judge(other).samples == 8
    with pytest.raises(DataError, match="15 samples are too few: at least 16"):
        gather(subject, Judging(pictures=spec, samples=15), None, Recorder())


def test_a_wrong_preprocessing_is_warned_of(tmp_path: Path) -> None:
    """Dark pictures are of one class, bright ones of the other, where zero lies between them."""
    subject = opened(picker(tmp_path / "m.onnx", np.array([[-8.0], [8.0]]) @ np.ones((1, 3)) / 3))
    pixels = np.full((24, 3, 4, 4), 30, np.uint8)
    pixels[::2] = 220
    pixels += np.random.default_rng(0).integers(0, 20, pixels.shape).astype(np.uint8)
    np.savez(tmp_path / "p.npz", x_train=pixels, y_train=np.arange(24) % 2 == 0)
    warnings = {}
    for read in ("none", "imagenet"):
        told = Recorder()
        judging = Judging(pictures=str(tmp_path / "p.npz"), preprocess=read)
        gather(subject, judging, None, told)
        warnings[read] = [note for note in told.notes if note.startswith("warning:")]
    assert len(warnings["none"]) == 1
    assert "is --preprocess none right? with 'imagenet' the dense model" in warnings["none"][0]
    assert warnings["imagenet"] == []


def test_grey_pictures_are_read_in_no_way_that_is_for_coloured_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("GlobalAveragePool", "c", "p", "pool"),
        op("Flatten", "p", "y", "flatten"),
    ]
    weights = {"w": conv_weight(rng, 3, 1, 3, 3)}
    subject = opened(store(model(nodes, weights, ("N", 1, 8, 8)), tmp_path))
    pixels = rng.integers(0, 256, (24, 8, 8, 1)).astype(np.uint8)
    np.savez(tmp_path / "grey.npz", x_train=pixels)
    evidence = gather(subject, Judging(pictures=str(tmp_path / "grey.npz")), None, Recorder())
    assert evidence.behaviour is not None
    assert evidence.behaviour.samples == 12


def test_a_score_of_the_users(
    subject: Subject, other: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_right.py").write_text("def half(expected, found): return 0.5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    judging = Judging(pictures=write(tmp_path), score="half_right:half", max_loss=50)
    evidence = gather(subject, judging, None, Recorder())
    found = evidence.judge.judge(other)
    assert (found.score, found.loss) == (0.5, 50)
    assert found.verdict(50).endswith("within the 50 % that may be lost")


def test_nothing_but_random_inputs(subject: Subject, other: bytes) -> None:
    told = Recorder()
    evidence = gather(subject, Judging(), None, told)
    assert (evidence.fit, evidence.behaviour, told.notes) == (None, None, [])
    found = evidence.judge.judge(other)
    assert (found.samples, found.random) == (RANDOM_SAMPLES, True)
    assert found.verdict(None).endswith("give --calibration PICTURES to know what that means")


def test_a_largest_loss_needs_something_to_be_judged_by(subject: Subject) -> None:
    with pytest.raises(AlcsError, match="--max-loss needs --calibration PICTURES or --data"):
        gather(subject, Judging(max_loss=1), None, Recorder())


@pytest.mark.parametrize("loss", [-1.0, 100.0, float("nan")])
def test_a_largest_loss_is_a_share(loss: float) -> None:
    with pytest.raises(AlcsError, match="is not between 0 and 100"):
        Judging(max_loss=loss)


# --- data to train with

LOADERS = """
import numpy as np
X = np.load("pictures.npz")["x_train"].astype("float32") / 255
Y = np.arange(24) % 3
def plain(): return [(X, Y)], [(X, Y)]
def measured(): return [(X, Y)], [(X, Y)], None, lambda outputs, targets: outputs.mean()
def untested(): return [(X, Y)], None
"""


def of_data(function: str, folder: Path, subject: Subject, judging: Judging) -> Evidence:
    write(folder)
    name = f"loaders_{folder.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(LOADERS)
    training = Training(f"{name}:{function}", config={"threads": 1})
    trainer = open_trainer(subject.model, training, 0, Recorder())
    return gather(subject, judging, trainer, Recorder())


@pytest.mark.parametrize(("function", "accuracy"), [("plain", 1 / 3), ("measured", None)])
def test_test_samples_of_the_data(
    function: str,
    accuracy: float | None,
    subject: Subject,
    other: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the data has a metric of its own its targets may be anything: they are not counted."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    evidence = of_data(function, tmp_path, subject, Judging(max_loss=5))
    found = evidence.judge.judge(other)
    assert found.source.startswith("test samples of loaders_")
    assert found.samples == 24
    assert found.accuracy == (None if accuracy is None else pytest.approx(accuracy))
    assert found.agreement == pytest.approx(1 / 3)
    assert evidence.max_loss == 5
    assert evidence.fit is not None


def test_data_without_test_samples_judges_nothing(
    subject: Subject, other: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    evidence = of_data("untested", tmp_path, subject, Judging())
    assert evidence.judge.judge(other).random
    assert evidence.fit is not None  # int8 can be calibrated all the same
    with pytest.raises(AlcsError, match="--max-loss needs"):
        of_data("untested", tmp_path, subject, Judging(max_loss=5))
