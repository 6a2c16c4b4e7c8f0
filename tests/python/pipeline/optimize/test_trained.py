"""`--method auto` with data: what needs no training beside what is trained.

Latencies are told, so that every method reaches the budget on any machine; losses are real.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plans import a_third_less
from reporters import Recorder, StopIn, StoppedError
from small_models import undecided_net, with_own_labels
from told_times import told

from alcs_onnx import Measuring, Training, optimize
from alcs_onnx.errors import AlcsError, DivergedError
from alcs_onnx.graph import load_model, loadable
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.training import Network, Trainer
from alcs_onnx.pipeline.optimize import OptimizeRequest, OptimizeResult, auto
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.measured import Measured, measure_finally
from alcs_onnx.pipeline.optimize.methods import CANDIDATES
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan, save_plan
from alcs_onnx.pipeline.optimize.run import open_run
from alcs_onnx.report.optimize import optimize_page
from alcs_onnx.types import Budget, PruningPlan

pytest.importorskip("torch")

QUICK = Measuring(warmup=1, iterations=3)
#: Enough to learn four kinds of images apart.
SCHEDULE: Mapping[str, Any] = {
    "admm_epochs": 1, "finetune_epochs": 8, "lr": 0.01, "batch_size": 16, "threads": 1,
}  # fmt: skip
#: The rate is so small that nothing comes back of what was lost, but by `refit`.
VAIN = {**SCHEDULE, "admm_epochs": 0, "finetune_epochs": 1, "lr": 1e-12}

pytestmark = pytest.mark.usefixtures("few_samples", "every_method_reaches_it")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network that was never trained, and data."""
    return undecided_net(tmp_path_factory.mktemp("model"))


@pytest.fixture
def every_method_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    time = told({"int8": 0.58, "simd": 0.58, "channel": 0.58})
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", time)


@pytest.fixture
def int8_loses_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "GOOD_ENOUGH", -100.0)


def found(
    files: tuple[Path, Path],
    output: Path | None,
    config: Mapping[str, Any] = SCHEDULE,
    **given: Any,
) -> OptimizeResult:
    network, images = files
    training = given.pop("training", None) or Training(str(images), config=config)
    return optimize(network, "60%", output, training=training, measuring=QUICK, **given)


def outcomes(result: OptimizeResult) -> dict[str, str]:
    assert [row.method for row in result.tried] == list(CANDIDATES)
    return {row.method: row.outcome for row in result.tried}


