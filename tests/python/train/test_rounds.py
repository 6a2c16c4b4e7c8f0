"""Rounds of ADMM, the penalty's schedule, and weights trained to quantization levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import train_models  # noqa: E402
from classifiers import classifier  # noqa: E402
from train_models import (  # noqa: E402
    CONFIG,
    PRUNABLE,
    keep_largest,
    pattern_data,
    prune,
)

from alcs_onnx.codebooks import CODEBOOKS, get_codebook, quantize  # noqa: E402
from alcs_onnx.data import Data  # noqa: E402
from alcs_onnx.errors import AlcsError  # noqa: E402
from alcs_onnx.graph import Model  # noqa: E402
from alcs_onnx.train import (  # noqa: E402
    EpochRecord,
    Start,
    TrainConfig,
    TrainHistory,
    TrainRun,
    admm,
    evaluate,
    finetune,
    limited_rho,
    quantize_weights,
)
from alcs_onnx.train.penalty import Penalty  # noqa: E402
from alcs_onnx.train.quantize import within  # noqa: E402


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


@pytest.fixture
def data(model: Model, tmp_path: Path) -> Data:
    return pattern_data(model, tmp_path)


@pytest.fixture
def dense(model: Model, data: Data):
    return train_models.dense(model, data)


def record(epoch, residual, loss=1.0):
    return EpochRecord("admm", epoch, loss, residual, residual)


# --- rho -----------------------------------------------------------------------------------


def test_rho_rises_by_its_schedule_and_by_layer():
    config = TrainConfig(rho=0.002, rho_layers={"b": 0.01}, rho_growth=2, rho_every=2, rho_max=0.03)
    penalty = Penalty(config, ["a", "b"], 100)
    seen = []
    for epoch in range(1, 8):
        seen.append((penalty["a"], penalty["b"]))
        penalty.observe(record(epoch, 1 / epoch))
    assert [a for a, _ in seen] == pytest.approx([0.002, 0.002, 0.004, 0.004, 0.008, 0.008, 0.016])
    assert [b for _, b in seen] == pytest.approx([0.01, 0.01, 0.02, 0.02, 0.03, 0.03, 0.03])
    with pytest.raises(AlcsError, match="rho is given for 'z'"):
        Penalty(TrainConfig(rho_layers={"z": 1.0}), ["a"], 100)


def test_rho_is_raised_when_the_weights_move_away_and_replays():
    config = TrainConfig(rho=0.01, rho_adapt=3)
    penalty, records = Penalty(config, ["a"], 100), []
    for epoch, residual in enumerate((0.5, 0.4, 0.6, 0.5, 0.8), 1):
        records.append(record(epoch, residual))
        told = penalty.observe(records[-1])
        assert bool(told) == (residual in (0.6, 0.8))
    assert penalty["a"] == pytest.approx(0.09)
    again = Penalty(config, ["a"], 100)
    again.replay(TrainHistory(tuple(records)))
    assert again["a"] == penalty["a"]


def test_training_that_diverges_stops_with_a_reason():
    penalty = Penalty(TrainConfig(rho=0.01), ["a"], 100)
    for epoch in range(1, 5):
        penalty.observe(record(epoch, 0.1 * 1.5**epoch))
    with pytest.raises(AlcsError, match=r"training diverged: ‖W − U‖ has grown in 4 iterations"):
        penalty.observe(record(5, 0.1 * 1.5**5))
    penalty = Penalty(TrainConfig(rho=0.01), ["a"], 100)
    penalty.observe(record(1, 0.1, 0.2))
    penalty.observe(record(2, 0.1, 9.0))  # pruned nearly to death: it may recover
    with pytest.raises(AlcsError, match=r"the loss is 90 in ADMM iteration 3, after 0\.2"):
        penalty.observe(record(3, 0.1, 90.0))
    # A residual near zero may do what it likes.
    penalty = Penalty(TrainConfig(rho=0.01), ["a"], 100)
    for epoch in range(1, 9):
        penalty.observe(record(epoch, 1e-5 * 1.5**epoch))


def test_sgd_never_steps_over_the_target():
    config = TrainConfig(rho=1e6, lr=0.1, momentum=0.9)
    assert Penalty(config, ["a"], 100)["a"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"rho": 0.9}, ""),
        ({"rho": None}, ""),
        ({"rho": 5.0, "optimizer": "adam"}, ""),
        ({"rho": 5.0, "admm_epochs": 0}, ""),
        (
            {"rho": 5.0, "rho_layers": {"a": 0.1, "b": 2.0}},
            "rho 5, rho of 'b' 2: limited to 1 (SGD would overshoot at lr 0.1, momentum 0.9)",
        ),
        ({"rho": 0.9, "rho_max": 0.5}, "rho 0.9: limited to 0.5 (rho_max)"),
    ],
)
def test_a_rho_that_is_limited_is_told(settings, line):
    assert limited_rho(TrainConfig(**{"lr": 0.1, "momentum": 0.9, **settings})) == line


# --- rounds --------------------------------------------------------------------------------


def test_a_second_round_never_recovers_what_the_first_has_pruned(model, data, dense):
    config = replace(CONFIG, admm_epochs=2, finetune_epochs=1, weight_decay=0.01)
    first = prune(model, PRUNABLE, keep_largest(0.5), TrainRun(data, config), start=Start(dense))
    second = admm(
        model,
        PRUNABLE,
        keep_largest(0.3),
        TrainRun(data, config),
        start=Start(first.weights, first.keep),
        stage="2-admm",
    )
    for layer, name in PRUNABLE.items():
        assert not (second.keep[layer] & ~first.keep[layer]).any()
        assert second.keep[layer].sum() < first.keep[layer].sum()
        assert (second.weights[name][~second.keep[layer]] == 0).all()
    assert {r.stage for r in second.history.records} == {"2-admm"}


def test_residuals_and_rho_are_recorded(model, data, dense):
    config = replace(CONFIG, admm_epochs=3, rho=0.05, rho_growth=2)
    result = admm(model, PRUNABLE, keep_largest(0.5), TrainRun(data, config), start=Start(dense))
    rows = result.history.records
    assert [row.rho for row in rows] == pytest.approx([0.05, 0.1, 0.2])
    assert all(row.residual > 0 and row.dual_residual > 0 for row in rows)


def test_an_iteration_may_take_several_epochs(model, data, dense):
    """Two epochs an iteration move W as two iterations do when U and Z stay what they were."""
    flat = replace(data, loss=lambda output, _: output.sum() * 0.0, test=None)
    config = replace(
        CONFIG, admm_epochs=1, iteration_epochs=2, momentum=0.0, weight_decay=0.0, batch_size=320,
        lr=0.5,
    )  # fmt: skip
    found = admm(model, PRUNABLE, keep_largest(0.5), TrainRun(flat, config), start=Start(dense))
    for name in PRUNABLE.values():
        w = dense[name].astype(float)
        u = np.where(found.keep[next(k for k, v in PRUNABLE.items() if v == name)], w, 0)
        assert config.rho is not None
        for _ in range(2):
            w = w - config.lr * config.rho * (w - u)
        np.testing.assert_allclose(found.trained[name], w, rtol=1e-4, atol=1e-6)


# --- frozen weights ------------------------------------------------------------------------


def test_fixed_weights_keep_their_value_whatever_the_optimizer_does(model, data, dense):
    layer, name = next(iter(PRUNABLE.items()))
    fixed = np.random.default_rng(0).random(dense[name].shape) < 0.5
    for optimizer in ("sgd", "adam"):
        config = replace(
            CONFIG, finetune_epochs=2, finetune_weight_decay=0.1, finetune_optimizer=optimizer
        )
        found = finetune(
            model, PRUNABLE, TrainRun(data, config), start=Start(dense), fixed={layer: fixed}
        )
        assert (found.weights[name][fixed] == dense[name][fixed]).all()
        assert (found.weights[name][~fixed] != dense[name][~fixed]).any()


def test_biases_can_be_masked_too(model, data, dense):
    keep = np.arange(dense["stem.bias"].size) % 2 == 0
    layer = next(layer for layer, name in PRUNABLE.items() if name == "stem.weight")
    filters = np.broadcast_to(keep[:, None, None, None], dense["stem.weight"].shape)
    found = finetune(
        model,
        PRUNABLE,
        TrainRun(data, CONFIG),
        start=Start(dense, {layer: filters}, {"stem.bias": keep}),
    )
    assert (found.weights["stem.bias"][~keep] == 0).all()
    assert (found.weights["stem.bias"][keep] != 0).all()
    with pytest.raises(AlcsError, match=r"mask of 'stem\.bias' has shape"):
        finetune(
            model,
            PRUNABLE,
            TrainRun(data, CONFIG),
            start=Start(dense, keep_vectors={"stem.bias": keep[:1]}),
        )


# --- quantization --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary", "ternary", "3bit"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_every_weight_ends_on_a_level_and_zeros_stay_zeros(name, per_channel, model, data, dense):
    config = replace(CONFIG, admm_epochs=2, finetune_epochs=1, finetune_weight_decay=0.01)
    pruned = prune(model, PRUNABLE, keep_largest(0.5), TrainRun(data, config), start=Start(dense))
    levels = dict.fromkeys(PRUNABLE, get_codebook(name))
    result = quantize_weights(
        model,
        PRUNABLE,
        levels,
        TrainRun(data, config),
        start=Start(pruned.weights, pruned.keep),
        per_channel=per_channel,
    )
    for layer, weight in PRUNABLE.items():
        quantized, keep = result.quantized[layer], pruned.keep[layer]
        np.testing.assert_array_equal(result.weights[weight], quantized.values())
        assert (quantized.levels[~keep] == 0).all()
        assert set(np.unique(quantized.levels[keep])) <= set(get_codebook(name).levels)
        assert quantized.scale.size == (len(keep) if per_channel else 1)
    stages = [r.stage for r in result.history.records]
    assert stages[:2] == ["quantize-admm"] * 2
    assert stages[2:] == [f"quantize-{i}" for i in range(1, 5)]


def test_training_to_levels_beats_rounding(model, data, dense):
    config = replace(CONFIG, admm_epochs=4, finetune_epochs=3)
    levels = dict.fromkeys(PRUNABLE, get_codebook("binary"))
    rounded = dict(dense)
    for weight in PRUNABLE.values():
        rounded[weight] = quantize(dense[weight], get_codebook("binary")).values()
    before = evaluate(model, data, rounded, config).value
    result = quantize_weights(model, PRUNABLE, levels, TrainRun(data, config), start=Start(dense))
    assert evaluate(model, data, result.weights, config).value > before


def test_weights_close_to_their_level_are_mapped_first():
    weight = np.array([0.0, 0.95, 1.2, 1.45, 9.0], np.float32)
    quantized = quantize(weight, CODEBOOKS["3bit"], scale=np.ones(1, np.float32))
    assert within(weight, quantized, 0.3).tolist() == [True, True, False, False, False]
    assert within(weight, quantized, 0.6).tolist() == [True, True, True, False, False]
    assert within(weight, quantized, 1.0).all()


def test_layers_are_checked(model, data):
    with pytest.raises(AlcsError, match="levels are given for 'z'"):
        quantize_weights(model, PRUNABLE, {"z": CODEBOOKS["3bit"]}, TrainRun(data, CONFIG))
