"""`optimize` with channels removed: plans, files, training and bad input. No timing is asserted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, op, store
from graph_helpers import model as proto
from plans import a_third_less
from reporters import Recorder
from small_models import labelled_images, residual_net

from alcs_onnx import ChannelOptions, Measuring, Training, optimize, ort
from alcs_onnx.cli import main
from alcs_onnx.coupling import analyse
from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.feeds import make_feeds
from alcs_onnx.graph import Model, load_model, model_macs
from alcs_onnx.latency import load_channel_table
from alcs_onnx.pipeline.optimize import OptimizeResult
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan, load_plan, masks_path, save_plan

QUICK = Measuring(warmup=2, iterations=10)
OPTIONS = ["--iterations", "10", "--warmup", "2"]


@pytest.fixture(scope="module", autouse=True)
def few_samples() -> Iterator[None]:
    """What is measured here is not looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alcs_onnx.pipeline.common.workload.MIN_SECONDS", 0.02)
        patch.setattr("alcs_onnx.latency.contributions.MIN_SECONDS", 0.01)
        # A plan that is slower than it was is refused: here only where it is far too slow.
        patch.setattr("alcs_onnx.pipeline.optimize.measured.TOLERATED", 10.0)
        yield


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=32, size=24)


@pytest.fixture(scope="module")
def model(network: Path) -> Model:
    return load_model(network)


