"""Conv -> SimdSparseConv: fusion, storage, and that the written file means the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import (
    conv_weight,
    feed,
    golden_cases,
    op,
    op_types,
    run,
    store,
    vector,
)
from rewrite_helpers import NONE, activation, golden_model, load, load_again, same

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import (
    GraphEditor,
    Model,
    conv_layer,
    conv_layers,
    load_model,
    model_macs,
    save_model,
    serialize,
)
from alcs_onnx.rewrite import compile_sparse, random_model, rewrite
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, OP_DOMAIN, group_mask_to_weight_mask
from alcs_onnx.types import Activation, PruningPlan

Rng = np.random.Generator


@pytest.mark.parametrize(
    ("node", "constants", "expected"),
    [
        (op("Relu", "a", "y"), {}, Activation(low=0)),
        (op("Clip", "a lo hi", "y"), {"lo": 0, "hi": 6}, Activation(low=0, high=6)),
        (op("Clip", "a lo hi", "y"), {"lo": -1, "hi": 2}, Activation(low=-1, high=2)),
        (op("Clip", "a lo", "y"), {"lo": 0.5}, Activation(low=0.5)),
        (op("Clip", "a - hi", "y"), {"hi": 1}, Activation(high=1)),
        (op("Clip", "a lo hi", "y"), {"lo": -np.inf, "hi": np.inf}, Activation()),
        (op("Clip", "a", "y"), {}, Activation()),
        (op("LeakyRelu", "a", "y"), {}, Activation(slope=0.01)),
        (op("LeakyRelu", "a", "y", alpha=-0.5), {}, Activation(slope=-0.5)),
        (op("PRelu", "a s", "y"), {"s": 0.25}, Activation(slope=0.25)),
    ],
)
def test_activations_are_fused(
    tmp_path: Path, rng: Rng, node: onnx.NodeProto, constants: dict, expected: Activation
) -> None:
    weights = {"w": conv_weight(rng, 12, 8, 3, 3), "b": vector(rng, 12)}
    weights |= {name: np.float32(value) for name, value in constants.items()}
    loaded = load(tmp_path, [op("Conv", "x w b", "a", "conv"), node], weights)
    result = rewrite(loaded)
    assert op_types(result.model) == [OP_CONV]
    assert activation(result.model.nodes[0]) == expected
    assert result.layers[0].fused == (node.op_type,)
    same(result.model, loaded, rng)


@pytest.mark.parametrize(
    ("node", "constants", "reason"),
    [
        (op("Sigmoid", "a", "y"), {}, "Sigmoid cannot be fused"),
        (op("LeakyRelu", "a", "y", alpha=1.5), {}, "slope 1.5 is above 1"),
        (op("PRelu", "a s", "y"), {"s": np.ones((12, 1, 1))}, "one slope per channel"),
        (op("Clip", "a lo hi", "y"), {"lo": 2, "hi": 1}, "no interval"),
        (op("Clip", "a lo hi", "y"), {"lo": np.nan, "hi": 1}, "no interval"),
    ],
)
def test_other_activations_stay(
    tmp_path: Path, rng: Rng, node: onnx.NodeProto, constants: dict, reason: str
) -> None:
    weights = {"w": conv_weight(rng, 12, 8, 3, 3)}
    weights |= {name: np.float32(value) for name, value in constants.items()}
    loaded = load(tmp_path, [op("Conv", "x w", "a", "conv"), node], weights)
    result = rewrite(loaded)
    assert op_types(result.model) == [OP_CONV, node.op_type]
    assert activation(result.model.nodes[0]) == NONE
    assert reason in result.layers[0].unfused


def test_bounds_computed_at_run_time_stay(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("ReduceMax", "x", "high", keepdims=0),
        op("Clip", "a zero high", "y"),
    ]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 4, 8, 3, 3), "zero": np.float32(0)})
    result = rewrite(loaded)
    assert "run time" in result.layers[0].unfused
    same(result.model, loaded, rng)


def residual_block(rng: Rng, add: str = "b s", after: str = "Relu") -> tuple[list, dict]:
    nodes = [
        op("Relu", "x", "s"),
        op("Conv", "s w1", "a", "c1", pads=[1, 1, 1, 1]),
        op("Relu", "a", "r"),
        op("Conv", "r w2", "b", "c2", pads=[1, 1, 1, 1]),
        op("Add", add, "t"),
        op(after, "t", "y"),
    ]
    return nodes, {"w1": conv_weight(rng, 8, 8, 3, 3), "w2": conv_weight(rng, 8, 8, 3, 3)}


@pytest.mark.parametrize("add", ["b s", "s b"])
@pytest.mark.parametrize("after", ["Relu", "LeakyRelu", "Sigmoid"])
def test_residual_add_is_fused(tmp_path: Path, rng: Rng, add: str, after: str) -> None:
    loaded = load(tmp_path, *residual_block(rng, add, after))
    result = rewrite(loaded)
    fused = ("residual",) if after == "Sigmoid" else ("residual", after)
    assert [row.fused for row in result.layers] == [("Relu",), fused]
    last = next(node for node in result.model.nodes if node.name == "c2")
    assert (last.op_type, last.inputs[4]) == (OP_CONV_ADD, "s")
    same(result.model, loaded, rng)


def test_of_two_convs_the_later_takes_the_add(tmp_path: Path, rng: Rng) -> None:
    """A projection shortcut: its output becomes the residual of the main path."""
    nodes = [
        op("Conv", "x p", "s", "shortcut"),
        op("Conv", "x w", "a", "main", pads=[1, 1, 1, 1]),
        op("Add", "s a", "t"),
        op("Relu", "t", "y"),
    ]
    weights = {"p": conv_weight(rng, 16, 8, 1, 1), "w": conv_weight(rng, 16, 8, 3, 3)}
    loaded = load(tmp_path, nodes, weights)
    result = rewrite(loaded)
    assert [(n.name, n.op_type) for n in result.model.nodes] == [
        ("shortcut", OP_CONV),
        ("main", OP_CONV_ADD),
    ]
    same(result.model, loaded, rng)
    # With the later one left alone the other takes it.
    result = rewrite(loaded, excluded=["main"])
    assert [(n.name, n.op_type) for n in result.model.nodes] == [
        ("main", "Conv"),
        ("shortcut", OP_CONV_ADD),
    ]
    same(result.model, loaded, rng)


def test_residual_produced_later_in_the_file(tmp_path: Path, rng: Rng) -> None:
    """The fused node waits for its residual."""
    nodes = [
        op("Conv", "x w", "a", "main", pads=[1, 1, 1, 1]),
        op("Sigmoid", "x", "g"),
        op("Mul", "g x", "s"),
        op("Add", "a s", "y"),
    ]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 8, 8, 3, 3)})
    result = rewrite(loaded)
    assert op_types(result.model) == ["Sigmoid", "Mul", OP_CONV_ADD]
    same(result.model, loaded, rng)


@pytest.mark.parametrize(
    ("extra", "add", "reason"),
    [
        ([op("GlobalAveragePool", "x", "s")], "a s", "differ in shape"),
        ([], "a k", "constant"),
        ([], "a a", "added to itself"),
        ([op("Relu", "a", "s")], "a s", "read more than once"),
    ],
)
def test_other_adds_stay(tmp_path: Path, rng: Rng, extra: list, add: str, reason: str) -> None:
    nodes = [op("Conv", "x w", "a", "conv", pads=[1, 1, 1, 1]), *extra, op("Add", add, "y")]
    weights = {"w": conv_weight(rng, 8, 8, 3, 3), "k": rng.standard_normal((9, 9))}
    weights["k"] = weights["k"].astype(np.float32)
    loaded = load(tmp_path, nodes, weights)
    result = rewrite(loaded)
    assert result.layers[0].fused == ()
    assert reason in result.layers[0].unfused
    assert "Add" in op_types(result.model)
    same(result.model, loaded, rng)


def test_graph_outputs_are_not_fused_away(tmp_path: Path, rng: Rng) -> None:
    nodes, weights = residual_block(rng)
    for outputs in ("y b", "y t", "y a"):
        loaded = load(tmp_path, nodes, weights, outputs=outputs)
        result = rewrite(loaded)
        assert [info.name for info in result.model.outputs] == outputs.split()
        same(result.model, loaded, rng)


def test_activation_read_twice_is_fused_once(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "conv", pads=[1, 1, 1, 1]),
        op("Relu", "a", "r"),
        op("Sigmoid", "r", "s"),
        op("Mul", "r s", "y"),
    ]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 8, 8, 3, 3)})
    result = rewrite(loaded)
    assert op_types(result.model) == [OP_CONV, "Sigmoid", "Mul"]
    same(result.model, loaded, rng)


GEOMETRIES = [
    # name, weight shape, group, attributes, input shape
    ("odd channels", (10, 8, 3, 3), 1, {}, (1, 8, 9, 9)),
    ("grouped, padded blocks", (12, 4, 3, 3), 2, {"pads": [1, 1, 1, 1]}, (1, 8, 9, 9)),
    ("depthwise", (8, 1, 3, 3), 8, {"strides": [2, 2], "pads": [0, 1, 1, 0]}, (2, 8, 9, 8)),
    ("depthwise, two each", (16, 1, 3, 3), 8, {}, (1, 8, 9, 9)),
    ("dilated", (8, 8, 3, 2), 1, {"dilations": [2, 3]}, (1, 8, 11, 12)),
    ("one channel out", (1, 8, 1, 1), 1, {}, (1, 8, 9, 9)),
    ("even kernel", (8, 8, 4, 2), 1, {"pads": [2, 0, 1, 1]}, (1, 8, 9, 9)),
    ("one-dimensional", (12, 8, 5), 1, {"pads": [2, 2], "strides": [2]}, (3, 8, 20)),
    ("one-dimensional depthwise", (8, 1, 3), 8, {"dilations": [2]}, (1, 8, 20)),
]


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("g", [1, 4, 8, 16])
@pytest.mark.parametrize("case", GEOMETRIES, ids=[case[0] for case in GEOMETRIES])
def test_geometries(tmp_path: Path, rng: Rng, case: tuple, g: int, density: float) -> None:
    """A random pattern gives what the ONNX Conv gives with the masked weight."""
    _, shape, group, attributes, x_shape = case
    weights = {"w": conv_weight(rng, *shape), "b": vector(rng, shape[0])}
    nodes = [op("Conv", "x w b", "a", "conv", group=group, **attributes), op("Relu", "a", "y")]
    loaded = load(tmp_path, nodes, weights, x_shape)
    result = random_model(loaded, {"conv": density}, g, seed=3)
    row = result.layers[0]
    assert row.stored_groups == round(density * row.groups)
    again = load_again(result.model, tmp_path)
    kept = again.initializers[conv_layers(again)[0].weight]
    assert set(np.unique(kept[kept != weights["w"]])) <= {0}
    masked = loaded.with_initializers({conv_layers(loaded)[0].weight: kept})
    same(result.model, masked, rng, x_shape)


def small_net(tmp_path: Path, rng: Rng) -> Model:
    nodes = [
        op("Conv", "x w1 b1", "a", "stem", pads=[1, 1, 1, 1]),
        op("Relu", "a", "r"),
        op("Conv", "r w2", "c", "depthwise", group=12, pads=[1, 1, 1, 1]),
        op("Clip", "c lo hi", "d"),
        op("Conv", "d w3", "y", "pointwise"),
    ]
    weights = {
        "w1": conv_weight(rng, 12, 8, 3, 3), "b1": vector(rng, 12),
        "w2": conv_weight(rng, 12, 1, 3, 3), "w3": conv_weight(rng, 6, 12, 1, 1),
        "lo": np.float32(0), "hi": np.float32(6),
    }  # fmt: skip
    return load(tmp_path, nodes, weights)


def plan_for(loaded: Model, keep: dict[str, np.ndarray], g: int) -> PruningPlan:
    return PruningPlan(loaded.digest, g, keep, {}, 1.0)


def test_plan_decides_exactly_what_is_stored(tmp_path: Path, rng: Rng) -> None:
    loaded = small_net(tmp_path, rng)
    keep = rng.random((3, 72)) < 0.4
    result = rewrite(loaded, plan_for(loaded, {"stem": keep}, 4))
    rows = {row.layer: row for row in result.layers}
    assert (rows["stem"].simd_group, rows["stem"].stored_groups) == (4, keep.sum())
    positions = result.model.initializers["stem.positions"]
    np.testing.assert_array_equal(positions, np.flatnonzero(keep))
    # outside the plan: dense, with the plan's group where the rows suffice
    assert (rows["depthwise"].simd_group, rows["depthwise"].density) == (1, 1)
    assert (rows["pointwise"].simd_group, rows["pointwise"].density) == (4, 1)
    stem = loaded.initializers["w1"]
    mask = group_mask_to_weight_mask(keep, stem.shape, 1, 4)
    same(result.model, loaded.with_initializers({"w1": stem * mask}), rng)
    macs = conv_layer(loaded, "stem").macs
    assert result.mac_ratio == pytest.approx(1 - macs * (1 - keep.mean()) / model_macs(loaded))


def test_group_size_of_layers_outside_the_plan(tmp_path: Path, rng: Rng) -> None:
    loaded = small_net(tmp_path, rng)
    sizes = [row.simd_group for row in rewrite(loaded, simd_group=16).layers]
    assert sizes == [8, 1, 4]
    assert [row.simd_group for row in rewrite(loaded).layers] == [8, 1, 4]
    assert [row.simd_group for row in rewrite(loaded, simd_group=2).layers] == [2, 1, 2]


def test_group_larger_than_the_layer_becomes_the_largest_that_fits(
    tmp_path: Path, rng: Rng
) -> None:
    loaded = small_net(tmp_path, rng)
    keep = rng.random((2, 12)) < 0.5
    result = rewrite(loaded, plan_for(loaded, {"pointwise": keep}, 8))
    assert result.model.initializers["pointwise.values"].shape == (keep.sum(), 4)
    again = load_again(result.model, tmp_path)
    same(result.model, again, rng)


def test_wrong_plans_are_refused(tmp_path: Path, rng: Rng) -> None:
    loaded = small_net(tmp_path, rng)
    with pytest.raises(ModelError, match=r"layer 'stem'.*\[2, 72\].*\[3, 72\]"):
        rewrite(loaded, plan_for(loaded, {"stem": np.ones((2, 72), bool)}, 4))
    with pytest.raises(ModelError, match=r"'absent'.*no such convolution"):
        rewrite(loaded, plan_for(loaded, {"absent": np.ones((2, 72), bool)}, 4))
    with pytest.raises(ModelError, match="'absent'"):
        rewrite(loaded, excluded=["absent"])
    with pytest.raises(ModelError, match="'absent'"):
        random_model(loaded, {"absent": 0.5}, 4, 0)
    with pytest.raises(AlcsError, match=r"'stem'.*1\.5"):
        random_model(loaded, {"stem": 1.5}, 4, 0)


def test_layers_left_alone(tmp_path: Path, rng: Rng) -> None:
    loaded = small_net(tmp_path, rng)
    keep = rng.random((3, 72)) < 0.4
    plan = plan_for(loaded, {"stem": keep}, 4)
    result = rewrite(loaded, plan, excluded={"stem": "faster as Conv", "depthwise": ""})
    assert op_types(result.model) == ["Conv", "Relu", "Conv", "Clip", OP_CONV]
    rows = {row.layer: row for row in result.layers}
    assert rows["stem"].op == "Conv"
    assert rows["stem"].reason.startswith("faster as Conv")
    stem = loaded.initializers["w1"]
    mask = group_mask_to_weight_mask(keep, stem.shape, 1, 4)
    same(result.model, loaded.with_initializers({"w1": stem * mask}), rng)


def test_skipped_convolutions_are_listed(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "plain", pads=[1, 1, 1, 1]),
        op("Relu", "w", "v"),
        op("ReduceMax", "x", "m", keepdims=0),
        op("Mul", "v m", "dynamic"),
        op("Conv", "a dynamic", "y", "computed"),
    ]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 8, 8, 3, 3)})
    result = rewrite(loaded)
    assert [(row.layer, row.op) for row in result.layers] == [
        ("plain", OP_CONV),
        ("computed", "Conv"),
    ]
    assert "run time" in result.layers[1].reason
    same(result.model, loaded, rng)


def test_shared_weights_are_stored_per_layer(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "one", pads=[1, 1, 1, 1]),
        op("Conv", "a w", "b", "two", pads=[2, 2, 2, 2], dilations=[2, 2]),
        op("Conv", "b w", "y", "three"),
    ]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 8, 8, 3, 3)})
    keep = rng.random((2, 72)) < 0.5
    result = rewrite(loaded, plan_for(loaded, {"two": keep}, 4), excluded=["three"])
    stored = [row.stored_groups for row in result.layers]
    assert stored == [144, keep.sum(), 0]
    assert "w" in result.model.initializers
    assert run(serialize(result.model), feed((1, 8, 9, 9), rng))[0].shape == (1, 8, 7, 7)


def test_random_models_repeat_and_differ_by_seed(tmp_path: Path, rng: Rng) -> None:
    loaded = small_net(tmp_path, rng)
    densities = {"stem": 0.37, "pointwise": 0.5}
    first = random_model(loaded, densities, 4, seed=1)
    assert first.model.digest == random_model(loaded, densities, 4, seed=1).model.digest
    assert first.model.digest != random_model(loaded, densities, 4, seed=2).model.digest
    rows = {row.layer: row for row in first.layers}
    assert rows["stem"].stored_groups == round(0.37 * 3 * 72)
    assert rows["depthwise"].density == 1
    # The pattern of a layer does not depend on what is asked of the others.
    alone = random_model(loaded, {"stem": 0.37}, 4, seed=1)
    np.testing.assert_array_equal(
        alone.model.initializers["stem.positions"], first.model.initializers["stem.positions"]
    )


@pytest.mark.parametrize("g", [1, 2, 4, 8])
def test_compile_finds_the_group_size(tmp_path: Path, rng: Rng, g: int) -> None:
    weight = conv_weight(rng, 32, 8, 3, 3)
    keep = rng.random((32 // g, 72)) < 0.2
    weight[~group_mask_to_weight_mask(keep, weight.shape, 1, g)] = 0
    loaded = load(tmp_path, [op("Conv", "x w", "y", "conv")], {"w": weight})
    result = compile_sparse(loaded)
    row = result.layers[0]
    assert (row.simd_group, row.stored_groups, row.groups) == (g, keep.sum(), keep.size)
    same(result.model, loaded, rng)
    forced = compile_sparse(loaded, simd_group=4).layers[0]
    assert forced.simd_group == 4
    same(compile_sparse(loaded, simd_group=4).model, loaded, rng)


def test_original_model_is_untouched(tmp_path: Path, rng: Rng) -> None:
    loaded = small_net(tmp_path, rng)
    digest, nodes = loaded.digest, loaded.nodes
    before = serialize(loaded)
    rewrite(loaded, plan_for(loaded, {"stem": np.zeros((3, 72), bool)}, 4))
    assert serialize(loaded) == before
    assert (loaded.digest, loaded.nodes) == (digest, nodes)


def test_written_layers_are_sorted_like_the_file(tmp_path: Path, rng: Rng) -> None:
    result = rewrite(small_net(tmp_path, rng))
    assert [node.name for node in result.model.nodes] == ["stem", "depthwise", "pointwise"]
    assert [row.layer for row in result.layers] == ["stem", "depthwise", "pointwise"]
    assert result.model.shapes["y"] == (1, 6, 9, 9)
    assert result.model.other_opsets == {OP_DOMAIN: 1}


def test_invalid_stored_weights_are_refused_on_load(tmp_path: Path, rng: Rng) -> None:
    result = rewrite(small_net(tmp_path, rng)).model
    positions = result.initializers["stem.positions"].copy()
    positions[3] = positions[2]
    save_model(result.with_initializers({"stem.positions": positions}), tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match=r"'stem'.*strictly increasing"):
        load_model(tmp_path / "bad.onnx")


def test_pruned_file_is_small(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "y", "conv")]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 256, 64, 3, 3)}, (1, 64, 9, 9))
    dense, sparse = (serialize(random_model(loaded, {"conv": d}, 8, 0).model) for d in (1.0, 0.25))
    assert len(sparse) < 0.27 * len(dense)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case["name"])
def test_golden_convolutions(tmp_path: Path, case: dict, residual: bool) -> None:
    """Function body and expansion give the golden output exactly: all numbers are integers."""
    feeds = {"x": np.array(case["x"], np.float32).reshape(case["x_shape"])}
    expected = np.array(case["y"], np.float32).reshape(case["y_shape"])
    if residual:
        feeds["res"] = np.arange(expected.size, dtype=np.float32).reshape(expected.shape)
        expected = expected + feeds["res"]
    path = store(golden_model(case, residual), tmp_path)
    expanded = load_model(path)
    np.testing.assert_array_equal(run(serialize(expanded), feeds)[0], expected)
    # Without the library the file runs through its function body.
    proto = onnx.load(path)
    written = serialize(rewrite(expanded, simd_group=case["simd_group"]).model)
    proto.functions.extend(onnx.load_from_string(written).functions)
    np.testing.assert_array_equal(run(proto.SerializeToString(), feeds)[0], expected)


def test_values_that_are_computed_cannot_be_expanded(tmp_path: Path) -> None:
    case = golden_cases()[0]
    proto = golden_model(case, residual=False)
    proto.graph.node.insert(0, op("Abs", "raw", "values"))
    tensor = next(t for t in proto.graph.initializer if t.name == "values")
    tensor.name = "raw"
    proto.graph.node.insert(0, op("Mul", "raw0 one", "raw"))
    tensor.name = "raw0"
    proto.graph.input.append(onnx.helper.make_tensor_value_info("one", onnx.TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match=r"'conv'.*not constant"):
        load_model(store(proto, tmp_path))


def test_editor_builds_sparse_nodes_with_their_function(tmp_path: Path, rng: Rng) -> None:
    """Whoever inserts the op gets its function and opset import without asking."""
    loaded = small_net(tmp_path, rng)
    node = next(n for n in rewrite(loaded).model.nodes if n.name == "pointwise")
    editor = GraphEditor(loaded)
    for name in node.inputs[1:]:
        editor.add_constant(name, rewrite(loaded).model.initializers[name])
    editor.remove(editor.node("pointwise"))
    editor.insert_node(node)
    proto = onnx.load_from_string(serialize(editor.build()))
    assert [f.name for f in proto.functions] == [OP_CONV]
    assert OP_DOMAIN in {o.domain for o in proto.opset_import}
