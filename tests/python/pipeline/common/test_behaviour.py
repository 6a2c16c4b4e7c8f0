"""What the dense model does on the pictures, and how a wrong preprocessing gives itself away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from pathlib import Path

import numpy as np
import pytest
from pickers import SAME, picker, pictures

from alcs_onnx.data import PRESETS, ImageSamples, Preprocess, ValueRange
from alcs_onnx.data.images import ArrayStore
from alcs_onnx.graph import Model, load_model
from alcs_onnx.pipeline.common.behaviour import Behaviour, behaviour_of, suspicion
from alcs_onnx.pipeline.common.judge import Judge, judge_samples

CLASSES = [0, 1, 1, 1, 0, 1]
#: Scores ±m of the mean of all channels: the sign tells dark pictures from bright ones.
SIGN = np.array([[-8.0], [8.0]]) @ np.ones((1, 3)) / 3


def judged(
    path: Path, pixels: np.ndarray, labels: Sequence[int] | None = None, read: str = "none"
) -> Judge:
    truth = None if labels is None else np.array(labels)
    samples = ImageSamples(ArrayStore(pixels), truth, Preprocess.parse(read))
    return judge_samples(path.read_bytes(), load_model(path), samples, "pictures of a folder")


def test_what_a_classifier_does(tmp_path: Path) -> None:
    path = picker(tmp_path / "m.onnx", 9 * SAME)
    found = behaviour_of(judged(path, pictures(CLASSES), [0, 1, 1, 0, 2, 2]))
    assert (found.source, found.samples) == ("pictures of a folder", 6)
    assert (found.classes, found.predicted, found.most) == pytest.approx((3, 2, 4 / 6))
    assert found.accuracy == 0.5
    x = 9 * pictures(CLASSES).mean(axis=(2, 3)) / 255
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    entropy = -(p * np.log(p)).sum(axis=1).mean() / log(3)
    assert found.entropy == pytest.approx(entropy, rel=1e-4)


def test_probabilities_are_what_they_are(tmp_path: Path) -> None:
    """Of a model that ends with Softmax the entropy is that of its outputs, not of another one."""
    logits = behaviour_of(judged(picker(tmp_path / "a.onnx", 9 * SAME), pictures(CLASSES)))
    softmax = picker(tmp_path / "b.onnx", 9 * SAME, final="Softmax")
    assert behaviour_of(judged(softmax, pictures(CLASSES))).entropy == pytest.approx(logits.entropy)
    assert logits.accuracy is None


def test_equal_scores_have_the_largest_entropy(tmp_path: Path) -> None:
    found = behaviour_of(judged(picker(tmp_path / "m.onnx", 0 * SAME), pictures(CLASSES)))
    assert found.entropy == pytest.approx(1)
    assert (found.predicted, found.most) == (1, 1)


def test_outputs_that_are_no_classes(tmp_path: Path) -> None:
    """One score is none; and of several outputs, as a detector has, the first is no classes."""
    one = behaviour_of(judged(picker(tmp_path / "m.onnx", SIGN[:1]), pictures(CLASSES)))
    assert (one.classes, one.entropy, one.accuracy) == (None, None, None)
    judge = judged(picker(tmp_path / "n.onnx"), pictures(CLASSES))
    several = Judge(("y", "z"), tuple((*x, *x) for x in judge.expected), judge.fed, judge.source)
    assert behaviour_of(several).classes is None
    assert behaviour_of(several).samples == 6


def test_the_message_says_it_in_one_line() -> None:
    inputs = {"x": ValueRange(-2.1179, 2.64, 0.01, 1.0)}
    found = Behaviour("pictures of photos", 256, inputs, 1000, 233, 0.0312, 0.256, 0.715)
    assert found.message == (
        "the dense model on 256 pictures of photos: input 'x' from -2.12 to 2.64 (mean 0.01, std "
        "1); 233 of 1000 classes predicted, the commonest for 3 %, entropy 26 % of the largest; "
        "accuracy 71.50 %"
    )
    assert Behaviour("pictures of photos", 9, inputs).message.endswith("(mean 0.01, std 1)")


# --- wrong preprocessing


def ways(path: Path, pixels: np.ndarray, labels: Sequence[int] | None) -> dict[str, Callable]:
    return {name: partial(judged, path, pixels, labels, name) for name in (*PRESETS, "scale=1")}


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, np.ndarray, list[int]]:
    """A classifier of dark and bright pictures that are centred, as `imagenet` and `tf` are."""
    bright = [0, 1, 0, 1, 1, 0]
    pixels = np.random.default_rng(0).integers(0, 40, (6, 3, 4, 4))
    pixels += np.array([30, 180])[bright][:, None, None, None]
    return picker(tmp_path / "m.onnx", SIGN), pixels.astype(np.uint8), bright


@pytest.mark.parametrize("given", ["none", "scale=1"])
def test_labels_give_a_wrong_preprocessing_away(given: str, signed) -> None:
    """Without a mean all pictures are bright: half of them are right."""
    path, pixels, labels = signed
    told = suspicion(given, ways(path, pixels, labels))
    assert told.startswith(f"is --preprocess {given} right? with 'imagenet' the dense model is")
    assert "is right for 100 % instead of 50 %" in told


def test_an_undecided_model_gives_a_wrong_preprocessing_away(signed) -> None:
    path, pixels, _ = signed
    told = suspicion("none", ways(path, pixels, None))
    assert "with 'imagenet' the dense model is far more decided (entropy" in told
    assert "2 classes instead of 1" in told


@pytest.mark.parametrize("given", ["imagenet", "tf"])
@pytest.mark.parametrize("labelled", [True, False])
def test_nothing_is_suspicious_of_the_right_one(given: str, labelled: bool, signed) -> None:
    """`scale=1` is most decided of all, but for one class: that is no better."""
    path, pixels, labels = signed
    assert suspicion(given, ways(path, pixels, labels if labelled else None)) == ""


def test_nothing_is_said_of_outputs_that_are_no_classes(tmp_path: Path) -> None:
    path = picker(tmp_path / "m.onnx", SIGN[:1])
    assert suspicion("none", ways(path, pictures(CLASSES), None)) == ""


def test_a_small_difference_is_chance(tmp_path: Path) -> None:
    """Accuracies of 50 and 55 %: one picture in twenty."""
    model = load_model(picker(tmp_path / "m.onnx"))
    classes, labels = [0] * 20, [0] * 11 + [1] * 9

    def judge(right: int, model: Model = model) -> Judge:
        shown = [0] * right + [2] * (20 - right)
        samples = ImageSamples(ArrayStore(pictures(shown)), np.array(labels))
        return judge_samples((tmp_path / "m.onnx").read_bytes(), model, samples, "pictures")

    assert len(classes) == 20
    assert suspicion("a", {"a": lambda: judge(10), "b": lambda: judge(11)}) == ""
    assert "right for 55 % instead of 25 %" in suspicion(
        "a", {"a": lambda: judge(5), "b": lambda: judge(11)}
    )
