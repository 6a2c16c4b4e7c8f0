"""`--method int8`: what is quantized, by what, and what is told where that is not possible."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path

import numpy as np
import onnx
import pytest
from reporters import Recorder
from small_models import undecided_net
from told_times import told
from users_file import changes

from alcs_onnx import Measuring, optimize, ort
from alcs_onnx.cli import main
from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.graph import load_model, save_model
from alcs_onnx.latency import NodeCost, PrecisionCosts
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.judge import judge_few
from alcs_onnx.pipeline.common.precision import PrecisionCandidate, PrecisionSearch
from alcs_onnx.pipeline.optimize import OptimizeRequest
from alcs_onnx.pipeline.optimize.int8 import Int8Pruning, open_int8
from alcs_onnx.pipeline.optimize.measured import Measured
from alcs_onnx.pipeline.optimize.plan_file import load_plan, save_plan
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.pipeline.optimize.search import meet
from alcs_onnx.quantization import Ranges, products_overflow
from alcs_onnx.types import Budget, PrecisionPlan, Timing

QUICK = Measuring(warmup=1, iterations=3)
FLAGS = ["--warmup", "1", "--iterations", "3"]
LAYERS = ("stem", "a", "b", "c", "s", "d")

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network and pictures that it tells apart."""
    return undecided_net(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def run(files: tuple[Path, Path], recorder: Recorder, few_samples: None) -> Run:
    network, images = files
    request = OptimizeRequest(
        model=network,
        budget=Budget.parse("70%"),
        method="int8",
        measuring=QUICK,
        judging=Judging(pictures=str(images)),
    )
    return open_run(request, recorder)


@pytest.fixture(scope="module")
def measured(run: Run) -> Int8Pruning:
    """All that is measured is measured on this machine."""
    return open_int8(run)


@pytest.fixture(scope="module")
def priced(measured: Int8Pruning) -> Int8Pruning:
    """The same where each layer takes 1 ms, and a quarter of that in int8, whatever is true here.

    A conversion takes 0.05 ms; all else takes no time.
    """
    nodes = tuple(
        NodeCost(x.name, 1.0 if x.name in LAYERS else 0.0, 0.25 if x.name in LAYERS else 0.0)
        for x in measured.costs.nodes
    )
    tensors = tuple(
        x if not isfinite(x.quantize_ms) else replace(x, quantize_ms=0.05, dequantize_ms=0.05)
        for x in measured.costs.tensors
    )
    costs = PrecisionCosts(nodes, tensors)
    return replace(
        measured,
        search=searched(costs, frozenset(), costs.quantizable),
        layer_losses=replace(measured.layer_losses, layers=LAYERS),
    )


def searched(costs: PrecisionCosts, *chosen: frozenset[str]) -> PrecisionSearch:
    """As if these candidates had taken just what they are estimated to."""
    return PrecisionSearch(
        costs,
        tuple(
            PrecisionCandidate(x, costs.latency(x), Timing.from_samples([costs.latency(x)]))
            for x in chosen
        ),
    )


def test_both_precisions_are_measured(measured: Int8Pruning, recorder: Recorder) -> None:
    candidates = measured.search.candidates
    assert [len(x.int8) for x in candidates[:2]] == [0, len(measured.costs.quantizable)]
    assert set(LAYERS) <= measured.costs.quantizable
    for candidate in candidates:
        assert candidate.timing.median > 0
        assert set(LAYERS) >= {name for name in candidate.int8 if name in LAYERS}
    noted = [note for note in recorder.notes if note.startswith("int8 in ")]
    assert len(noted) == len(candidates) - 1
    assert "in float32" in noted[0]
    bits = 7 if products_overflow() else 8
    (ranged,) = (note for note in recorder.notes if "17 tensors from 48 pictures" in note)
    assert ("7 bits" in ranged) is (bits == 7)
    assert measured.fastest in [candidate.int8 for candidate in candidates]
    assert measured.budget_ms == pytest.approx(0.7 * measured.dense.median)
    low, high = measured.range_ms()
    assert low <= high == measured.dense.median
    settings = measured.decided(None).settings
    assert settings == {"calibrator": "extremes", "calibration_pictures": 48, "weight_bits": bits}


def test_what_is_written_is_what_loses_least(measured: Int8Pruning) -> None:
    """Of every calibrator, with corrected biases and without."""
    # Layer by layer channels are equalized, and ranges measured again.
    given = replace(measured.quantizable, refits=False)
    nodes, noted = frozenset(LAYERS), Recorder()
    # A range that is far too wide, and one that is nowhere near the values.
    values = {name: (100 * low, 100 * high) for name, (low, high) in given.ranges.values.items()}
    wide = replace(given.ranges, values=values, calibrator="wide")
    for calibrated in ((given.ranges, wide), (wide, given.ranges)):
        tried = replace(given, calibrated=calibrated, made={})
        best = tried.best(nodes, noted)
        how, made = tried.made[nodes]
        assert made is best is tried.best(nodes, noted)
        assert how.removesuffix(" with corrected biases") == given.ranges.calibrator
    judge = judge_few(given.source, given.workload.model, given.pictures, 48)
    losses = [
        judge.judge(quantized.model).loss
        for quantized in (best, replace(given, calibrated=(wide,), made={}).best(nodes, noted))
    ]
    assert losses[0] < losses[1]
    assert [note.split(", ")[0] for note in noted.notes[:2]] == [f"int8 by {how}"] * 2


def test_layer_by_layer_is_tried_unless_weights_are_to_stay(measured: Int8Pruning) -> None:
    nodes, noted = frozenset(LAYERS), Recorder()
    for refits in (True, False):
        tried = replace(measured.quantizable, made={}, refits=refits)
        tried.best(nodes, noted)
        assert (" layer by layer " in noted.notes[-1]) is refits


def test_weights_stay_the_nearest_where_layers_cannot_be_rounded(
    measured: Int8Pruning, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("not enough for 9 GB")

    monkeypatch.setattr("alcs_onnx.pipeline.common.int8.rounded", fails)
    noted, tried = Recorder(), replace(measured.quantizable, made={})
    tried.best(frozenset(LAYERS), noted)
    how, _ = tried.made[frozenset(LAYERS)]
    assert "layer by layer" not in how
    assert "weights are rounded to the nearest: not enough for 9 GB" in noted.notes


@pytest.mark.parametrize("overflow", [True, False])
def test_weights_take_the_bits_that_kernels_add_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, overflow: bool
) -> None:
    monkeypatch.setattr("alcs_onnx.pipeline.common.int8.products_overflow", lambda: overflow)
    noted = Recorder()
    assert run.evidence.fit is not None
    found = Quantizable.open(run.workload, run.evidence.fit, noted)
    assert any("7 bits" in note for note in noted.notes) is overflow
    assert found.settings["weight_bits"] == (7 if overflow else 8)
    data = found.quantized().model
    assert isinstance(data, bytes)
    tensors = map(onnx.numpy_helper.to_array, onnx.load_from_string(data).graph.initializer)
    most = max(np.abs(x.astype(int)).max() for x in tensors if x.dtype == np.int8)
    assert most == (64 if overflow else 127)


def test_every_layer_loses_something_of_its_own(priced: Int8Pruning) -> None:
    """Squared relative errors on pictures that the result is not judged with."""
    losses = priced.losses
    assert list(losses) == list(LAYERS)
    most = 0.04 if products_overflow() else 0.01  # steps of 7 bits are twice as long
    assert all(0 < loss < most for loss in losses.values())
    assert len(set(losses.values())) == len(LAYERS)


def test_layers_share_what_they_lose_where_there_is_no_time_for_each(
    priced: Int8Pruning, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = priced.losses
    monkeypatch.setattr("alcs_onnx.pipeline.optimize.layer_losses._SECONDS", 1e-3)
    shared = replace(priced.layer_losses).by_layer
    assert list(shared) == list(LAYERS)
    first, *others = LAYERS
    assert shared[first] == each[first]
    assert len({shared[name] for name in others}) == 1
    # Rounding errors are independent: their energies add up, on few pictures roughly.
    assert 1 / 3 < sum(shared.values()) / sum(each.values()) < 3


def test_all_in_int8_may_be_fastest_where_an_estimate_forbids_it(priced: Int8Pruning) -> None:
    """A tensor that should not be between the precisions is there, and it is quick all the same."""
    last = priced.costs.tensors[-1]
    stuck = [x for x in priced.costs.tensors if x.output]
    tensors = tuple(
        replace(x, dequantize_ms=inf) if x in (stuck or [last]) else x for x in priced.costs.tensors
    )
    costs = PrecisionCosts(priced.costs.nodes, tensors)
    everything = costs.quantizable
    assert not isfinite(costs.latency(everything))
    dense = costs.latency(frozenset())
    search = PrecisionSearch(
        costs,
        (
            PrecisionCandidate(frozenset(), dense, Timing.from_samples([dense])),
            PrecisionCandidate(everything, inf, Timing.from_samples([0.4 * dense])),
        ),
    )
    pruning = replace(priced, search=search)
    assert pruning.range_ms() == pytest.approx((0.4 * dense, dense))
    plan = pruning.plan(0.1)
    assert plan.int8 == everything
    assert plan.predicted_ms == pytest.approx(0.4 * dense)
    assert isfinite(pruning.plan(0.9 * dense / pruning.budget_ms).predicted_ms)


def test_a_plan_spends_the_budget_on_what_loses_least(priced: Int8Pruning) -> None:
    """Of all cuts within the target the one that loses least; more int8 only for less time."""
    dense = priced.dense.median
    plans = [priced.plan(share * dense / priced.budget_ms) for share in (1.0, 0.9, 0.7, 0.5, 0.2)]
    assert not plans[0].int8
    assert plans[-1].int8 == priced.fastest
    assert priced.is_smallest(plans[-1])
    assert not priced.is_smallest(plans[0])
    loss = [sum(priced.losses.get(name, 0.0) for name in plan.int8) for plan in plans]
    assert loss == sorted(loss)
    assert len(set(loss)) >= 4
    for plan, share in zip(plans, (1.0, 0.9, 0.7, 0.5), strict=False):
        assert plan.predicted_ms <= share * dense
        assert plan.predicted_ms == pytest.approx(priced.costs.latency(plan.int8))
        within = [x for x in priced.corners if x.latency_ms <= share * dense]
        least = min(x.loss for x in within)
        lost = sum(priced.losses.get(name, 0.0) for name in plan.int8)
        assert lost <= least * (1 + 1e-9)  # sums in another order


def test_no_conversion_is_forgotten(priced: Int8Pruning) -> None:
    """What is int8 in a plan is int8 in the file, and layers around stay float32."""
    plan = priced.plan(0.7 * priced.dense.median / priced.budget_ms)
    made = priced.quantizable.quantized(plan.int8)
    outputs = {node.outputs[0]: node.name for node in priced.quantizable.model.nodes}
    assert {outputs[name] for name in made.nodes} >= plan.int8 & set(LAYERS)
    assert not {outputs[name] for name in made.nodes} & (set(LAYERS) - plan.int8)
    rows = {row.layer: row for row in priced._rows(plan)}
    assert {name for name, row in rows.items() if row.op == "Conv int8"} == plan.int8 & set(LAYERS)
    assert all((row.reason is None) == (row.op == "Conv int8") for row in rows.values())
    assert {row.reason for row in rows.values()} == {None, "loses less in float32"}


# --- where int8 does not pay, or is not possible


def test_where_no_int8_model_is_quicker(priced: Int8Pruning) -> None:
    costs = PrecisionCosts(
        tuple(replace(x, int8_ms=x.float_ms) for x in priced.costs.nodes), priced.costs.tensors
    )
    slower = replace(priced, search=searched(costs, frozenset(), costs.quantizable))
    assert slower.fastest == frozenset()
    assert slower.obstacle.startswith("no int8 node is quicker on this machine")
    assert slower.plan(0.5).int8 == frozenset()
    assert slower.is_smallest(slower.plan(0.5))
    assert priced.obstacle == ""


def test_where_no_node_can_be_int8(priced: Int8Pruning) -> None:
    costs = priced.costs.only(())
    unseen = replace(priced.quantizable, calibrated=(Ranges({}, "min-max", 1),))
    none = replace(priced, search=searched(costs, frozenset()), quantizable=unseen)
    assert none.obstacle.startswith("no node can be int8 (")
    assert "not finite on the pictures" in none.obstacle


def test_the_smallest_plan_is_measured_before_a_budget_is_given_up(
    run: Run, priced: Int8Pruning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine where all plans but the fastest take much more than was estimated."""

    def told(run: Run, pruning: Int8Pruning, plan: PrecisionPlan) -> Measured:
        share = 0.9 if plan.int8 == pruning.fastest else 1.2
        dense, sparse = (Timing.from_samples([ms]) for ms in (10.0, 7 * share))
        return Measured(dense, sparse, budget_ms=7.0)

    monkeypatch.setattr("alcs_onnx.pipeline.optimize.search._measured", told)
    monkeypatch.setattr("alcs_onnx.solve.closed_loop.MAX_ATTEMPTS", 2)
    choice, measured = meet(run, priced)
    assert len(choice.loop.attempts) == 2
    assert not any(attempt.met for attempt in choice.loop.attempts)
    assert choice.plan.int8 == priced.fastest
    assert measured.fraction == pytest.approx(0.9)


def test_a_budget_that_int8_does_not_reach_is_one_line(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a machine where int8 is slower than float32 nothing is written, and it is said."""
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 1.5}))
    output = tmp_path / "out.onnx"
    assert main(command(files, output, "--budget", "60%")) == 1
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("alcs-onnx: ")]
    assert "cannot be reached: no int8 node is quicker on this machine" in line
    assert "with nothing removed the model measures 1.000 ms" in line
    assert not output.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "int8"], "int8 needs pictures to calibrate with: --calibration PICTURES"),
        (["--precision", "int8"], "int8 needs pictures to calibrate with: --calibration PICTURES"),
        (["--method", "shape", "--precision", "int8"], "--method shape makes no int8 model"),
        (["--method", "int8", "--precision", "float32"], "--method int8 makes no float32 model"),
        (["--method", "int8", "--projection", "energy"], "--projection has no effect with"),
        (["--method", "int8", "--fully-connected"], "--fully-connected has no effect with"),
        (["--method", "int8", "--data", "d", "--lr", "0.1"], "--lr has no effect with --method"),
    ],
)
def test_what_is_missing_is_one_line(
    flags: list[str],
    message: str,
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["optimize", str(files[0]), "--budget", "50%", "-o", str(tmp_path / "o.onnx"), *flags]
    assert main([*given, *FLAGS]) == 2
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("alcs-onnx: ")]
    assert message in line
    assert not (tmp_path / "o.onnx").exists()


