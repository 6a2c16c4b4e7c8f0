"""An interrupted `optimize` goes on with the plans it had, whatever is measured now."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plans import a_third_less
from reporters import StopIn, StoppedError
from small_models import labelled_images, residual_net

from alcs_onnx import Measuring, Training, optimize
from alcs_onnx.graph import load_model
from alcs_onnx.pipeline.optimize import OptimizeResult
from alcs_onnx.pipeline.optimize.plan_file import Calibration, SavedPlan, load_plan, save_plan
from alcs_onnx.posttraining import refit_in_order
from alcs_onnx.reporter import SILENT, Reporter

pytest.importorskip("torch")

CONFIG = {"admm_epochs": 2, "finetune_epochs": 3, "batch_size": 16, "threads": 1}


pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=32, size=24)


def untimed(result: OptimizeResult) -> list[dict[str, object]]:
    return [{**record, "seconds": 0} for record in result.history]


@pytest.mark.parametrize(
    ("method", "stage"),
    [("simd", "admm 2"), ("simd", "finetune 1"), ("simd", "finetune 2"), ("channel", "finetune 2"),
     ("hybrid", "admm 2"), ("hybrid", "finetune 2")],
)  # fmt: skip
def test_it_ends_as_it_would_have(method: str, stage: str, network: Path, tmp_path: Path) -> None:
    data = labelled_images(tmp_path / "data.npz", size=24, count=64)
    folder, copy = tmp_path / "run", tmp_path / "copy"
    training = Training(str(data), config=CONFIG, checkpoint=folder)
    given = None
    if method == "hybrid":
        # Its own choice would be groups alone: these channels go in any case.
        given = tmp_path / "channels.json"
        save_plan(SavedPlan("hybrid", a_third_less(load_model(network)), None), given)

    def run(name: str, how: Training, reporter: Reporter = SILENT) -> OptimizeResult:
        return optimize(
            *(network, "50%", tmp_path / name),
            method=method, plan=given, measuring=Measuring(warmup=2, iterations=10), training=how,
            reporter=reporter,
        )  # fmt: skip

    with pytest.raises(StoppedError):
        run("a.onnx", training, StopIn(stage))
    assert not (tmp_path / "a.onnx").exists()
    plan = (folder / "plan.json").read_bytes()
    tables = {path.name: path.read_bytes() for path in folder.glob("*.table.json")}
    assert len(tables) == (2 if method == "hybrid" else 1)

    resumed = run("b.onnx", replace(training, resume=True))
    assert (folder / "plan.json").read_bytes() == plan
    assert {path.name: path.read_bytes() for path in folder.glob("*.table.json")} == tables

    # The same plans without any training state: trained from the beginning, without a break.
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.pt"))
    whole = run("c.onnx", replace(training, checkpoint=copy, resume=True))
    assert (tmp_path / "b.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()
    assert untimed(resumed) == untimed(whole)
    assert resumed.accuracy == whole.accuracy
    assert resumed.predicted_ms == whole.predicted_ms


@pytest.mark.parametrize("method", ["simd", "channel"])
def test_refitted_weights_are_those_that_training_began_with(
    method: str, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refitted again they would differ by rounding, and a checkpoint goes with one start alone."""
    data = labelled_images(tmp_path / "data.npz", size=24, count=64)
    config = {**CONFIG, "admm_epochs": 0}
    training = Training(str(data), config=config, checkpoint=tmp_path / "run")

    def run(name: str, how: Training, reporter: Reporter = SILENT) -> OptimizeResult:
        return optimize(
            *(network, "60%", tmp_path / name), method=method, training=how,
            measuring=Measuring(warmup=2, iterations=10), reporter=reporter,
        )  # fmt: skip

    with pytest.raises(StoppedError):
        run("a.onnx", training, StopIn("finetune 2"))
    (file,) = (tmp_path / "run").glob("refit-*.npz")
    again: list[str] = []

    def noted(*args: Any, **more: Any) -> Any:
        again.append("again")
        return refit_in_order(*args, **more)

    monkeypatch.setattr("alcs_onnx.pipeline.optimize.refitting.refit_in_order", noted)
    resumed = run("b.onnx", replace(training, resume=True))
    assert again == []
    assert [row["stage"] for row in resumed.history] == ["finetune"] * 3
    file.write_bytes(b"damaged")
    run("c.onnx", replace(training, resume=True))
    assert again == ["again"]
    run("d.onnx", training)
    assert again == ["again"] * 2


def test_a_run_that_begins_anew_forgets_the_plans(network: Path, tmp_path: Path) -> None:
    data = labelled_images(tmp_path / "data.npz", size=24, count=64)
    training = Training(str(data), config=CONFIG, checkpoint=tmp_path / "run")
    how = Measuring(warmup=2, iterations=10)
    simd: dict[str, Any] = {"method": "simd", "measuring": how}
    optimize(network, "70%", tmp_path / "a.onnx", training=training, **simd)
    with pytest.raises(StoppedError):
        optimize(
            *(network, "90%", tmp_path / "b.onnx"),
            training=training, reporter=StopIn("admm 1"), **simd,
        )  # fmt: skip
    # The plan of fine-tuning was for the other budget.
    assert not (tmp_path / "run" / "finetune_plan.json").exists()


def test_what_a_loop_has_learnt_is_kept(network: Path, tmp_path: Path) -> None:
    """Also a target that no correction gives: one between others that were measured."""
    model = load_model(network)
    known = Calibration(correction=1.1, dense_ms=2.5, left_alone={"a": "slow"}, target=0.93)
    plan = replace(SavedPlan("channel", a_third_less(model), None), calibration=known)
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json", model).calibration == known
    # Files of older versions have no target.
    text = (tmp_path / "plan.json").read_text()
    content = json.loads(text)
    del content["calibration"]["target"]
    (tmp_path / "plan.json").write_text(json.dumps(content))
    older = load_plan(tmp_path / "plan.json", model).calibration
    assert older == replace(known, target=None)
