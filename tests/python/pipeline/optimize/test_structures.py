"""Every structure of groups from rewrite to the command line, on a small residual network."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from small_models import labelled_images, residual_net

from alcs_onnx import get_library_path
from alcs_onnx.cli import main
from alcs_onnx.errors import ModelError
from alcs_onnx.graph import Model, conv_layers, load_model, model_macs, serialize
from alcs_onnx.pipeline.common.layers import layer_reports
from alcs_onnx.pipeline.common.pruned import initializer_masks, masked_model, sparse_model
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan, load_plan, save_plan
from alcs_onnx.rewrite import random_model, rewrite
from alcs_onnx.sparse_format import pack
from alcs_onnx.structures import RANKED, get_structure, largest_groups
from alcs_onnx.types import PruningPlan

QUICK = ["--iterations", "10", "--warmup", "1"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=16, size=24)


@pytest.fixture(scope="module")
def model(network: Path) -> Model:
    return load_model(network)


def run(data: bytes, *, library: bool) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if library:
        options.register_custom_ops_library(str(get_library_path()))
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(3).standard_normal((1, 3, 24, 24)).astype(np.float32)
    return np.asarray(session.run(None, {"x": x})[0])


def plan_for(model: Model, structure: str, share: float = 0.4) -> PruningPlan:
    """The largest groups of every layer but the stem."""
    grouping = get_structure(structure, 4)
    keep = {
        layer.name: largest_groups(
            grouping,
            model.initializers[layer.weight],
            layer,
            max(1, round(share * prod(grouping.mask_shape(layer)))),
        )
        for layer in conv_layers(model)[1:]
    }
    return PruningPlan(model.digest, 4, keep, {}, 0.0, structure)


@pytest.mark.parametrize("structure", RANKED)
def test_a_rewritten_plan_computes_what_the_projected_weights_do(
    model: Model, structure: str
) -> None:
    plan, grouping = plan_for(model, structure), get_structure(structure, 4)
    layers = {layer.name: layer for layer in conv_layers(model)}
    projected = {
        layers[name].weight: np.where(
            grouping.weight_mask(keep, layers[name]),
            model.initializers[layers[name].weight],
            np.float32(0),
        )
        for name, keep in plan.keep.items()
    }
    expected = run(serialize(model.with_initializers(projected)), library=False)
    result = rewrite(model, plan)
    for library in (True, False):
        found = run(serialize(result.model), library=library)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    rows = {row.layer: row for row in result.layers}
    for name, keep in plan.keep.items():
        assert rows[name].simd_group == grouping.storage_group(layers[name])
        assert rows[name].density == pytest.approx(keep.mean())


@pytest.mark.parametrize("structure", RANKED)
def test_exactly_the_kept_groups_are_stored_whatever_the_weights_are(
    model: Model, structure: str
) -> None:
    """A kept weight of zero is stored, too: it may have been trained to zero."""
    plan, grouping = plan_for(model, structure), get_structure(structure, 4)
    zeros = {x.weight: np.zeros_like(model.initializers[x.weight]) for x in conv_layers(model)[1:]}
    result = rewrite(model.with_initializers(zeros), plan).model
    for layer in conv_layers(model)[1:]:
        mask = grouping.weight_mask(plan.keep[layer.name], layer)
        ones = pack(mask.astype(np.float32), layer.group, grouping.storage_group(layer))
        positions = result.initializers[f"{layer.name}.positions"]
        np.testing.assert_array_equal(positions, ones.positions)
        assert result.initializers[f"{layer.name}.values"].shape == ones.values.shape


def test_layers_left_alone_are_masked_by_structure(model: Model) -> None:
    plan = plan_for(model, "filter")
    result = rewrite(model, plan, excluded=list(plan.keep)).model
    for name, keep in plan.keep.items():
        weight = result.initializers[f"{name}.masked"]
        np.testing.assert_array_equal(weight.any(axis=(1, 2, 3)), keep.reshape(-1))


@pytest.mark.parametrize("structure", RANKED)
def test_random_models_keep_exactly_the_share_of_each_structure(
    model: Model, structure: str
) -> None:
    grouping = get_structure(structure, 4)
    made = random_model(model, {"a": 0.3, "d": 0.0}, 4, seed=1, structure=structure)
    again = random_model(model, {"a": 0.3, "d": 0.0}, 4, seed=1, structure=structure)
    assert made.model.digest == again.model.digest
    rows = {row.layer: row for row in made.layers}
    [layer] = [x for x in conv_layers(model) if x.name == "a"]
    groups = prod(grouping.mask_shape(layer))
    assert rows["a"].density == pytest.approx(round(0.3 * groups) / groups)
    assert rows["d"].stored_groups == 0
    assert rows["b"].density == 1.0


def test_a_mask_of_another_structure_is_refused_by_name(model: Model) -> None:
    plan = replace(plan_for(model, "filter"), structure="shape")
    with pytest.raises(ModelError, match=r"layer 'd': .*structure 'shape' needs"):
        rewrite(model, plan)


@pytest.mark.parametrize("structure", RANKED)
def test_the_sparse_model_is_the_masked_one(model: Model, structure: str) -> None:
    plan = plan_for(model, structure)
    expected = run(serialize(masked_model(model, plan)), library=False)
    sparse = sparse_model(model, plan, {"c": "as asked"}, 4)
    for library in (True, False):
        found = run(serialize(sparse.model), library=library)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert [row.layer for row in sparse.layers] == [x.name for x in conv_layers(model)]


def test_removed_filters_take_their_biases_and_the_columns_that_read_them(model: Model) -> None:
    plan = plan_for(model, "filter", 0.5)
    masks = initializer_masks(model, plan)
    for name, keep in plan.keep.items():
        np.testing.assert_array_equal(masks[f"{name}.b"], keep.reshape(-1))
        np.testing.assert_array_equal(masks[f"{name}.w"].all(axis=(1, 2, 3)), keep.reshape(-1))
    sparse = sparse_model(model, plan, {}, 4)
    # Only `a` feeds `b`, and only `c` feeds `d`: half of their channels are gone for good.
    assert sparse.model.initializers["a.bias"].shape == (8,)
    assert sparse.model.initializers["c.bias"].shape == (16,)
    reports = {row.layer: row for row in layer_reports(model, sparse)}
    assert reports["a"].density == pytest.approx(0.5)
    assert reports["b"].density == pytest.approx(0.25)
    assert reports["b"].weight_shape == (16, 16, 3, 3)
    assert reports["stem"].density == 1.0
    kept = sum(row.density * row.macs for row in reports.values())
    dense = sum(row.macs for row in reports.values())
    convs = dense / model_macs(model)  # the rest is the Gemm, which reads fewer channels
    ratio = sparse.mac_ratio * sparse.dense_macs / model_macs(model)
    assert kept / model_macs(model) <= ratio <= kept / model_macs(model) + (1 - convs)


def test_other_structures_leave_biases_alone(model: Model) -> None:
    for structure in ("simd", "shape", "unstructured"):
        assert all(
            name.endswith(".w") for name in initializer_masks(model, plan_for(model, structure))
        )


@pytest.mark.parametrize("command", ["optimize", "prune-masks"])
@pytest.mark.parametrize("method", ["filter", "shape", "unstructured", "channel"])
def test_a_group_size_is_refused_where_it_has_no_effect(
    network: Path, command: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, str(network), "--budget", "50%", "-o", str(tmp_path / "out")]
    assert main([*words, "--method", method, "--group-size", "8"]) == 2
    assert f"--group-size has no effect with --method {method}" in capsys.readouterr().err
    words = ["profile", str(network), "-o", str(tmp_path / "out")]
    assert main([*words, "--method", method, "--group-size", "8"]) == 2
    assert f"--group-size has no effect with --method {method}" in capsys.readouterr().err


def test_flags_of_channels_are_refused(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["optimize", str(network), "--budget", "50%", "-o", str(tmp_path / "out")]
    assert main([*words, "--method", "filter", "--stages", "2"]) == 2
    assert "--stages has no effect with --method filter" in capsys.readouterr().err


@pytest.mark.parametrize("method", [name for name in GROUP_METHODS if name != "simd"])
def test_profile_and_plan_and_optimize_by_structure(
    network: Path,
    model: Model,
    method: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is tested is what is built, not how well its latency is known.
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.MIN_SECONDS", 0.01)
    monkeypatch.setattr("alcs_onnx.pipeline.optimize.measured.TOLERATED", 10.0)
    table, plan, out = tmp_path / "t.json", tmp_path / "plan.json", tmp_path / "out.onnx"
    report = tmp_path / "report.json"
    assert main(["profile", str(network), "--method", method, "-o", str(table), *QUICK]) == 0
    written = json.loads(table.read_text())
    assert written["structure"] == method
    grouping = get_structure(method, 4)
    assert {c["layer"]: c["groups"][-1] for c in written["curves"]} == {
        layer.name: prod(grouping.mask_shape(layer)) for layer in conv_layers(model)
    }

    common = [str(network), "--method", method, "--profile", str(table), "--budget", "60%", *QUICK]
    other = [str(network), "--profile", str(table), "--budget", "60%", "-o", str(out), *QUICK]
    assert main(["optimize", *other]) == 2
    assert f"measured for --method {method}, not simd" in capsys.readouterr().err
    # On a busy machine the budget may be missed by every plan that is tried.
    if main(["prune-masks", *common, "-o", str(plan)]) == 0:
        saved = load_plan(plan, model).groups
        assert saved is not None
        assert saved.structure == method
        assert any(not mask.all() for mask in saved.keep.values())

    save_plan(SavedPlan(method, None, plan_for(model, method)), plan)
    applied = [*common, "--plan", str(plan), "-o", str(out), "--export-json", str(report)]
    assert main(["optimize", *applied]) in (0, 1)
    result = json.loads(report.read_text())
    assert result["check"]["with_library"] <= 1e-4
    assert result["check"]["without_library"] <= 1e-4
    assert {row["layer"] for row in result["layers"]} == {x.name for x in conv_layers(model)}
    assert any(row["density"] < 1 for row in result["layers"])
    assert run(out.read_bytes(), library=True) == pytest.approx(
        run(out.read_bytes(), library=False), abs=1e-4
    )


def test_removed_filters_stay_gone_through_training(network: Path, tmp_path: Path) -> None:
    """Their biases are neither trained nor recalibrated: the written model has fewer channels."""
    pytest.importorskip("torch")
    images = labelled_images(tmp_path / "images.npz", size=24)
    output, result = tmp_path / "out.onnx", tmp_path / "result.json"
    arguments = ["optimize", network, "--method", "filter", "--budget", "60%", "--data", images]
    arguments += ["--admm-epochs", "1", "--finetune-epochs", "1", "--train-threads", "1"]
    status = main([str(x) for x in [*arguments, "-o", output, "--export-json", result, *QUICK]])
    assert status in (0, 1)  # a busy machine may measure above the budget
    before, after = load_model(network), load_model(output)
    channels = [
        (old.out_channels, new.out_channels)
        for old, new in zip(conv_layers(before), conv_layers(after), strict=True)
    ]
    assert all(new <= old for old, new in channels)
    assert sum(new for _, new in channels) < sum(old for old, _ in channels)
    assert json.loads(result.read_text())["accuracy"]["stages"].keys() >= {"dense", "fine-tuned"}