def test_nothing_is_trained_where_int8_loses_next_to_nothing(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is calibrated on training samples and judged by those that training never sees."""
    monkeypatch.setattr(auto, "GOOD_ENOUGH", 50.0)
    result = found(files, tmp_path / "out.onnx")
    assert outcomes(result) == {"int8": "chosen"} | dict.fromkeys(CANDIDATES[1:], "not tried")
    assert result.history == ()
    assert result.settings["calibration_pictures"] == 96
    assert result.fidelity is not None
    assert result.fidelity.source == f"test samples of {files[1]}"
    assert result.fidelity.samples == 48
    assert result.accuracy is not None
    assert list(result.accuracy.stages) == ["dense", "final file in ONNX Runtime"]
    assert result.accuracy.stages["dense"] == pytest.approx(
        100 * (result.fidelity.dense_accuracy or 0)
    )
    assert b"DequantizeLinear" in (tmp_path / "out.onnx").read_bytes()


@pytest.mark.usefixtures("int8_loses_too_much")
def test_the_first_that_reaches_the_budget_is_trained_and_may_lose_less(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """A network that was not trained before is better for it than int8 makes it."""
    told = Recorder()
    result = found(files, tmp_path / "out.onnx", reporter=told)
    assert outcomes(result) == {
        "int8": "met", "simd": "chosen", "channel": "not tried",
        "channel-int8": "not tried", "simd-int8": "not tried", "block-int8": "not tried",
    }  # fmt: skip
    int8, simd, channel, *_ = result.tried
    assert (int8.why, simd.why) == ("loses more", "trained")
    assert channel.why == "simd reaches the budget, and is trained"
    assert simd.fidelity is not None
    assert int8.fidelity is not None
    assert simd.fidelity == result.fidelity
    assert simd.fidelity.loss < int8.fidelity.loss
    assert simd.bytes == (tmp_path / "out.onnx").stat().st_size
    assert simd.latency_ms == 0.58
    assert simd.share == pytest.approx(0.58 / 0.6)
    assert [row["stage"] for row in result.history] == ["admm"] + ["finetune"] * 8
    assert result.settings["method"] == "simd"
    assert b"SimdSparseConv" in (tmp_path / "out.onnx").read_bytes()
    [note] = [x for x in told.notes if x.startswith("int8 loses")]
    assert note.endswith("simd is trained, and what loses less is written")
    assert "trained" in optimize_page(result)


@pytest.mark.usefixtures("int8_loses_too_much")
def test_int8_is_written_where_training_does_not_come_up_to_it(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """What was an accident of a network that was not trained is no accuracy here."""
    told = Recorder()
    own = files[0], with_own_labels(*files)
    result = found(own, tmp_path / "out.onnx", VAIN, reporter=told, refit="off")
    assert outcomes(result) == {
        "int8": "chosen", "simd": "met", "channel": "not tried",
        "channel-int8": "not tried", "simd-int8": "not tried", "block-int8": "not tried",
    }  # fmt: skip
    int8, simd, *_ = result.tried
    assert simd.why == "trained, and loses more"
    assert simd.fidelity is not None
    assert int8.fidelity is not None
    assert int8.fidelity.loss < simd.fidelity.loss
    assert result.fidelity == int8.fidelity
    assert result.settings["method"] == "int8"
    content = (tmp_path / "out.onnx").read_bytes()
    assert b"DequantizeLinear" in content
    assert b"SimdSparseConv" not in content
    assert "simd: trained, and loses more; int8 is written in its place" in told.notes


@pytest.mark.parametrize("method", ["simd", "channel"])
def test_training_starts_from_refitted_weights(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """With a rate that changes nothing they are what is written."""
    begun: list[Network] = []
    finetune = Trainer.finetune

    def noted(trainer: Trainer, network: Network, *args: Any) -> Any:
        begun.append(network)
        return finetune(trainer, network, *args)

    monkeypatch.setattr(Trainer, "finetune", noted)
    told = Recorder()
    result = found(files, tmp_path / "out.onnx", VAIN, method=method, reporter=told)
    (network,) = begun
    assert network.refitted
    assert any(note.startswith("training starts from refitted weights") for note in told.notes)
    training = Training(str(files[1]), config=VAIN)
    request = OptimizeRequest(
        model=files[0], budget=Budget.parse("60%"), method=method, training=training
    )
    run = open_run(request, Recorder())
    start = run.evidence.judge.judge(loadable(network.pruned))
    assert result.fidelity is not None
    assert result.fidelity.relative_error == pytest.approx(start.relative_error, rel=1e-3)
    found(files, tmp_path / "off.onnx", VAIN, method=method, refit="off")
    assert not begun[-1].refitted


@pytest.mark.parametrize("nearer", [True, False])
def test_after_admm_the_better_start_is_taken(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nearer: bool
) -> None:
    """What is nearer to the dense network on training samples; ADMM of many epochs may be."""
    monkeypatch.setattr("alcs_onnx.pipeline.optimize.training_stages._nearer", lambda *args: nearer)
    started: list[bool] = []
    finetune = Trainer.finetune

    def noted(trainer: Trainer, network: Network, weights: Any, *args: Any) -> Any:
        started.append(network.refitted and weights is None)
        return finetune(trainer, network, weights, *args)

    monkeypatch.setattr(Trainer, "finetune", noted)
    schedule = {**VAIN, "admm_epochs": 1}
    result = found(files, tmp_path / "out.onnx", schedule, method="simd")
    assert started == [nearer]
    assert [row["stage"] for row in result.history] == ["admm", "finetune"]
    assert result.accuracy is not None
    stages = ["dense", "one-shot", "ADMM", "fine-tuned", "final file in ONNX Runtime"]
    assert list(result.accuracy.stages) == stages


def test_what_the_better_start_is_is_measured(files: tuple[Path, Path], tmp_path: Path) -> None:
    told = Recorder()
    schedule = {**VAIN, "admm_epochs": 1}
    found(files, tmp_path / "out.onnx", schedule, method="simd", reporter=told)
    (note,) = (x for x in told.notes if x.startswith("outputs on training samples part by"))
    refitted, admm = (float(x.split()[0]) for x in note.split(" by ")[1:])
    assert note.endswith("the refitted weights" if refitted < admm else "ADMM's")
    assert refitted != admm


def test_where_admm_diverges_fine_tuning_starts_from_refitted_weights(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*args: Any) -> Any:
        raise DivergedError("training diverged: the loss is nan")

    monkeypatch.setattr(Trainer, "admm", diverge)
    told = Recorder()
    schedule = {**VAIN, "admm_epochs": 1}
    result = found(files, tmp_path / "out.onnx", schedule, method="simd", reporter=told)
    assert [row["stage"] for row in result.history] == ["finetune"]
    assert any(note.startswith("ADMM: training diverged") for note in told.notes)
    with pytest.raises(DivergedError):
        found(files, tmp_path / "none.onnx", schedule, method="simd", refit="off")


@pytest.mark.parametrize("epochs", [0, 1])
def test_channels_and_groups_are_refitted_before_they_are_trained(
    tmp_path: Path, epochs: int
) -> None:
    """ADMM begins with weights that were not."""
    # Its table is measured: in smaller networks what no pruning saves is too much of all time.
    files = undecided_net(tmp_path, width=32, size=24)
    given = tmp_path / "channels.json"
    save_plan(SavedPlan("hybrid", a_third_less(load_model(files[0])), None), given)
    config = {**VAIN, "admm_epochs": epochs}
    result = found(files, tmp_path / "out.onnx", config, method="hybrid", plan=given)
    assert [row["stage"] for row in result.history] == ["admm"] * epochs + ["finetune"]
    assert result.channels
    assert result.check is not None


def test_admm_keeps_the_shares_that_pictures_gave(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which groups stay is chosen by the weights it has moved, how many of a layer is not."""
    counts: list[dict[str, int]] = []
    plan = GroupPruning.plan

    def noted(groups: GroupPruning, *args: Any, **more: Any) -> PruningPlan:
        made = plan(groups, *args, **more)
        counts.append({name: int(mask.sum()) for name, mask in made.keep.items()})
        return made

    monkeypatch.setattr(GroupPruning, "plan", noted)
    schedule = {**SCHEDULE, "admm_epochs": 2, "finetune_epochs": 1}
    found(files, tmp_path / "out.onnx", schedule, method="simd")
    assert len(counts) > 2
    assert all(other == counts[0] for other in counts)


@pytest.mark.usefixtures("int8_loses_too_much")
def test_training_that_diverges_leaves_int8(files: tuple[Path, Path], tmp_path: Path) -> None:
    diverging = {**SCHEDULE, "lr": 1e6}
    result = found(files, tmp_path / "out.onnx", diverging)
    assert outcomes(result)["int8"] == "chosen"
    assert outcomes(result)["simd"] == "not tried"
    assert "diverged" in result.tried[1].why
    assert b"DequantizeLinear" in (tmp_path / "out.onnx").read_bytes()
    # Where there is nothing else it is an error, as ever.
    with pytest.raises(AlcsError, match="diverged"):
        found(files, tmp_path / "none.onnx", diverging, precision="float32")
    assert not (tmp_path / "none.onnx").exists()


@pytest.mark.usefixtures("int8_loses_too_much")
def test_int8_is_written_where_the_trained_one_measures_above_the_budget_in_the_end(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(workload: Any, written: Any, budget: Any) -> Measured:
        measured = measure_finally(workload, written, budget)
        sparse = b"SimdSparseConv" in written
        return Measured(measured.dense, measured.sparse, 0.5) if sparse else measured

    monkeypatch.setattr("alcs_onnx.pipeline.optimize.finish.measure_finally", slower)
    result = found(files, tmp_path / "out.onnx")
    assert outcomes(result)["int8"] == "chosen"
    assert outcomes(result)["simd"] == "missed"
    assert result.tried[1].why.startswith("budget missed: measured 116.0 % of the budget")
    assert result.status in ("met", "lost")


def test_a_dry_run_compares_methods_as_they_are(files: tuple[Path, Path]) -> None:
    told = Recorder()
    result = found(files, None, reporter=told)
    assert result.history == ()
    assert "nothing is trained in a dry run: methods are compared as they are" in told.notes
    assert sum(row.outcome == "chosen" for row in result.tried) == 1


def test_float32_alone_is_trained_at_once(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = found(files, tmp_path / "out.onnx", precision="float32")
    assert [(row.method, row.outcome, row.why) for row in result.tried] == [
        ("simd", "chosen", "trained"),
        ("channel", "not tried", "simd reaches the budget, and is trained"),
    ]


@pytest.mark.usefixtures("int8_loses_too_much")
def test_pictures_judge_where_there_are_some(files: tuple[Path, Path], tmp_path: Path) -> None:
    images = with_own_labels(*files)
    judging = Judging(pictures=str(images))
    result = found(files, tmp_path / "out.onnx", VAIN, judging=judging, refit="off")
    assert outcomes(result)["int8"] == "chosen"
    assert result.settings["calibration_pictures"] == 48
    assert result.fidelity is not None
    assert result.fidelity.source.startswith(f"pictures of {images}")


# --- loaders of the user's

LOADERS = """
import numpy as np
with np.load("images.npz") as file:
    BATCHES = {
        split: (
            file["x_" + split].transpose(0, 3, 1, 2).astype("float32") / 255, file["y_" + split]
        )
        for split in ("train", "test")
    }

def right(outputs, targets):
    return (outputs.argmax(1) == targets).float().mean()

def untested(): return [BATCHES["train"]], None
def measured(): return [BATCHES["train"]], [BATCHES["test"]], None, right
"""


@pytest.fixture
def loaders(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of loaders in the current folder."""
    name = f"auto_loaders_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(LOADERS)
    with np.load(files[1]) as images:
        np.savez(tmp_path / "images.npz", **images)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_without_test_samples_int8_cannot_be_judged(
    files: tuple[Path, Path], loaders: str, tmp_path: Path
) -> None:
    training = Training(f"{loaders}:untested", config=SCHEDULE)
    result = found(files, tmp_path / "out.onnx", training=training)
    assert outcomes(result)["int8"] == "not tried"
    assert "no test samples to judge it by" in result.tried[0].why
    assert outcomes(result)["simd"] == "chosen"


@pytest.mark.usefixtures("int8_loses_too_much")
def test_a_metric_of_the_datas_own_is_not_compared_with_agreement(
    files: tuple[Path, Path], loaders: str, tmp_path: Path
) -> None:
    """Of int8 no such metric is known: both are judged by their outputs beside the dense model's.

    Training that makes another network of it does not come up to int8 then.
    """
    training = Training(f"{loaders}:measured", config=SCHEDULE)
    result = found(files, tmp_path / "out.onnx", training=training)
    assert outcomes(result)["int8"] == "chosen"
    for row in result.tried[:2]:
        assert row.fidelity is not None
        assert (row.fidelity.kind, row.fidelity.accuracy) == ("agreement", None)
    assert result.verdict.startswith("agrees with the dense model on")
    alone = found(files, tmp_path / "out.onnx", training=training, precision="float32")
    assert alone.fidelity is not None
    assert (alone.fidelity.kind, alone.tried[0].fidelity) == ("metric", alone.fidelity)


# --- interrupted


@pytest.mark.usefixtures("int8_loses_too_much")
def test_an_interrupted_run_goes_on_with_the_method_that_it_trained(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another comes first, that reaches the budget only now."""
    folder = tmp_path / "run"
    output = tmp_path / "out.onnx"

    def run(*, resume: bool, **given: Any) -> OptimizeResult:
        training = Training(str(files[1]), config=SCHEDULE, checkpoint=folder, resume=resume)
        return found(files, output, training=training, **given)

    with monkeypatch.context() as patch:
        time = told({"int8": 0.58, "simd": 0.9, "channel": 0.58})
        patch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", time)
        with pytest.raises(StoppedError):
            run(resume=False, reporter=StopIn("finetune 2"))
    assert not output.exists()
    plan = (folder / "channel" / "plan.json").read_bytes()
    result = run(resume=True)
    assert outcomes(result)["channel"] == "chosen"
    assert outcomes(result)["simd"] == "not tried"
    assert (folder / "channel" / "plan.json").read_bytes() == plan
    assert [row["stage"] for row in result.history] == ["finetune"] * 8
