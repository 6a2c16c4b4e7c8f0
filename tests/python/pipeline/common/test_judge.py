"""A candidate beside the dense model, on pictures, the user's score, and random inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import save
from onnx import helper
from pickers import EXCHANGED, picker, pictures

from alcs_onnx.data import ImageSamples
from alcs_onnx.data.images import ArrayStore
from alcs_onnx.data.others import OtherInputs
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, load_model
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common import judge as judging
from alcs_onnx.pipeline.common.judge import (
    RANDOM_SAMPLES,
    Judge,
    judge_few,
    judge_random,
    judge_samples,
    load_score,
)

#: Six pictures of the first two classes, which the exchanged model tells wrong, and four others.
CLASSES = [0, 1, 2, 0, 1, 2, 0, 1, 2, 2]
#: The dense model is right for eight, the exchanged one for five: 2 is what both say of four.
LABELS = np.array([1, 0, 2, 0, 1, 2, 0, 1, 2, 2])


def samples(labels: np.ndarray | None = LABELS, classes: list[int] = CLASSES) -> ImageSamples:
    return ImageSamples(ArrayStore(pictures(classes)), labels)


def models(folder: Path, batch: int | str = "N") -> tuple[bytes, bytes, Model]:
    """The dense file, the one with two classes exchanged, and the dense model."""
    dense = picker(folder / "dense.onnx", batch=batch)
    other = picker(folder / "other.onnx", EXCHANGED, batch=batch)
    return dense.read_bytes(), other.read_bytes(), load_model(dense)


@pytest.mark.parametrize("batch", ["N", 1, 4, 16])
def test_every_picture_counts_once_whatever_the_batch(batch: int | str, tmp_path: Path) -> None:
    """Of ten pictures the last batch of four has two, which are padded."""
    dense, other, model = models(tmp_path, batch)
    judge = judge_samples(dense, model, samples(), "pictures of a test")
    found = judge.judge(other)
    assert (found.samples, found.source, found.random) == (10, "pictures of a test", False)
    assert found.agreement == 0.4
    assert found.dense_accuracy == 0.8
    assert found.accuracy == 0.6
    assert found.loss == pytest.approx(20)
    # The energies of ten pictures, and of no padding.
    means = pictures(CLASSES).mean(axis=(2, 3)) / 255
    error = np.linalg.norm(means @ EXCHANGED - means) / np.linalg.norm(means)
    assert found.relative_error == pytest.approx(error, rel=1e-5)
    assert sum(len(outputs[0]) for outputs in judge.expected) == 10
    same = judge.judge(dense)
    assert (same.agreement, same.relative_error, same.loss) == (1.0, 0.0, 0.0)


def test_without_labels_agreement_is_what_is_known(tmp_path: Path) -> None:
    dense, other, model = models(tmp_path)
    found = judge_samples(dense, model, samples(None), "pictures").judge(other)
    assert (found.agreement, found.accuracy, found.dense_accuracy) == (0.4, None, None)
    assert found.loss == pytest.approx(60)


def test_targets_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    dense, other, model = models(tmp_path)
    judge = judge_samples(dense, model, samples(), "pictures")
    blind = Judge(judge.names, judge.expected, judge.fed, judge.source, labelled=False)
    assert judge.judge(other).accuracy == 0.6
    assert blind.judge(other).accuracy is None
    assert blind.judge(other).agreement == 0.4


@pytest.mark.parametrize("batch", ["N", 4])
def test_several_inputs(batch: int | str, tmp_path: Path) -> None:
    """Also where the first of them does not count samples: its size is not the batch's."""
    inputs = {"table": (5,), "shift": ()}
    dense = picker(tmp_path / "dense.onnx", batch=batch, others=inputs)
    other = picker(tmp_path / "other.onnx", EXCHANGED, batch=batch, others=inputs)
    model = load_model(dense)
    values = {"table": np.ones(5, np.float32), "shift": np.array(2, np.float32)}
    given = ImageSamples(
        ArrayStore(pictures(CLASSES)), LABELS, others=OtherInputs.of(model, "x", values)
    )
    judge = judge_samples(dense.read_bytes(), model, given, "pictures")
    found = judge.judge(other.read_bytes())
    assert (found.samples, found.agreement, found.accuracy) == (10, 0.4, 0.6)
    assert judge.expected[0][0].mean() > 7  # of the sums of the other inputs


def test_few_pictures(tmp_path: Path) -> None:
    dense, other, model = models(tmp_path, 1)
    found = judge_few(dense, model, samples(), 3).judge(other)
    assert found.samples == 3
    assert found.agreement == pytest.approx(1 / 3)