# --- files


def command(files: tuple[Path, Path], output: Path, *flags: str) -> list[str]:
    network, images = files
    return [
        *("optimize", str(network), "-o", str(output), "--method", "int8"),
        *("--calibration", str(images), *FLAGS, *flags),
    ]


def test_a_plan_and_back(priced: Int8Pruning, tmp_path: Path) -> None:
    plan = priced.plan(0.6 * priced.dense.median / priced.budget_ms)
    assert 0 < len(plan.int8) < len(priced.costs.quantizable)
    save_plan(priced.saved(plan), tmp_path / "plan.json")
    saved = load_plan(tmp_path / "plan.json", priced.workload.model)
    found = priced.given(saved)
    assert (found.int8, found.reasons, found.predicted_ms) == (
        *(plan.int8, plan.reasons, plan.predicted_ms),
    )
    with pytest.raises(AlcsError, match="the plan says nothing of int8"):
        priced.given(replace(saved, precision=None))
    foreign = replace(plan, keep={**plan.keep, "elsewhere": np.array([False])})
    with pytest.raises(AlcsError, match="a node that is not there: 'elsewhere'"):
        priced.given(replace(saved, precision=foreign))


@pytest.mark.parametrize("choose", [lambda _: {"a", "a.relu"}, lambda p: p.costs.quantizable])
def test_outside_of_the_int8_nodes_the_file_is_the_users(
    choose: Callable[[Int8Pruning], set[str]],
    priced: Int8Pruning,
    files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    nodes = frozenset(choose(priced))
    quantizable = priced.quantizable
    save_model(quantizable.as_model(quantizable.quantized(nodes)), tmp_path / "out.onnx")
    original, written = onnx.load(files[0]), onnx.load(tmp_path / "out.onnx")
    assert changes(original, written) == []
    convs = {node.name: node.input[1] for node in written.graph.node if node.op_type == "Conv"}
    made = {node.output[0]: node.op_type for node in written.graph.node}
    for name in LAYERS:
        assert (made.get(convs[name]) == "DequantizeLinear") == (name in nodes)


def test_what_is_written(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole run, where the machine has fast int8: file, plan, JSON, and the plan again."""
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 0.58}))
    output, plan, exported = (tmp_path / name for name in ("out.onnx", "plan.json", "out.json"))
    network, images = files
    result = optimize(
        network,
        "60%",
        output,
        method="int8",
        measuring=QUICK,
        save_plan_to=plan,
        judging=Judging(pictures=str(images), max_loss=20),
    )
    assert result.status == "met"
    assert result.sparse is not None
    assert (result.dense.median, result.sparse.median) == (1.0, 0.58)
    assert {row.op for row in result.layers} == {"Conv int8"}
    assert result.mac_ratio == 1
    assert result.settings["calibrator"] in {
        f"{name}{how}"
        for name in ("extremes", "min-max")
        for how in ("", " with corrected biases", " layer by layer")
    }
    assert result.checked_against == "the original, before rounding to int8"
    fidelity = result.fidelity
    assert fidelity is not None
    assert fidelity.samples == 48  # half of the 96 pictures
    assert 0 < fidelity.relative_error < 0.2
    assert fidelity.agreement is not None
    assert fidelity.agreement > 0.8
    assert result.verdict.endswith("within the 20 % that may be lost")
    # It runs in the runtime as it is, for any batch, and says what was judged.
    with np.load(images) as file:
        x = file["x_test"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    dense, found = (
        ort.create_session(path, library=False).run({"x": x})[0] for path in (network, output)
    )
    assert np.linalg.norm(found - dense) / np.linalg.norm(dense) < 0.2
    assert load_model(output).opset == load_model(network).opset
    # The plan makes the same file.
    again = tmp_path / "again.onnx"
    flags = ["--budget", "60%", "--plan", str(plan), "--export-json", str(exported)]
    assert main(command(files, again, *flags)) == 0
    assert again.read_bytes() == output.read_bytes()
    document = json.loads(exported.read_text())
    assert document["fidelity"]["agreement"] == fidelity.agreement
    assert document["verdict"].startswith("accuracy")


def test_it_is_measured_here(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Without any told time: either int8 pays on this machine, or it is said that it does not."""
    network, images = files
    judging = Judging(pictures=str(images))
    output = tmp_path / "o.onnx"
    try:
        result = optimize(network, "97%", output, method="int8", measuring=QUICK, judging=judging)
    except BudgetError:
        assert not output.exists()
        return
    assert result.status in ("met", "missed")
    assert result.fidelity is not None
    # Where next to nothing is to be saved, noise may say that it is already.
    rounded = b"DequantizeLinear" in output.read_bytes()
    assert (result.fidelity.relative_error > 0) is rounded
