"""Groups removed by what the network loses, and layers refitted from pictures alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from proportional_groups import QUICK, groups, opened
from small_models import undecided_net
from told_times import told

from alcs_onnx import optimize
from alcs_onnx.cli import build_parser, main
from alcs_onnx.cli.optimize import requested
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.shown import Shown
from alcs_onnx.pipeline.common.tables import proportional_table
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.auto import compare_methods
from alcs_onnx.pipeline.optimize.channels import open_channels
from alcs_onnx.pipeline.optimize.run import Run, run_of_method
from alcs_onnx.posttraining import measure_levels
from alcs_onnx.posttraining.levels import outputs_of
from alcs_onnx.types import Budget, PruningPlan

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return undecided_net(tmp_path_factory.mktemp("model"))


def means_of(run: Run, model: Model) -> np.ndarray:
    """The mean score of each class on the pictures that are fitted on."""
    shown = Shown.of(model, run.evidence)
    return np.concatenate([x for (x,) in outputs_of(shown.model, shown.fed())]).mean(axis=0)


def loss(run: Run, model) -> float:
    return run.evidence.judge.judge(loadable(model)).relative_error


@pytest.mark.parametrize("structure", ["simd", "shape", "unstructured", "filter"])
def test_what_is_refitted_loses_far_less(files: tuple[Path, Path], structure: str) -> None:
    run = opened(files, method=structure)
    off = opened(files, method=structure, refit="off")
    pruning, plain = groups(run), groups(off)
    assert plain.refitting is None
    same, network = plain.refitted(off, plain.plan(0.9))
    assert all((same.keep[n] == m).all() for n, m in plain.plan(0.9).keep.items())
    plan = pruning.plan(0.9)
    assert pruning.range_ms()[0] < plan.predicted_ms <= 0.9 * pruning.budget_ms + 1e-9
    made, refitted = pruning.refitted(run, plan)
    for name, mask in plan.keep.items():
        assert made.keep[name].sum() == mask.sum()
    assert loss(run, refitted.pruned) < 0.5 * loss(off, network.pruned)
    rewritten = pruning.rewrite(run, refitted, made)
    assert rewritten.check.passed
    assert loss(run, rewritten.model) == pytest.approx(loss(run, refitted.pruned), rel=1e-3)
    assert pruning.decided(made).settings["shares_by"] == "loss"


def test_weights_that_a_plan_removes_are_zero(files: tuple[Path, Path]) -> None:
    run = opened(files)
    pruning = groups(run)
    plan, network = pruning.refitted(run, pruning.plan(0.6))
    for name, mask in pruning.weight_masks(plan).items():
        array = network.pruned.initializers[network.prunable[name]]
        assert not array[~mask].any()
        assert np.count_nonzero(array[mask]) > 0.99 * mask.sum()


@pytest.mark.parametrize("by", ["error", "weights"])
def test_shares_by_other_costs(files: tuple[Path, Path], by: str) -> None:
    run = opened(files, refit=by)
    pruning = groups(run)
    plan, network = pruning.refitted(run, pruning.plan(0.9))
    off = opened(files, refit="off")
    plain = groups(off)
    assert pruning.decided(plan).settings["shares_by"] == by
    assert loss(run, network.pruned) < loss(off, plain.pruned(off, plain.plan(0.9)).pruned)


def test_levels_are_looked_at_once_for_all_budgets(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def counted(*args, **settings):
        looked.append(1)
        return measure_levels(*args, **settings)

    monkeypatch.setattr("alcs_onnx.pipeline.optimize.refitting.measure_levels", counted)
    run = opened(files, tables=tmp_path)
    first = groups(run)
    again = groups(replace(run, request=replace(run.request, budget=Budget.parse("30%"))))
    assert again.refitting is first.refitting
    assert len(looked) == 1
    later = groups(opened(files, tables=tmp_path))  # another process finds them in the folder
    for name, levels in first.refitting.levels.items():
        np.testing.assert_array_equal(later.refitting.levels[name].ranks, levels.ranks)
    assert len(list(tmp_path.glob("levels-*"))) == 1


def test_a_plan_of_a_file_is_applied_as_it_is(files: tuple[Path, Path], tmp_path: Path) -> None:
    run = opened(files, save_plan_to=tmp_path / "plan.json")
    pruning = groups(run)
    plan, _ = pruning.refitted(run, pruning.plan(0.9))
    assert isinstance(plan, PruningPlan)
    saved = pruning.saved(plan)
    other = replace(opened(files), given=saved)
    assert groups(other).refitting is None


def test_a_network_for_one_sample_at_a_time(tmp_path: Path) -> None:
    from small_models import residual_net

    network, images = undecided_net(tmp_path)
    residual_net(network, batch=1)
    run = opened((network, images))
    pruning = groups(run)
    plan, refitted = pruning.refitted(run, pruning.plan(0.9))
    masked = pruning.pruned(run, plan).pruned
    assert loss(run, refitted.pruned) < 0.5 * loss(run, masked)


def test_all_of_it_through_the_command(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workload, "time", told({"simd": 0.48}))
    monkeypatch.setattr("alcs_onnx.pipeline.common.tables.measure_table", _told_table)
    result = optimize(
        files[0],
        "50%",
        tmp_path / "out.onnx",
        method="simd",
        judging=Judging(pictures=str(files[1])),
        measuring=QUICK,
    )
    assert result.status == "met"
    assert result.settings["shares_by"] == "loss"
    assert result.settings["refitted_on"] == 48
    assert result.fidelity is not None


def _told_table(workload: Workload, reporter):
    table = proportional_table(workload)
    curves = tuple(replace(x, times=(0.0, 0.2), dense_time=0.2) for x in table.curves)
    return replace(table, curves=curves, tau=0.0, dense=replace(table.dense, median=1.0))


def test_auto_leaves_groups_out_that_would_part_far_more(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = told({"int8": 0.1, "simd": 0.1, "channel": 0.1})
    monkeypatch.setattr(Workload, "time", times)
    monkeypatch.setattr("alcs_onnx.pipeline.optimize.auto.GOOD_ENOUGH", -1.0)
    run = opened(files, method="auto", budget=Budget.parse("12%"))
    rows = {row.method: row for row in compare_methods(run).rows(chosen="int8")}
    assert rows["simd"].outcome == "not tried"
    assert "part far more than those of int8" in rows["simd"].why


def test_bad_input(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AlcsError, match="refit 'maybe' is not one of loss, error, weights, off"):
        opened(files, refit="maybe")
    flags = ["optimize", str(files[0]), "--budget", "50%", "--dry-run"]
    status = main([*flags, "--calibration", str(files[1]), "--method", "int8", "--refit", "loss"])
    assert status == 2
    assert "--refit has no effect with --method int8" in capsys.readouterr().err
    assert main([*flags, "--checkpoint", "folder"]) == 2
    assert "--checkpoint needs --data or --calibration" in capsys.readouterr().err
    assert main([*flags, "--refit", "error"]) == 2
    assert "--refit has no effect without --calibration" in capsys.readouterr().err


def test_layers_that_cannot_be_refitted_keep_all(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alcs_onnx.posttraining.layers._MOST_COLUMNS", 150)
    pruning = groups(opened(files))
    assert set(pruning.excluded) == {"d"}
    assert "cannot be refitted" in pruning.plan(0.9).reasons["d"]


def test_too_little_memory_says_what_helps(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*args, **settings):
        raise MemoryError

    run = opened(files)
    pruning = groups(run)
    monkeypatch.setattr("alcs_onnx.pipeline.optimize.refitting.refit_in_order", out_of_memory)
    with pytest.raises(AlcsError, match=r"fewer pictures \(--calibration with --samples\)"):
        pruning.refitted(run, pruning.plan(0.9))


def test_what_pictures_say_too_little_about_is_told(tmp_path: Path) -> None:
    """Eight pictures to fit on; and a channel that is always zero."""
    network, images = undecided_net(tmp_path, size=4)
    with np.load(images) as file:
        arrays = {name: array[:16] for name, array in file.items()}
    for name in ("x_train", "x_test"):
        arrays[name][..., 2] = 0
    few = tmp_path / "few.npz"
    np.savez(few, **arrays)
    run = opened((network, few))
    pruning = groups(run)
    _, network_made = pruning.refitted(run, pruning.plan(0.9))
    notes = "\n".join(run.reporter.notes)  # type: ignore[attr-defined]
    assert "more weights in a row than the pictures have windows" in notes
    for array in network_made.pruned.initializers.values():
        assert np.isfinite(array).all()


def test_rows_tell_what_layers_lost(files: tuple[Path, Path]) -> None:
    run = opened(files)
    pruning = groups(run)
    plan, network = pruning.refitted(run, pruning.plan(0.9))
    rows = {row.layer: row for row in pruning.rewrite(run, network, plan).layers}
    lost = [name for name, mask in plan.keep.items() if not mask.all()]
    assert lost
    for name in lost:
        before, after = rows[name].kept_error, rows[name].error
        assert before is not None
        assert after is not None
        assert 0 < after < before


@pytest.mark.parametrize("last", [False, True])
def test_channels_are_made_up_for_by_the_layers_that_read_them(
    files: tuple[Path, Path], last: bool
) -> None:
    """Convolutions, whose rows say what each has lost, and the fully connected layer at the end."""
    losses = {}
    for refit in ("loss", "off"):
        run = opened(files, method="channel", budget=Budget.parse("70%"), refit=refit)
        pruning = open_channels(run_of_method(run, "channel", {}))
        keep = {
            group.name: np.arange(group.channels) % 4 != 3
            for group in pruning.coupling.prunable
            if last or all(slot.node != "logits" for slot in group.slots)
        }
        plan = replace(pruning.keeping_all(), keep=keep)
        same, network = pruning.refitted(run, plan)
        assert same is plan
        rewritten = pruning.rewrite(run, network, plan)
        assert rewritten.check.passed
        rows = {x.layer: (x.kept_error or 0.0, x.error or 0.0) for x in rewritten.layers}
        if refit == "loss":
            # The first layer reads all that it did: what is left of its outputs is as it was.
            assert max(rows.pop("stem")) < 1e-6
            wanted = means_of(run, run.workload.model)
            np.testing.assert_allclose(means_of(run, network.pruned), wanted, atol=1e-4)
            assert all(0 < after < before for before, after in rows.values())
        else:
            assert set(rows.values()) == {(0.0, 0.0)}
        losses[refit] = loss(run, network.pruned)
        sketch = pruning.sketch(run, plan, 16)
        losses[f"sketch {refit}"] = run.evidence.judge.judge(sketch).relative_error
    assert losses["loss"] < 0.5 * losses["off"]
    assert losses["loss"] < 1.01 * losses["sketch loss"]
    assert losses["sketch loss"] < losses["sketch off"]
    assert losses["sketch off"] == pytest.approx(losses["off"], rel=1e-3)


@pytest.mark.parametrize("method", ["channel", "channel-int8", "simd", "hybrid"])
def test_all_that_removes_something_heeds_the_flag(method: str) -> None:
    flags = ["--method", method, "--calibration", "photos", "--refit", "off"]
    parser = build_parser(("optimize",))
    options = parser.parse_args(["optimize", "net.onnx", "--budget", "50%", *flags])
    assert requested(options)["refit"] == "off"


@pytest.mark.parametrize(
    ("method", "flags", "refit"),
    [("simd", ["--projection", "energy"], "weights"), ("simd", ["--score", "l1"], "weights"),
     ("simd", ["--projection", "energy", "--refit", "error"], "error"), ("simd", [], None),
     ("channel", ["--score", "l1"], None)],
)  # fmt: skip
def test_how_weights_share_out_is_heeded_where_it_is_given(
    method: str, flags: list[str], refit: str | None
) -> None:
    parser = build_parser(("optimize",))
    given = ["--method", method, "--calibration", "photos", *flags]
    options = parser.parse_args(["optimize", "net.onnx", "--budget", "50%", *given])
    assert requested(options).get("refit") == refit