@pytest.fixture(scope="module")
def table(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "table.json"
    assert main(["profile", str(network), "--method", "channel", "-o", str(path), *OPTIONS]) == 0
    return path


@pytest.fixture
def plan(model: Model, tmp_path: Path) -> Path:
    """A third of every group is removed; no measurement has a say in it."""
    path = tmp_path / "plan.json"
    save_plan(SavedPlan("channel", a_third_less(model), None), path)
    return path


def run(network: Path, output: Path | None, **options: object) -> OptimizeResult:
    arguments = {"budget": "60%", "method": "channel", "measuring": QUICK, **options}
    return optimize(network, output=output, **arguments)  # type: ignore[arg-type]


def test_result_is_plain_onnx_and_smaller(
    network: Path, model: Model, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.onnx"
    told = Recorder()
    result = run(network, out, table=table, reporter=told)
    share = result.sparse.median / result.budget_ms if result.sparse else 0
    assert result.status == ("met" if share <= 1 else "missed")
    small = load_model(out)
    assert {node.domain for node in small.nodes} == {""}
    assert model_macs(small) < model_macs(model)
    assert model_macs(small) / model_macs(model) == pytest.approx(result.mac_ratio)
    assert result.check is not None
    assert result.check.passed
    kept = {row.group: row.kept for row in result.channels}
    assert set(kept) == {group.name for group in analyse(model).groups}
    assert all(row.reason for row in result.channels if row.saved_ms is None)
    assert any("none is trained" in note for note in told.notes)
    session = ort.create_session(out.read_bytes(), library=False)
    assert session.run(make_feeds(session).feeds)[0].shape[1] == 4


def test_plan_is_saved_and_applied_again(
    network: Path, model: Model, table: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "plan.json"
    first = run(network, tmp_path / "a.onnx", table=table, save_plan_to=saved)
    text = json.loads(saved.read_text())
    assert text["kind"] == "alcs-onnx pruning plan"
    for name, entry in text["channels"]["keep"].items():
        mask = np.load(masks_path(saved))[entry["mask"]]
        assert mask.sum() == entry["kept"] == load_plan(saved, model).channels.keep[name].sum()
    second = run(network, tmp_path / "b.onnx", table=table, plan=saved)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert [row.kept for row in first.channels] == [row.kept for row in second.channels]


def test_training_follows(network: Path, plan: Path, table: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    labelled_images(data, size=24, count=64)
    result = run(
        network,
        tmp_path / "out.onnx",
        table=table,
        plan=plan,
        training=Training(str(data), config={"finetune_epochs": 2, "batch_size": 16}),
    )
    assert result.accuracy is not None
    stages = ["dense", "one-shot", "fine-tuned", "final file in ONNX Runtime"]
    assert list(result.accuracy.stages) == stages
    in_torch, in_runtime = (result.accuracy.stages[stage] for stage in stages[2:])
    assert in_torch == pytest.approx(in_runtime)
    assert [row["stage"] for row in result.history] == ["finetune"] * 2


def test_a_norm_over_channels_is_not_repaired_at_full_size(tmp_path: Path) -> None:
    """It would see the zeros of the removed channels."""
    rng = np.random.default_rng(0)
    nodes = [
        op("Conv", "x w", "a", "first"),
        op("ReduceMean", "a", "m", "mean", axes=[1]),
        op("Sub", "a m", "b"),
        op("Conv", "b v", "c", "second"),
        op("GlobalAveragePool", "c", "p"),
        op("Flatten", "p", "y"),
    ]
    weights = {"w": conv_weight(rng, 12, 3, 3, 3), "v": conv_weight(rng, 4, 12, 3, 3)}
    network = store(proto(nodes, weights, ("N", 3, 24, 24)), tmp_path)
    loaded = load_model(network)
    (group,) = analyse(loaded).prunable
    assert group.mixed_by == ("mean",)
    plan, data, told = tmp_path / "plan.json", tmp_path / "data.npz", Recorder()
    save_plan(SavedPlan("channel", a_third_less(loaded), None), plan)
    labelled_images(data, size=24, count=32)
    training = Training(str(data), config={"finetune_epochs": 1, "batch_size": 16})
    result = run(
        network, None, plan=plan, training=training, reporter=told,
        channels=ChannelOptions(contributions="predicted"),
    )  # fmt: skip
    assert any("node 'mean' takes one value of several channels" in note for note in told.notes)
    assert [row.kept for row in result.channels if row.reason is None] == [8]
    assert result.accuracy is not None
    assert "one-shot" in result.accuracy.stages  # it passed the check against its masked form


def test_an_interrupted_run_keeps_its_plan(network: Path, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = labelled_images(tmp_path / "data.npz", size=24, count=64)
    folder = tmp_path / "run"
    config = {"finetune_epochs": 1, "batch_size": 16}
    training = Training(str(data), config=config, checkpoint=folder)
    first = run(network, tmp_path / "a.onnx", table=table, training=training)
    plan = (folder / "plan.json").read_bytes()
    again = Training(str(data), config=config, checkpoint=folder, resume=True)
    # Another score would choose other channels, and the state would not fit them.
    second = run(
        network,
        tmp_path / "b.onnx",
        table=table,
        training=again,
        channels=ChannelOptions(score="uniform", stages=1),
    )
    assert (folder / "plan.json").read_bytes() == plan
    assert [row.kept for row in first.channels] == [row.kept for row in second.channels]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_hybrid_takes_no_table(network: Path, table: Path) -> None:
    with pytest.raises(AlcsError, match="leave out --profile"):
        run(network, None, method="hybrid", table=table)


def test_taylor_takes_gradients_from_the_data(network: Path, table: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    labelled_images(data, size=24, count=64)
    training = Training(str(data), config={"finetune_epochs": 1, "batch_size": 16})
    options = ChannelOptions(score="taylor", solver="greedy", stages=2)
    result = run(network, None, table=table, training=training, channels=options)
    assert result.settings["score"] == "taylor"
    with pytest.raises(AlcsError, match="needs --data"):
        run(network, None, table=table, channels=options)


def test_predicted_contributions(network: Path) -> None:
    told = Recorder()
    result = run(
        network,
        None,
        budget="80%",
        channels=ChannelOptions(contributions="predicted", stages=1),
        reporter=told,
    )
    assert any("predicted savings are off by" in note for note in told.notes)
    assert result.channels


def test_hybrid_applies_channels_then_groups(network: Path, model: Model, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "out.onnx"
    save_plan(SavedPlan("hybrid", a_third_less(model), None), plan)
    saved = tmp_path / "both.json"
    result = run(network, out, method="hybrid", budget="50%", plan=plan, save_plan_to=saved)
    assert {row.op for row in result.layers} <= {"SimdSparseConv", "SimdSparseConvAdd", "Conv"}
    assert any(row.kept < row.channels for row in result.channels)
    assert result.mac_ratio < 0.7
    both = load_plan(saved, model)
    assert both.channels is not None
    assert both.groups is not None
    with_library = ort.create_session(out.read_bytes())
    without = ort.create_session(out.read_bytes(), library=False)
    feeds = make_feeds(without).feeds
    np.testing.assert_allclose(
        with_library.run(dict(feeds))[0], without.run(dict(feeds))[0], rtol=1e-4, atol=1e-4
    )


def test_hybrid_splits_the_budget(network: Path) -> None:
    told = Recorder()
    result = run(network, None, method="hybrid", budget="40%", reporter=told)
    assert sum("(chosen)" in note for note in told.notes) == 1
    assert result.layers


def test_a_generous_budget_changes_nothing(network: Path, table: Path, tmp_path: Path) -> None:
    """The output is the dense model as it was given, so that what comes next finds a file."""
    result = run(network, tmp_path / "out.onnx", budget="1s", table=table)
    assert result.status == "unchanged"
    assert result.exit_status == 0
    assert (tmp_path / "out.onnx").read_bytes() == network.read_bytes()
    assert "nothing to do" in result.message
    assert "is the dense model as it was given" in result.message
    assert run(network, None, budget="1s", table=table).message.endswith("no file was written")


def test_budget_out_of_reach(network: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"cannot be reached .* measures"):
        run(network, tmp_path / "out.onnx", budget="1us", table=table)
    assert not (tmp_path / "out.onnx").exists()


def test_plans_of_something_else(
    network: Path, model: Model, plan: Path, table: Path, tmp_path: Path
) -> None:
    other = residual_net(tmp_path / "other.onnx", width=16, size=24)
    with pytest.raises(AlcsError, match="made for another model"):
        run(other, None, plan=plan)
    with pytest.raises(AlcsError, match="is for --method channel"):
        run(network, None, plan=plan, method="hybrid")
    retrained = {"a.w": 2 * model.initializers["a.w"]} if "a.w" in model.initializers else {}
    if retrained:
        with pytest.raises(AlcsError, match="other weights"):
            load_plan(plan, model.with_initializers(retrained))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "damaged"),
        ("{}", "not a pruning plan"),
        ('{"kind": "alcs-onnx pruning plan", "schema": 99}', "another version"),
        ('{"kind": "alcs-onnx pruning plan", "schema": 1, "method": "channel"}', "empty"),
        ("[]", "damaged"),
    ],
)
def test_damaged_plans(plan: Path, model: Model, text: str, words: str) -> None:
    plan.write_text(text)
    with pytest.raises(AlcsError, match=words):
        load_plan(plan, model)


def test_plan_without_its_masks(plan: Path, model: Model) -> None:
    masks_path(plan).unlink()
    with pytest.raises(AlcsError, match="No such file"):
        load_plan(plan, model)


def test_plan_with_masks_of_another(plan: Path, model: Model) -> None:
    with np.load(masks_path(plan)) as file:
        swapped = {name: ~file[name] for name in file.files}
    np.savez_compressed(masks_path(plan), **swapped)
    with pytest.raises(AlcsError, match="not the one that was saved"):
        load_plan(plan, model)


def test_tables_of_the_other_kind(network: Path, table: Path) -> None:
    with pytest.raises(AlcsError, match="latency table"):
        run(network, None, method="simd", table=table)
    assert load_channel_table(table).curves


def test_an_older_table_is_refused(network: Path, table: Path, tmp_path: Path) -> None:
    content = json.loads(table.read_text())
    content["curves"] = content["curves"][1:]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(content))
    with pytest.raises(AlcsError, match="measure it again"):
        run(network, None, table=older)


def test_plan_that_is_too_slow(network: Path, plan: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="nothing was trained"):
        run(network, tmp_path / "out.onnx", plan=plan, table=table, budget="1us")
    assert not (tmp_path / "out.onnx").exists()


def test_empty_masks(plan: Path, model: Model) -> None:
    masks_path(plan).write_bytes(b"")
    with pytest.raises(AlcsError, match="damaged"):
        load_plan(plan, model)


@pytest.mark.parametrize(
    ("method", "flag", "value"),
    [
        ("simd", "--channel-solver", "greedy"),
        ("simd", "--min-share", "0.5"),
        ("channel", "--group-size", "8"),
        ("channel", "--projection", "bisection"),
        ("channel", "--rho", "0.1"),
    ],
)
def test_flags_of_another_method(
    network: Path, capsys: pytest.CaptureFixture[str], method: str, flag: str, value: str
) -> None:
    arguments = ["optimize", str(network), "--budget", "50%", "--dry-run", "--method", method]
    assert main([*arguments, flag, value, "--data", "no_such_folder"]) == 2
    assert f"{flag} has no effect with --method {method}" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "known"), [("simd", "l1, l2"), ("channel", "l1, l2, lamp")])
def test_scores_of_another_method(
    network: Path, capsys: pytest.CaptureFixture[str], method: str, known: str
) -> None:
    """Groups of weights and channels have scores of their own; some have the same name."""
    other = {"simd": "sp-lamp", "channel": "l2"}[method]
    arguments = ["optimize", str(network), "--budget", "50%", "--dry-run", "--method", method]
    status = main([*arguments, "--score", other, "--data", "no_such_folder"])
    told = capsys.readouterr().err
    assert status == 2
    assert (f"score '{other}' is not known: use {known}" in told) == (method == "simd")


def test_command_line(
    network: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "out.onnx"
    common = [str(network), "--budget", "60%", "--method", "channel", "--profile", str(table)]
    assert main(["prune-masks", *common, "-o", str(plan), *OPTIONS]) in (0, 1)
    assert "Channel groups" in capsys.readouterr().out
    assert plan.exists()
    assert main(["optimize", *common, "--plan", str(plan), "-o", str(out), *OPTIONS]) in (0, 1)
    onnx.checker.check_model(onnx.load(out))
    assert main(["optimize", *common, "-o", str(plan), "--plan", str(plan), *OPTIONS]) == 2
    assert "is an input of this command" in capsys.readouterr().err