def test_no_more_is_kept_than_fits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each picture has an output of 12 bytes; what is judged with are always the same pictures."""
    dense, other, model = models(tmp_path, 1)
    monkeypatch.setattr(judging, "_MEMORY", 3 * 12)
    judge = judge_samples(dense, model, samples(), "pictures")
    assert len(judge.expected) == 3
    found = judge.judge(other)
    assert (found.samples, found.agreement) == pytest.approx((3, 1 / 3))
    monkeypatch.setattr(judging, "_MEMORY", 1)  # one batch is needed, whatever it takes
    assert judge_samples(dense, model, samples(), "pictures").judge(other).samples == 1


def test_nothing_to_judge_with(tmp_path: Path) -> None:
    dense, _, model = models(tmp_path)
    with pytest.raises(DataError, match="nothing to judge with"):
        judge_samples(dense, model, samples().subset(np.arange(0)), "pictures")


def test_random_inputs_repeat_themselves(tmp_path: Path) -> None:
    dense, other, model = models(tmp_path)
    settings = InputSettings().with_shapes({info.name: info.shape for info in model.inputs})
    first, again, others = (
        judge_random(dense, settings, seed).judge(other) for seed in (0, 0, 1000)
    )
    assert first == again
    assert first.relative_error != others.relative_error
    assert (first.samples, first.random) == (RANDOM_SAMPLES, True)
    assert (first.agreement, first.accuracy) == (None, None)
    assert 0.1 < first.relative_error < 2
    assert "give --calibration PICTURES" in first.message


# --- the user's own score

SCORES = """
import numpy as np
calls = []
def sizes(expected, outputs):
    calls.append({name: value.shape for name, value in expected.items()})
    return float(np.array_equal(expected["boxes"], outputs["boxes"]))
def crash(expected, outputs): raise KeyError("boxes")
def high(expected, outputs): return 1.5
def lost(expected, outputs): return float("nan")
def words(expected, outputs): return "good"
number = 3
"""


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of scores in the current folder."""
    name = f"scores_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SCORES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def detector(path: Path, moved: float = 0.0) -> Path:
    """x [N, 3, 4, 4] -> boxes [N, 3, 4, 4] of which bright ones move, and a count for all."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["boxes"]),
        helper.make_node("ReduceSum", ["boxes"], ["total"], keepdims=0),
    ]
    weight = np.eye(3, dtype=np.float32)[:, :, None, None] * (1 + moved)
    return save(path, nodes, {"x": ("N", 3, 4, 4)}, ["boxes", "total"], {"w": weight})


def test_a_score_sees_one_sample_of_each_output_by_name(scores: str, tmp_path: Path) -> None:
    path = detector(tmp_path / "dense.onnx")
    dense, score = path.read_bytes(), load_score(f"{scores}:sizes")
    pixels = pictures(CLASSES)
    pixels[:4] = 0  # of a black picture the boxes do not move
    given = ImageSamples(ArrayStore(pixels), None)
    judge = judge_samples(dense, load_model(path), given, "pictures", score)
    found = judge.judge(detector(tmp_path / "moved.onnx", 0.5).read_bytes())
    assert found.score == pytest.approx(0.4)
    assert found.kind == "score"
    assert found.loss == pytest.approx(60)
    module = __import__(scores)
    assert module.calls == [{"boxes": (1, 3, 4, 4), "total": ()}] * 10
    assert judge.judge(dense).score == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":absent", "failed: AttributeError"),
        (":number", "is no function"),
        ("_nowhere:sizes", "failed: ModuleNotFoundError"),
        ("", "is not of the form module:function"),
    ],
)
def test_a_score_that_is_none(name: str, message: str, scores: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_score(f"{scores}{name}")
    assert f"score '{scores}{name}'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crash", "failed: KeyError: 'boxes'"),
        ("high", "gave 1.5, which is not from 0 to 1"),
        ("lost", "gave nan, which is not from 0 to 1"),
        ("words", "failed: ValueError"),
    ],
)
def test_a_score_that_fails(name: str, message: str, scores: str, tmp_path: Path) -> None:
    path = detector(tmp_path / "dense.onnx")
    score = load_score(f"{scores}:{name}")
    judge = judge_samples(path.read_bytes(), load_model(path), samples(None), "pictures", score)
    with pytest.raises(DataError, match=message):
        judge.judge(path.read_bytes())


def test_a_quicker_judge_sees_the_first_samples(tmp_path: Path) -> None:
    dense, other, model = models(tmp_path, 4)
    judge = judge_samples(dense, model, samples(), "pictures")
    few = judge.few(3).judge(other)
    assert (few.samples, few.agreement, few.accuracy) == (4, 0.25, 0.75)
    assert judge.few(5).judge(other).samples == 8
    assert judge.few(100).judge(other) == judge.judge(other)
