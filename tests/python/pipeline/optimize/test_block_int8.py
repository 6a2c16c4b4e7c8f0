"""`--method block-int8`: all that can be is int8, and convolutions of ours lose blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, store
from reporters import Recorder
from small_models import undecided_net
from told_times import told

from alcs_onnx import Measuring, optimize, ort
from alcs_onnx.errors import AlcsError, UnsupportedError
from alcs_onnx.graph import load_model, loadable, save_model
from alcs_onnx.integer_format import OP_QLINEAR_CONV, OP_QLINEAR_CONV_ADD
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.optimize import OptimizeRequest
from alcs_onnx.pipeline.optimize.block_int8 import BlockInt8Pruning, open_block_int8
from alcs_onnx.pipeline.optimize.plan_file import load_plan, save_plan
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.types import Budget, PruningPlan

QUICK = Measuring(warmup=1, iterations=3)
LAYERS = ("stem", "a", "b", "c", "d", "s")
OURS = {OP_QLINEAR_CONV, OP_QLINEAR_CONV_ADD}

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The nodes have no names: in the quantized file they are called otherwise."""
    folder = tmp_path_factory.mktemp("model")
    network, images = undecided_net(folder)
    proto = onnx.load(network)
    for node in proto.graph.node:
        node.name = ""
    return store(proto, folder, "net.onnx"), images


def opened(files: tuple[Path, Path], budget: str = "50%") -> Run:
    request = OptimizeRequest(
        model=files[0],
        budget=Budget.parse(budget),
        method="block-int8",
        measuring=QUICK,
        judging=Judging(pictures=str(files[1])),
    )
    return open_run(request, Recorder())


@pytest.fixture(scope="module")
def run(files: tuple[Path, Path], few_samples: None) -> Run:
    return opened(files)


@pytest.fixture(scope="module")
def pruning(run: Run) -> BlockInt8Pruning:
    return open_block_int8(run)


def half(pruning: BlockInt8Pruning) -> PruningPlan:
    """Every other block of each layer."""
    shapes = {name: pruning.norms()[name].shape for name in pruning.layers}
    keep = {name: np.indices(shape).sum(axis=0) % 2 == 0 for name, shape in shapes.items()}
    return pruning.plan_of(keep)


def operators(path: Path) -> list[str]:
    return sorted(node.op_type for node in onnx.load(path).graph.node if "Conv" in node.op_type)


