"""ADMM, masked retraining, checkpoints and determinism, on a small network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from classifiers import classifier, patterns, save  # noqa: E402
from onnx import helper  # noqa: E402
from train_models import (  # noqa: E402
    CONFIG,
    PRUNABLE,
    InterruptedRunError,
    StopAfter,
    dense,
    keep_largest,
    pattern_data,
    prune,
    same,
)

from alcs_onnx.data import Data, load_data  # noqa: E402
from alcs_onnx.errors import AlcsError, DataError, OutputError, UnsupportedError  # noqa: E402
from alcs_onnx.graph import Model, load_model  # noqa: E402
from alcs_onnx.train import (  # noqa: E402
    Projection,
    Start,
    TrainConfig,
    TrainResult,
    TrainRun,
    admm,
    evaluate,
    finetune,
)
from alcs_onnx.train.batches import TensorBatch  # noqa: E402
from alcs_onnx.train.finetune import cosine  # noqa: E402
from alcs_onnx.train.penalty import automatic_rho  # noqa: E402


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


@pytest.fixture
def data(model: Model, tmp_path: Path) -> Data:
    return pattern_data(model, tmp_path)


# --- the algorithm -------------------------------------------------------------------------


@pytest.mark.parametrize("dual_init", ["paper", "scaled", "zero"])
def test_iterations_follow_the_algorithm_box(dual_init: str, model: Model, data: Data) -> None:
    """With a loss of zero every step has a closed form: compare three iterations of it."""
    config = replace(
        CONFIG, admm_epochs=3, momentum=0.0, weight_decay=0.0, dual_init=dual_init, batch_size=320,
        lr=0.5, rho_adapt=1.0,
    )  # fmt: skip
    flat = replace(data, loss=lambda output, _: output.sum() * 0.0, test=None)
    project = keep_largest(0.5)
    found = admm(model, PRUNABLE, project, TrainRun(flat, config))

    rho, lr = config.rho, config.lr
    start = {layer: model.initializers[name].astype(float) for layer, name in PRUNABLE.items()}
    masks = project(start).masks
    w, u = dict(start), {k: start[k] * masks[k] for k in start}
    factor = {"paper": 1.0, "scaled": rho, "zero": 0.0}[dual_init]
    z = {k: factor * (w[k] - u[k]) for k in w}
    residuals = []
    for _ in range(3):
        w = {k: w[k] - lr * (rho * (w[k] - u[k]) + z[k]) for k in w}
        point = {k: w[k] + z[k] / rho for k in w}
        masks = project(point).masks
        u = {k: point[k] * masks[k] for k in w}
        z = {k: z[k] + rho * (w[k] - u[k]) for k in w}
        residuals.append(sum(((w[k] - u[k]) ** 2).sum() for k in w) ** 0.5)
    for layer, name in PRUNABLE.items():
        np.testing.assert_allclose(found.weights[name], u[layer], rtol=1e-4, atol=1e-5)
        assert np.array_equal(found.keep[layer], masks[layer])
    records = found.history.stage("admm")
    assert [r.residual for r in records] == pytest.approx(residuals, rel=1e-4)
    assert np.array_equal(found.weights["head.bias"], model.initializers["head.bias"])


def test_pruned_network_reaches_the_accuracy_of_the_dense_one(model: Model, data: Data) -> None:
    weights = dense(model, data)
    before = evaluate(model, data, weights).value
    assert before > 0.95
    project = keep_largest(0.3)
    config = replace(CONFIG, admm_epochs=6, finetune_epochs=8)
    oneshot = admm(
        model,
        PRUNABLE,
        project,
        TrainRun(data, replace(config, admm_epochs=0)),
        start=Start(weights),
    )
    result = prune(model, PRUNABLE, project, TrainRun(data, config), start=Start(weights))
    after = evaluate(model, data, result.weights).value
    assert after > evaluate(model, data, oneshot.weights).value + 0.05
    assert after > before - 0.03
    for layer, name in PRUNABLE.items():
        assert 0.25 < result.keep[layer].mean() < 0.35
        assert not result.weights[name][~result.keep[layer]].any()
        assert result.weights[name].dtype == np.float32
    first, last = result.history.stage("admm")[0], result.history.stage("admm")[-1]
    assert last.relative_residual < 0.75 * first.relative_residual
    assert len(result.history.stage("finetune")) == 8
    assert result.predicted_ms == 1.25


def test_one_shot_only_cuts(model: Model, data: Data) -> None:
    project = keep_largest(0.5)
    result = admm(model, PRUNABLE, project, TrainRun(data, replace(CONFIG, admm_epochs=0)))
    for layer, name in PRUNABLE.items():
        expected = np.where(result.keep[layer], model.initializers[name], 0)
        assert np.array_equal(result.weights[name], expected)
    assert result.history.records == ()


def test_finetuning_moves_everything_but_the_pruned_weights(model: Model, data: Data) -> None:
    masks = keep_largest(0.5)({k: model.initializers[v] for k, v in PRUNABLE.items()}).masks
    config = replace(CONFIG, finetune_epochs=1, finetune_weight_decay=0.01)
    result = finetune(
        model, PRUNABLE, TrainRun(data, config), start=Start(keep={"body": masks["body"]})
    )
    assert not result.weights["body.weight"][~masks["body"]].any()
    assert (result.weights["body.weight"][masks["body"]] != 0).all()
    for name in ("stem.weight", "stem.bias", "body.bias", "head.weight", "head.bias"):
        assert (result.weights[name] != model.initializers[name]).all()


def test_layers_that_the_projection_leaves_out_stay_dense(model: Model, data: Data) -> None:
    def project(weights: Mapping[str, np.ndarray]) -> Projection:
        found = keep_largest(0.5)(weights)
        return Projection({"body": found.masks["body"]}, found.predicted_ms)

    result = prune(
        model, PRUNABLE, project, TrainRun(data, replace(CONFIG, admm_epochs=1, finetune_epochs=1))
    )
    assert result.keep["stem"].all()
    assert (result.weights["stem.weight"] != 0).all()


@pytest.mark.parametrize("rate", [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0), (1.5, 0.0)])
def test_cosine(rate: tuple[float, float]) -> None:
    assert cosine(1.0, rate[0]) == pytest.approx(rate[1])


def test_automatic_rho_is_the_papers_on_its_own_schedule() -> None:
    paper = TrainConfig(batch_size=256, admm_epochs=100)
    assert automatic_rho(paper, 5005) == pytest.approx(0.01, rel=0.01)
    assert automatic_rho(paper, 500) == pytest.approx(0.1, rel=0.01)
    assert automatic_rho(replace(paper, admm_epochs=6), 5005) == pytest.approx(0.02, rel=0.01)
    assert automatic_rho(replace(paper, optimizer="adam"), 50) == 0.01
    assert automatic_rho(paper, None) == 0.01


def test_too_small_a_penalty_swaps_the_masks(model: Model, data: Data) -> None:
    """The reason for `automatic_rho`, and for not starting from the printed dual."""
    weights = dense(model, data)
    config = replace(CONFIG, lr=0.001, admm_epochs=6, evaluate=False)

    def changed(**settings: Any) -> float:
        run = replace(config, **settings)
        result = admm(model, PRUNABLE, keep_largest(0.5), TrainRun(data, run), start=Start(weights))
        return sum(record.changed for record in result.history.records)

    assert changed(rho=0.001) > 0.5
    assert changed(rho=None) < 0.3
    assert changed(rho=0.01, dual_init="paper") > 1


# --- losses --------------------------------------------------------------------------------


def test_without_labels_the_dense_model_teaches(model: Model, data: Data) -> None:
    weights = dense(model, data)
    teacher = model.with_initializers(weights)
    train, test = data.train, data.test
    unlabelled = replace(
        data,
        train=replace(train, labels=None),  # type: ignore[type-var]
        test=replace(test, labels=None),  # type: ignore[type-var]
    )
    config = replace(CONFIG, admm_epochs=2, finetune_epochs=6)
    project = keep_largest(0.3)
    oneshot = admm(teacher, PRUNABLE, project, TrainRun(unlabelled, replace(config, admm_epochs=0)))
    result = prune(teacher, PRUNABLE, project, TrainRun(unlabelled, config))
    found = evaluate(teacher, unlabelled, result.weights)
    assert found.kind == "agreement"
    assert found.value > evaluate(teacher, unlabelled, oneshot.weights).value
    assert found.value > 0.9
    assert evaluate(teacher, unlabelled).value == 1.0


def test_distillation_alone_has_no_loss_at_the_teacher(model: Model, data: Data) -> None:
    config = replace(CONFIG, distill=1.0, finetune_epochs=1, finetune_lr=1e-9)
    result = finetune(model, PRUNABLE, TrainRun(data, config))
    assert result.history.records[0].loss == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("final", ["Softmax", "LogSoftmax"])
def test_probabilities_train_like_logits(final: str, tmp_path: Path, data: Data) -> None:
    config = replace(CONFIG, finetune_epochs=1, distill=0.3)
    logits = finetune(classifier(tmp_path), PRUNABLE, TrainRun(data, config))
    found = finetune(classifier(tmp_path, final=final), PRUNABLE, TrainRun(data, config))
    for name, array in logits.weights.items():
        np.testing.assert_allclose(found.weights[name], array, rtol=1e-3, atol=1e-4)


def test_models_that_are_no_classifiers(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"], name="only", pads=[1] * 4)]
    weights = {"k": np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)}
    model = load_model(save(tmp_path / "m.onnx", nodes, {"x": ["N", 3, 8, 8]}, ["y"], weights))
    found = patterns(64)
    np.savez(tmp_path / "x.npz", x=found["x"])
    np.savez(tmp_path / "xy.npz", x=found["x"], y=found["y"])
    data = load_data(str(tmp_path / "x.npz"), model)
    config = replace(CONFIG, admm_epochs=0, finetune_epochs=5, finetune_lr=0.01)

    def project(weights: Mapping[str, np.ndarray]) -> Projection:
        return keep_largest(0.5, simd_group=2)(weights)

    oneshot = admm(model, {"only": "k"}, project, TrainRun(data, config))
    result = finetune(
        model, {"only": "k"}, TrainRun(data, config), start=Start(oneshot.weights, oneshot.keep)
    )
    before, after = (evaluate(model, data, r.weights) for r in (oneshot, result))
    assert before.kind == "fidelity"
    assert 0 < before.value < after.value < 1
    with pytest.raises(DataError, match="no classifier"):
        admm(
            model,
            {"only": "k"},
            project,
            TrainRun(load_data(str(tmp_path / "xy.npz"), model), config),
        )


def test_bfloat16_trains(model: Model, data: Data) -> None:
    config = replace(CONFIG, bfloat16=True, finetune_epochs=12, finetune_lr=0.1)
    result = finetune(model, PRUNABLE, TrainRun(data, config))
    assert evaluate(model, data, result.weights).value > 0.9


# --- determinism and checkpoints -------------------------------------------------------------


def test_equal_seeds_give_equal_bits(model: Model, data: Data) -> None:
    def run(seed: int) -> TrainResult:
        return prune(model, PRUNABLE, keep_largest(0.5), TrainRun(data, replace(CONFIG, seed=seed)))

    first, again, other = run(1), run(1), run(2)
    assert same(first.weights, again.weights)
    assert same(first.keep, again.keep)
    assert not same(first.weights, other.weights)


@pytest.mark.parametrize("epochs", [1, 3, 4, 6])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_resumed_runs_end_as_uninterrupted_ones(
    epochs: int, optimizer: str, model: Model, data: Data, tmp_path: Path
) -> None:
    project = keep_largest(0.4)
    config = replace(
        CONFIG,
        nesterov=True,
        dual_init="scaled",
        optimizer=optimizer,
        finetune_optimizer=optimizer,
        lr=0.01,
    )
    whole = prune(model, PRUNABLE, project, TrainRun(data, config))
    folder = tmp_path / "checkpoints"
    with pytest.raises(InterruptedRunError):
        prune(
            model,
            PRUNABLE,
            project,
            TrainRun(data, config, checkpoint=folder, reporter=StopAfter(epochs)),
        )
    resumed = prune(
        model, PRUNABLE, project, TrainRun(data, config, checkpoint=folder, resume=True)
    )
    assert same(whole.weights, resumed.weights)
    assert same(whole.keep, resumed.keep)
    assert [replace(r, seconds=0) for r in whole.history.records] == [
        replace(r, seconds=0) for r in resumed.history.records
    ]
    assert whole.predicted_ms == resumed.predicted_ms
    # Finished work is not repeated: nothing may run a batch any more.
    done = prune(
        model,
        PRUNABLE,
        project,
        TrainRun(data, config, checkpoint=folder, resume=True, reporter=StopAfter(0)),
    )
    assert same(whole.weights, done.weights)


def test_starting_anew_forgets_the_old_checkpoint(model: Model, data: Data, tmp_path: Path) -> None:
    prune(model, PRUNABLE, keep_largest(0.4), TrainRun(data, CONFIG, checkpoint=tmp_path))
    other = replace(CONFIG, seed=5)
    with pytest.raises(InterruptedRunError):
        prune(
            model,
            PRUNABLE,
            keep_largest(0.4),
            TrainRun(data, other, checkpoint=tmp_path, reporter=StopAfter(1)),
        )
    resumed = prune(
        model, PRUNABLE, keep_largest(0.4), TrainRun(data, other, checkpoint=tmp_path, resume=True)
    )
    assert same(
        resumed.weights, prune(model, PRUNABLE, keep_largest(0.4), TrainRun(data, other)).weights
    )


def test_checkpoints_of_other_runs_are_refused(model: Model, data: Data, tmp_path: Path) -> None:
    folder = tmp_path / "c"

    def go(model: Model = model, config: TrainConfig = CONFIG, **kw: Any) -> TrainResult:
        return admm(
            model, PRUNABLE, keep_largest(0.5), TrainRun(data, config, checkpoint=folder, **kw)
        )

    go(fingerprint="budget 5ms")
    go(resume=True, fingerprint="budget 5ms", config=replace(CONFIG, threads=2))
    with pytest.raises(
        AlcsError, match="of another run: purpose was budget 5ms, is now budget 4ms"
    ):
        go(resume=True, fingerprint="budget 4ms")
    with pytest.raises(AlcsError, match=r"another run: rho was 0\.1, is now 0\.2"):
        go(resume=True, fingerprint="budget 5ms", config=replace(CONFIG, rho=0.2))
    other = model.with_initializers({"head.bias": np.ones(4, np.float32)})
    with pytest.raises(AlcsError, match="another run: model differs"):
        go(resume=True, fingerprint="budget 5ms", model=other)


def test_damaged_and_unwritable_checkpoints(model: Model, data: Data, tmp_path: Path) -> None:
    (tmp_path / "admm.pt").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(AlcsError, match=r"admm\.pt' cannot be read") as caught:
        admm(
            model,
            PRUNABLE,
            keep_largest(0.5),
            TrainRun(data, CONFIG, checkpoint=tmp_path, resume=True),
        )
    assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        admm(
            model,
            PRUNABLE,
            keep_largest(0.5),
            TrainRun(data, CONFIG, checkpoint=tmp_path / "file" / "sub"),
        )


def test_checkpoints_leave_no_temporary_files(model: Model, data: Data, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    prune(model, PRUNABLE, keep_largest(0.5), TrainRun(data, CONFIG, checkpoint=folder))
    assert sorted(p.name for p in folder.iterdir()) == ["admm.pt", "finetune.pt"]


# --- what goes wrong -------------------------------------------------------------------------


def test_divergence_is_told(model: Model, data: Data) -> None:
    with pytest.raises(AlcsError, match=r"training diverged: the loss is \w+ in admm epoch \d"):
        admm(model, PRUNABLE, keep_largest(0.5), TrainRun(data, replace(CONFIG, lr=1e6)))


def test_clipping_the_gradient_prevents_divergence(model: Model, data: Data) -> None:
    config = replace(CONFIG, lr=1.0, clip_gradient=0.01, admm_epochs=1)
    assert np.isfinite(
        admm(model, PRUNABLE, keep_largest(0.5), TrainRun(data, config)).weights["head.bias"]
    ).all()


def test_shared_weights_cannot_be_pruned_separately(model: Model, data: Data) -> None:
    prunable = {"stem": "stem.weight", "again": "stem.weight"}
    with pytest.raises(UnsupportedError, match="'stem' and 'again' share the weight"):
        admm(model, prunable, keep_largest(0.5), TrainRun(data, CONFIG))


def test_unknown_optimizer(model: Model, data: Data) -> None:
    with pytest.raises(AlcsError, match="optimizer 'lion' is not one of sgd, adam"):
        admm(model, PRUNABLE, keep_largest(0.5), TrainRun(data, replace(CONFIG, optimizer="lion")))
    with pytest.raises(AlcsError, match="optimizer 'lion' is not one of sgd, adam"):
        # Told before ADMM starts, not after it.
        admm(
            model,
            PRUNABLE,
            keep_largest(0.5),
            TrainRun(data, replace(CONFIG, finetune_optimizer="lion")),
        )


def test_wrong_masks_are_refused(model: Model, data: Data) -> None:
    wrong = {"stem": np.ones((2, 2), bool)}
    with pytest.raises(AlcsError, match=r"mask of layer 'stem' has shape \[2, 2\]"):
        admm(model, PRUNABLE, lambda _: Projection(wrong, 0.0), TrainRun(data, CONFIG))
    with pytest.raises(AlcsError, match=r"mask of layer 'stem' has shape \[2, 2\]"):
        finetune(model, PRUNABLE, TrainRun(data, CONFIG), start=Start(keep=wrong))
    with pytest.raises(AlcsError, match="unknown layer 'nose'"):
        admm(
            model,
            PRUNABLE,
            lambda _: Projection({"nose": wrong["stem"]}, 0.0),
            TrainRun(data, CONFIG),
        )
    with pytest.raises(AlcsError, match="'nose', which is no prunable layer"):
        finetune(model, PRUNABLE, TrainRun(data, CONFIG), start=Start(keep={"nose": wrong["stem"]}))


def test_importing_without_torch_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from alcs_onnx.errors import AlcsError\n"
        "import alcs_onnx\n"
        "try:\n    import alcs_onnx.train\n"
        "except AlcsError as error:\n    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "training needs torch" in found.stdout
    assert "pip install alcs-onnx[train]" in found.stdout
    assert found.stdout.count("\n") == 1


def test_progress_is_shown(model: Model, data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    from alcs_onnx.report.progress import progress

    with progress() as bars:
        prune(
            model,
            PRUNABLE,
            keep_largest(0.5),
            TrainRun(data, replace(CONFIG, admm_epochs=1, finetune_epochs=1), reporter=bars),
        )
    lines = [line for line in capsys.readouterr().err.splitlines() if "loss" in line]
    assert any(
        line.startswith("ADMM 1/1") and "‖W−U‖" in line and "1.250 ms" in line for line in lines
    )
    assert any(line.startswith("fine-tuning 1/1") and "accuracy" in line for line in lines)


# --- recalibration ---------------------------------------------------------------------------


def test_recalibration_restores_the_moments_of_every_channel(model: Model, data: Data) -> None:
    from alcs_onnx.train import OnnxModule
    from alcs_onnx.train.recalibrate import LIMITS, match_moments

    masks = keep_largest(0.5)({k: model.initializers[v] for k, v in PRUNABLE.items()}).masks
    pruned = {v: np.where(masks[k], model.initializers[v], 0) for k, v in PRUNABLE.items()}
    teacher, module = OnnxModule(model, inplace=False), OnnxModule(model, inplace=False)
    module.load(pruned)
    inputs = TensorBatch.of(next(iter(data.train.batches(320, training=True)))).inputs
    with torch.no_grad():
        before = module.tensors(*inputs)
    match_moments(model, module, teacher, inputs)
    with torch.no_grad():
        after, dense = module.tensors(*inputs), teacher.tensors(*inputs)
    for name in ("a", "c"):
        for moment in (torch.mean, torch.std):
            torch.testing.assert_close(
                moment(after[name], dim=(0, 2, 3)), moment(dense[name], dim=(0, 2, 3)),
                rtol=1e-3, atol=1e-3,
            )  # fmt: skip
    assert not torch.allclose(before["a"].std(dim=(0, 2, 3)), dense["a"].std(dim=(0, 2, 3)))
    for layer, name in PRUNABLE.items():
        factors = module.arrays()[name] / np.where(pruned[name] == 0, 1, pruned[name])
        kept = factors[masks[layer]]
        assert (kept >= LIMITS[0] - 1e-5).all()
        assert (kept <= LIMITS[1] + 1e-5).all()
        assert not module.arrays()[name][~masks[layer]].any()


def test_recalibration_alone_improves_a_pruned_network(model: Model, data: Data) -> None:
    trained = model.with_initializers(dense(model, data))
    config = replace(CONFIG, admm_epochs=0, finetune_epochs=0)
    oneshot = admm(trained, PRUNABLE, keep_largest(0.15), TrainRun(data, config))
    fixed = finetune(
        trained, PRUNABLE, TrainRun(data, config), start=Start(oneshot.weights, oneshot.keep)
    )
    plain = finetune(
        trained,
        PRUNABLE,
        TrainRun(data, replace(config, recalibrate=False)),
        start=Start(oneshot.weights, oneshot.keep),
    )
    assert same(plain.weights, oneshot.weights)
    before, after = (evaluate(trained, data, r.weights).value for r in (plain, fixed))
    assert after > before + 0.02
