"""What has to stay, and that the reason is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from coupling_helpers import Prove, Proved, assert_shrinks, start
from zoo.builder import Builder

from alcs_onnx import coupling
from alcs_onnx.rewrite import shrink


def test_graph_outputs_stay(prove: Prove) -> None:
    b, x = start()
    out = b.op("Add", x, b.conv("b", x, 8, 8))
    p = prove(b, out, b.head(b.conv("c", out, 8, 6), 6))
    assert p.free() == {"c": 6}
    for name in ("a.w", "b.w"):
        assert out in p.why(name)
        assert "output" in p.why(name)


def test_samples_beside_channels_stay(prove: Prove) -> None:
    """A Reshape to [1, -1, ...] keeps one sample as it is, and mixes several."""
    b = Builder()
    x = b.relu(b.conv("a", b.input(("N", 3, 8, 8)), 3, 8))
    all_samples = b.op("Reshape", x, b.const([1, -1, 8, 8]), name="together")
    p = prove(b, b.conv("b", b.op("ReduceMean", all_samples, axes=[1]), 1, 4))
    assert p.free() == {}
    assert "'together' (Reshape) lays samples and channels along one axis" in p.why("a.w")


def test_unknown_operator(tmp_path: Path, rng: np.random.Generator) -> None:
    b, x = start()
    (y,) = b.ops("Mystery", b.conv("b", x, 8, 8), count=1, domain="com.example", name="odd")
    b.declare(y, (1, 8, 8, 8))
    model = b.load(tmp_path, b.head(b.conv("c", b.relu(x), 8, 6), 6), y)
    analysed, _ = assert_shrinks(model, rng, runs=False)
    p = Proved(model, analysed)
    assert p.free() == {"a": 8, "c": 6}
    assert "odd" in p.why("b.w")
    assert "Mystery" in p.why("b.w")


def test_subgraphs(prove: Prove) -> None:
    """What a branch of If reads stays as it is."""
    from onnx import TensorProto, helper

    b, x = start()
    branches = {}
    for name, op_type in (("then_branch", "Relu"), ("else_branch", "Neg")):
        branches[name] = helper.make_graph(
            [helper.make_node(op_type, [x], ["r"])],
            name,
            [],
            [helper.make_tensor_value_info("r", TensorProto.FLOAT, [1, 8, 8, 8])],
        )
    largest = b.op("ReduceMax", b.input((1, 4), "flag"), keepdims=0)
    condition = b.op("Greater", largest, b.const(np.float32(0)))
    y = b.op("If", condition, name="branch", **branches)
    p = prove(b, b.head(b.conv("b", y, 8, 6), 6))
    assert "branch" in p.why("a.w")
    assert p.free() == {"b": 6}


def test_weight_that_is_an_output(prove: Prove) -> None:
    """An initializer that the graph gives out keeps its shape."""
    b, x = start()
    y = b.op("Mul", b.relu(x), b.uniform("factor", 8, 1, 1))
    p = prove(b, b.head(b.relu(y), 8), "factor")
    assert "output" in p.why("a.w")


def test_split_with_an_output_left_out(tmp_path: Path) -> None:
    """The runtime refuses such a file, so nothing is computed here."""
    b, x = start()
    part = b.ops("Split", x, b.const([3, 5]), count=2, axis=1, name="split")[1]
    model = b.load(tmp_path, b.head(b.conv("b", part, 5, 4), 4))
    split = model.node("split")
    nameless = replace(split, outputs=("", split.outputs[1]))
    nodes = tuple(nameless if node is split else node for node in model.nodes)
    model = replace(model, nodes=nodes)
    p = Proved(model, coupling.analyse(model))
    assert p.at("b.w", 1) == p.at("a.w")[3:]
    keep = {group.name: np.arange(group.channels) > 0 for group in p.analysed.prunable}
    small = shrink(model, p.analysed, keep)
    assert small.initializers["b.w"].shape == (3, 4, 3, 3)


def test_shapes_known_only_at_run_time(tmp_path: Path, rng: np.random.Generator) -> None:
    """Places that are found at run time are read by a Gather; the other branch is pruned."""
    b, x = start()
    mean = b.op("ReduceMean", b.relu(x), axes=[0, 1], keepdims=0)
    places = b.op("NonZero", b.op("Greater", mean, b.const(np.float32(0.3))), name="places")
    row = b.op("Cast", b.op("Gather", places, b.const(np.int64(0)), axis=0, name="row"), to=1)
    total = b.op("ReduceSum", row, keepdims=1)
    b.declare(total, (1,))
    model = b.load(tmp_path, b.head(b.conv("b", x, 8, 6), 6), total)
    p = Proved(model, assert_shrinks(model, rng)[0])
    assert p.free() == {"a": 8, "b": 6}


def test_pieces_of_an_input_stay_because_of_the_input(prove: Prove) -> None:
    b = Builder()
    x = b.op("Slice", b.input((1, 3, 8, 8)), *(b.const([v]) for v in (0, 4, 2)))
    p = prove(b, b.head(b.conv("a", x, 3, 6), 6))
    assert p.free() == {"a": 6}
    assert "graph input" in p.why("a.w", 1)


def test_every_reason_names_something(prove: Prove) -> None:
    """Also where a single channel is left, or all are linked to one another."""
    b, x = start()
    one = b.conv("one", x, 8, 1)
    pieces = [b.op("Slice", x, *(b.const([v]) for v in (i, i + 1, 1))) for i in range(8)]
    y = b.op("Concat", *pieces, axis=2)
    p = prove(b, b.head(one, 1), b.head(b.conv("b", y, 1, 4), 4, name="second"))
    assert "'one'" in p.why("one.w")
    assert "'a'" in p.why("a.w")
