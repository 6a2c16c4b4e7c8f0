"""What was lost, from pairs of outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alcs_onnx.fidelity import Fidelity, FidelityCount


def counted(expected, found, targets=None, **options) -> Fidelity:
    count = FidelityCount(["y"], options.pop("score", None))
    count.add([expected], [found], len(expected), targets)
    return count.result("pictures", **options)


def test_classes_agree_and_are_right(rng: np.random.Generator) -> None:
    expected = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]]
    found = np.eye(4, dtype=np.float32)[[0, 1, 3, 3]]
    judged = counted(expected, found, np.array([0, 1, 3, 0]))
    assert judged.agreement == 0.75
    assert judged.dense_accuracy == 0.5
    assert judged.accuracy == 0.75
    assert judged.loss == pytest.approx(-25)
    assert "25.00 points gained" in judged.message
    assert (judged.quality, judged.measured_by) == (75, "accuracy")


def test_without_labels_the_loss_is_missing_agreement() -> None:
    expected = np.eye(4, dtype=np.float32)
    judged = counted(expected, expected[[1, 1, 2, 3]])
    assert judged.accuracy is None
    assert judged.loss == pytest.approx(25)
    assert judged.message.startswith("agrees with the dense model on 75.0 % of 4 pictures")
    assert not judged.ruined


def test_rank_correlation_is_spearmans(rng: np.random.Generator) -> None:
    from scipy.stats import spearmanr

    one, other = rng.standard_normal((2, 3, 9)).astype(np.float32)
    judged = counted(one, other)
    expected = np.mean([spearmanr(x, y).statistic for x, y in zip(one, other, strict=True)])
    assert judged.rank_correlation == pytest.approx(expected)


def test_constant_scores_have_no_rank_correlation() -> None:
    judged = counted(np.eye(3, dtype=np.float32), np.zeros((3, 3), np.float32))
    assert judged.rank_correlation is None
    assert judged.relative_error == pytest.approx(1)


def test_relative_error_is_over_all_batches(rng: np.random.Generator) -> None:
    x, noise = rng.standard_normal((2, 6, 5, 7, 7))
    count = FidelityCount(["y"])
    for part in (slice(0, 4), slice(4, 6)):
        count.add([x[part]], [(x + 0.1 * noise)[part]], len(x[part]))
    judged = count.result("pictures")
    expected = 0.1 * np.linalg.norm(noise) / np.linalg.norm(x)
    assert judged.relative_error == pytest.approx(expected)
    assert judged.loss == pytest.approx(100 * expected)
    assert judged.samples == 6
    assert judged.psnr_db is None  # five channels are no picture
    assert judged.quality == pytest.approx(100 - judged.loss)
    assert judged.measured_by == "100 - relative error"


def test_pictures_have_a_peak_signal_to_noise_ratio(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 8, 8))
    found = x + 0.01
    peak = x.max() - x.min()
    assert counted(x, found).psnr_db == pytest.approx(20 * math.log10(peak / 0.01))
    assert counted(x, x).psnr_db is None


def test_the_worst_of_several_outputs_counts(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 4, 10))
    count = FidelityCount(["x", "y"])
    count.add([x, y], [x, 0.8 * y], 4)
    judged = count.result("pictures")
    assert judged.relative_error == pytest.approx(0.2)
    assert judged.agreement is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_any_more(bad: float) -> None:
    x = np.ones((2, 5, 3, 3))
    y = x.copy()
    y[1, 2, 0, 0] = bad
    judged = counted(x, y)
    assert judged.relative_error == math.inf
    assert judged.ruined
    assert "not finite" in judged.message
    assert counted(y, y).relative_error == 0  # where the dense model's are not, nothing is lost


def test_outputs_of_another_size_are_lost() -> None:
    assert counted(np.ones((1, 7, 4)), np.ones((1, 6, 4))).relative_error == pytest.approx(1)


def test_the_users_own_score_is_the_mean_over_samples() -> None:
    seen = []

    def score(expected, found) -> float:
        seen.append((expected["y"].shape, found["y"].shape))
        return float(expected["y"][0, 0] == found["y"][0, 0])

    judged = counted(np.arange(8.0).reshape(4, 2), np.array([[0, 1], [2, 0], [9, 9], [9, 9.0]]),
                     score=score)  # fmt: skip
    assert judged.score == 0.5
    assert judged.loss == 50
    assert seen == [((1, 2), (1, 2))] * 4
    assert judged.brief == "score 50.0 %"


def test_random_inputs_say_nothing_of_classes() -> None:
    expected = np.eye(4, dtype=np.float32)
    judged = counted(expected, expected[::-1], random=True)
    assert judged.agreement is None
    assert judged.ruined
    assert "give --calibration" in judged.message
    assert not judged.exceeds(None)
    assert judged.exceeds(10)


def test_a_destroyed_network_is_never_a_success() -> None:
    expected = np.eye(4, dtype=np.float32)
    judged = counted(expected, expected[[1, 2, 3, 0]])
    assert judged.exceeds(None)
    assert judged.message.startswith("the network is destroyed: agrees")


def test_verdict_says_whether_it_may_be_lost() -> None:
    expected = np.eye(4, dtype=np.float32)
    judged = counted(expected, expected[[1, 1, 2, 3]])
    assert judged.exceeds(20)
    assert judged.verdict(20).endswith("MORE than the 20 % that may be lost")
    assert not judged.exceeds(30)
    assert judged.verdict(30).endswith("within the 30 % that may be lost")
    assert judged.verdict(None) == judged.message
