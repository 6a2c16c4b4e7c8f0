"""`--method simd-int8`: SIMD groups of the layers that stay float32 beside int8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import store
from reporters import Recorder
from small_models import undecided_net
from told_times import told

from alcs_onnx import Measuring, optimize, ort
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import load_model, loadable, save_model
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.precision import PrecisionCandidate, PrecisionSearch
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.optimize import OptimizeRequest
from alcs_onnx.pipeline.optimize.int8 import Int8Pruning, open_int8
from alcs_onnx.pipeline.optimize.plan_file import load_plan, save_plan
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.pipeline.optimize.simd_int8 import SimdInt8Pruning, open_simd_int8
from alcs_onnx.types import Budget, Timing

QUICK = Measuring(warmup=1, iterations=3)
INT8 = ("stem", "c", "s")
FLOAT32 = ("a", "b", "d")

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


def opened(files: tuple[Path, Path]) -> Run:
    request = OptimizeRequest(
        model=files[0],
        budget=Budget.parse("50%"),
        method="simd-int8",
        measuring=QUICK,
        judging=Judging(pictures=str(files[1])),
    )
    return open_run(request, Recorder())


@pytest.fixture(scope="module")
def run(files: tuple[Path, Path], few_samples: None) -> Run:
    """As if some layers were quicker in int8 on this machine."""
    run = opened(files)
    return replace(run, opened={"int8": deciding(run, *INT8)})


def deciding(run: Run, *layers: str) -> Int8Pruning:
    """These layers and what follows them are int8, in half the time."""
    int8 = open_int8(run)
    tensors = {f"{layer}.{end}" for layer in layers for end in ("y", "relu")}
    nodes = frozenset(x.name for x in run.workload.model.nodes if x.outputs[0] in tensors)
    found = (
        PrecisionCandidate(frozenset(), 1.0, Timing.from_samples([1.0])),
        PrecisionCandidate(nodes, 0.5, Timing.from_samples([0.5])),
    )
    return replace(int8, search=PrecisionSearch(int8.costs, found))


@pytest.fixture(scope="module")
def pruning(run: Run) -> SimdInt8Pruning:
    return open_simd_int8(run)


def named(run: Run, *layers: str) -> set[str]:
    """What the layers are called in the model."""
    tensors = {f"{layer}.y" for layer in layers}
    return {node.name for node in run.workload.model.nodes if node.outputs[0] in tensors}


def operators(path: Path) -> dict[str, str]:
    """What computes each layer in a file, by the network's tensors, and which are int8."""
    nodes = onnx.load(path).graph.node
    made = {name: node.op_type for node in nodes for name in node.output}
    return {
        node.output[0]: "int8" if made.get(node.input[1]) == "DequantizeLinear" else node.op_type
        for node in nodes
        if "Conv" in node.op_type
    }


def test_curves_are_those_of_the_layers_beside_int8(run: Run, pruning: SimdInt8Pruning) -> None:
    """By the names of the model, though the quantized file has others."""
    assert {curve.layer for curve in pruning.table.curves} == named(run, *FLOAT32)
    assert set(pruning.layers) == named(run, *FLOAT32)
    assert set(pruning.excluded) == named(run, *INT8)
    assert pruning.mixed.layers != {name: name for name in pruning.mixed.layers}
    assert not pruning.obstacle
    low, high = pruning.range_ms()
    assert low <= high


def test_what_is_written_has_both(
    run: Run, pruning: SimdInt8Pruning, files: tuple[Path, Path], tmp_path: Path
) -> None:
    plan = half(pruning)
    network = pruning.pruned(run, plan)
    rewritten = pruning.rewrite(run, network, plan)
    assert rewritten.check.passed
    assert 0.3 < rewritten.mac_ratio < 1
    rows = {row.layer: row for row in rewritten.layers}
    assert {rows[name].op for name in named(run, *INT8)} == {"Conv int8"}
    for name in named(run, *FLOAT32):
        assert rows[name].op.startswith("SimdSparseConv")
        assert rows[name].density == pytest.approx(plan.keep[name].mean())
    save_model(rewritten.model, tmp_path / "out.onnx")
    kinds = operators(tmp_path / "out.onnx")
    assert sorted(kinds.values()) == [
        "SimdSparseConv", "SimdSparseConvAdd", "SimdSparseConvAdd", "int8", "int8", "int8",
    ]  # fmt: skip
    (tmp_path / "candidate.onnx").write_bytes(bytes(pruning.candidate(plan)))  # type: ignore[arg-type]
    assert operators(tmp_path / "candidate.onnx") == kinds
    # It says what the pruned float model does, for any batch, with the library and without.
    with np.load(files[1]) as file:
        x = file["x_test"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    expected = ort.create_session(loadable(network.pruned), library=False).run({"x": x})[0]
    for library in (True, False):
        session = ort.create_session(loadable(rewritten.model), library=library)
        found = session.run({"x": x})[0]
        assert 0 < np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)


def half(pruning: SimdInt8Pruning):
    """Every other group of each layer."""
    shapes = {name: pruning.norms()[name].shape for name in pruning.layers}
    keep = {name: np.indices(shape).sum(axis=0) % 2 == 0 for name, shape in shapes.items()}
    return pruning.plan_of(keep)


def test_a_plan_says_which_nodes_are_int8(
    run: Run, pruning: SimdInt8Pruning, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """They are those again, whatever is quicker when it is applied."""
    plan = half(pruning)
    save_plan(pruning.saved(plan), tmp_path / "plan.json")
    saved = load_plan(tmp_path / "plan.json", run.workload.model)
    assert saved.method == "simd-int8"
    again = open_simd_int8(replace(run, given=saved, opened={}))
    assert again.precision.int8 == pruning.precision.int8
    found = again.given(saved)
    assert found is not None
    assert {name: mask.tolist() for name, mask in found.keep.items()} == {
        name: mask.tolist() for name, mask in plan.keep.items()
    }
    assert pruning.decided(plan).settings["int8_nodes"] == len(pruning.mixed.int8)


def test_where_no_layer_is_left(files: tuple[Path, Path]) -> None:
    run = opened(files)
    whole = deciding(run, *INT8, *FLOAT32)
    with pytest.raises(AlcsError, match="no layer that could lose weights is left in float32"):
        open_simd_int8(replace(run, opened={"int8": whole}))


def test_where_int8_is_quicker_nowhere(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 1.5}))
    with pytest.raises(AlcsError, match="no int8 node is quicker on this machine"):
        open_simd_int8(opened(files))


def test_it_is_trained_before_it_is_rounded(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole run: float weights are trained and kept at the plan's groups, then rounded."""
    pytest.importorskip("torch")
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 0.48}))
    monkeypatch.setattr(
        "alcs_onnx.pipeline.optimize.simd_int8.open_int8", lambda run: deciding(run, *INT8)
    )
    network, images = files
    out = tmp_path / "out.onnx"
    config = {"admm_epochs": 1, "finetune_epochs": 1, "threads": 1}
    result = optimize(
        network,
        "50%",
        out,
        method="simd-int8",
        measuring=QUICK,
        judging=Judging(pictures=str(images)),
        training=Training(data=str(images), config=config),
    )
    assert result.status == "met"
    assert result.accuracy is not None
    assert result.checked_against.endswith("before rounding to int8")
    assert {row.op for row in result.layers if row.op == "Conv int8"}
    assert len([op for op in operators(out).values() if op == "int8"]) == len(INT8)
    assert load_model(out).takes_batches