def test_curves_are_those_of_all_layers(run: Run, pruning: BlockInt8Pruning) -> None:
    """By the names of the model; a block is four output channels by a word of input channels."""
    assert len(pruning.table.curves) == len(LAYERS)
    assert not pruning.obstacle
    assert pruning.workload.structure == "block"
    for name, layer in pruning.layers.items():
        words = -(-layer.weight_shape[1] // 4)
        blocks = -(-layer.out_channels // 4)
        assert pruning.norms()[name].shape == (blocks, words * int(np.prod(layer.kernel_shape)))
    low, high = pruning.range_ms()
    assert low <= high


def test_what_is_written_is_what_was_measured(
    run: Run, pruning: BlockInt8Pruning, files: tuple[Path, Path], tmp_path: Path
) -> None:
    plan = half(pruning)
    network = pruning.pruned(run, plan)
    rewritten = pruning.rewrite(run, network, plan)
    assert rewritten.check.passed
    rows = {row.layer: row for row in rewritten.layers}
    assert len(rows) == len(LAYERS)
    assert {row.op for row in rows.values()} == OURS
    for name in pruning.layers:
        # Blocks whose integers are all 0 are not stored, either.
        assert rows[name].density == pytest.approx(plan.keep[name].mean(), abs=0.01)
        assert rows[name].simd_group == 4
    save_model(rewritten.model, tmp_path / "out.onnx")
    (tmp_path / "candidate.onnx").write_bytes(bytes(pruning.candidate(plan)))  # type: ignore[arg-type]
    assert operators(tmp_path / "candidate.onnx") == operators(tmp_path / "out.onnx")
    # It says what the pruned float model does, for any batch, with the library and without.
    with np.load(files[1]) as file:
        x = file["x_test"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    expected = ort.create_session(loadable(network.pruned), library=False).run({"x": x})[0]
    both = {}
    for library in (True, False):
        session = ort.create_session(loadable(rewritten.model), library=library)
        found = both[library] = session.run({"x": x})[0]
        assert 0 < np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
    np.testing.assert_array_equal(both[True], both[False])


def test_a_plan_is_kept_in_a_file(run: Run, pruning: BlockInt8Pruning, tmp_path: Path) -> None:
    plan = half(pruning)
    save_plan(pruning.saved(plan), tmp_path / "plan.json")
    saved = load_plan(tmp_path / "plan.json", run.workload.model)
    assert saved.method == "block-int8"
    found = pruning.given(saved)
    assert found is not None
    assert {name: mask.tolist() for name, mask in found.keep.items()} == {
        name: mask.tolist() for name, mask in plan.keep.items()
    }
    assert pruning.decided(plan).settings["weight_bits"] in (7, 8)


def test_layers_may_be_left_to_the_runtime(
    run: Run, pruning: BlockInt8Pruning, tmp_path: Path
) -> None:
    """As where its own kernel measures quicker: they stay int8, and are told."""
    name = next(iter(pruning.layers))
    left = pruning.excluding({name: "quicker as the runtime's own"})
    assert name not in left.layers
    plan = half(left)
    rewritten = left.rewrite(run, left.pruned(run, plan), plan)
    rows = {row.layer: row for row in rewritten.layers}
    assert rows[name].op == "Conv int8"
    assert rows[name].reason == "quicker as the runtime's own"
    (tmp_path / "candidate.onnx").write_bytes(bytes(left.candidate(plan)))  # type: ignore[arg-type]
    assert operators(tmp_path / "candidate.onnx").count("Conv") == 1


@pytest.mark.parametrize(
    ("method", "way"),
    [("simd", "block-int8"), ("block", "block-int8"), ("channel", "channel-int8")],
)
def test_int8_asks_for_the_method_that_does_the_same(
    files: tuple[Path, Path], method: str, way: str
) -> None:
    request = OptimizeRequest(
        model=files[0],
        budget=Budget.parse("50%"),
        method=method,
        precision="int8",
        judging=Judging(pictures=str(files[1])),
    )
    assert request.way == way


def test_groups_that_are_no_words_are_refused(run: Run) -> None:
    two = replace(run, workload=replace(run.workload, simd_group=2))
    with pytest.raises(AlcsError, match="--group-size 2: the blocks of integers have a multiple"):
        open_block_int8(two)


def test_a_table_of_another_method_is_refused(run: Run) -> None:
    given = replace(run.tables, given=Path("table.json"))
    with pytest.raises(AlcsError, match="measures a table of its own"):
        open_block_int8(replace(run, tables=given))


def test_where_our_kernels_compute_nothing(
    tmp_path: Path, files: tuple[Path, Path], rng: np.random.Generator
) -> None:
    """Only conv groups that are no whole words."""
    weights = {"w": conv_weight(rng, 6, 1, 3, 3)}
    nodes = [op("Conv", "x w", "y", "conv", group=3)]
    path = store(model(nodes, weights, ("N", 3, 12, 12)), tmp_path)
    with pytest.raises(UnsupportedError, match="no layer that could lose weights is int8 by our"):
        open_block_int8(opened((path, files[1])))


def test_the_whole_run_with_training(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Float weights are trained and kept at the plan's blocks, then rounded: zeros stay zeros."""
    pytest.importorskip("torch")
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 0.48}))
    network, images = files
    out = tmp_path / "out.onnx"
    config = {"admm_epochs": 1, "finetune_epochs": 1, "threads": 1}
    result = optimize(
        network,
        "50%",
        out,
        method="block-int8",
        measuring=QUICK,
        judging=Judging(pictures=str(images)),
        training=Training(data=str(images), config=config),
    )
    assert result.status == "met"
    assert result.accuracy is not None
    assert result.checked_against.endswith("before rounding to int8")
    assert {row.op for row in result.layers} <= {*OURS, "Conv int8"}
    assert OURS & {row.op for row in result.layers}
    assert load_model(out).takes_batches


def test_pictures_alone(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Blocks by what the network loses, refitted: the budget is met on this machine."""
    out = tmp_path / "out.onnx"
    result = optimize(
        files[0],
        "90%",
        out,
        method="block-int8",
        measuring=Measuring(warmup=3, iterations=20),
        judging=Judging(pictures=str(files[1])),
    )
    assert result.fidelity is not None
    assert result.settings["method"] == "block-int8"
    assert result.settings["shares_by"] == "loss"
    assert OURS & set(operators(out))
