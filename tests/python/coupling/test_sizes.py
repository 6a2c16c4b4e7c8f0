"""Numbers that are computed of sizes: what counts channels in them is put right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coupling_helpers import (
    Prove,
    Proved,
    assert_close,
    assert_shrinks,
    at_run_time,
    insert,
    run,
    start,
)
from zoo.builder import Builder

from alcs_onnx.graph import GraphEditor, Model, Node, values_of_sizes

#: An entry of a computed tensor: a number, or the size of a tensor along an axis.
Entry = int | tuple[str, int]


def added(small: Model, model: Model) -> list[str]:
    """What was put into a graph to set its numbers right."""
    return [n.op_type for n in small.nodes if n.name not in {node.name for node in model.nodes}]


def images(channels: int = 8) -> tuple[Builder, str]:
    """As `start`, with a symbolic batch."""
    b = Builder()
    return b, b.conv("a", b.input(("N", 3, 8, 8)), 3, channels)


def assert_runs_in_batches(small: Model, rng: np.random.Generator) -> None:
    """Three samples at once, as each alone."""
    x = rng.standard_normal((3, *small.inputs[0].shape[1:])).astype(np.float32)
    together = run(small, {"x": x})
    alone = [run(small, {"x": sample[None]}) for sample in x]
    joined = [np.concatenate(found) for found in zip(*alone, strict=True)]
    assert_close(together, joined, "three samples")


RESHAPES: dict[str, tuple[list[Entry], list[str]]] = {
    # A shape that counts anew by itself, and one that only needs the batch, are left alone.
    "of the tensor": ([("a.y", 0), ("a.y", 1), -1], []),
    "of another tensor": ([("a.y", 0), ("c.y", 1), -1], ["Where"]),
    "a number": ([("a.y", 0), 8, -1], ["Where"]),
    "a copy": ([("a.y", 0), 0, -1], []),
    "the rest": ([("a.y", 0), -1, 64], []),
}


@pytest.mark.parametrize("name", RESHAPES)
def test_reshape(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    entries, nodes = RESHAPES[name]
    b, x = images()
    other = b.relu(b.conv("c", x, 8, 8))  # as many channels, all of which stay
    flat = b.op("Reshape", b.relu(x), b.const([0, 8, 64]), name="flat")
    square = b.op("Reshape", b.op("Sigmoid", flat), b.const([0, 8, 8, 8]), name="square")
    model = b.load(tmp_path, b.head(b.conv("b", square, 8, 6), 6), other)
    model = at_run_time(model, "flat", 1, entries)
    analysed, small = assert_shrinks(model, rng)
    assert Proved(model, analysed).free() == {"a": 8, "b": 6}
    assert added(small, model) == nodes
    assert_runs_in_batches(small, rng)


def test_channels_and_pixels_in_one_number(tmp_path: Path, rng: np.random.Generator) -> None:
    """Where pixels are counted, too, -1 takes the place: they may be others at run time."""
    b, x = images()
    flat = b.op("Reshape", b.op("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4]),
                b.const([0, 32]), name="flat")  # fmt: skip
    model = b.load(tmp_path, b.gemm("head", flat, 32, 5))
    computed = at_run_time(model, "flat", 1, [("a.y", 0), 32])
    analysed, small = assert_shrinks(computed, rng)
    assert Proved(computed, analysed).free() == {"a": 8}
    override = next(node for node in small.nodes if node.op_type == "Where")
    assert small.initializers[override.inputs[1]].tolist()[1] == -1
    assert_runs_in_batches(small, rng)


def test_target_that_nothing_is_known_of(tmp_path: Path, rng: np.random.Generator) -> None:
    """Channels alone are counted anew, beside pixels they stay."""
    b, x = images()
    shape: list[Entry] = [("a.y", 0), 8, 64]
    flat = b.op("Reshape", x, b.const([0, 8, 64]), name="flat")
    y = b.op("Reshape", b.conv("b", b.op("Reshape", flat, b.const([0, 8, 8, 8])), 8, 6),
             b.const([0, 384]), name="all")  # fmt: skip
    model = b.load(tmp_path, b.gemm("head", y, 384, 5))
    model = at_run_time(model, "flat", 1, shape, known=False)
    model = at_run_time(model, "all", 1, [("a.y", 0), 384], known=False)
    analysed, small = assert_shrinks(model, rng)
    p = Proved(model, analysed)
    assert p.free() == {"a": 8}
    assert "'all'" in p.why("b.w")
    assert_runs_in_batches(small, rng)


@pytest.mark.parametrize(
    ("source", "nodes"), [("Shape", ["Where"]), ("Size", ["Mul", "Div"])], ids=["shape", "size"]
)
def test_number_that_is_used_as_a_value(
    source: str, nodes: list[str], tmp_path: Path, rng: np.random.Generator
) -> None:
    """A factor that is the root of a number of channels, or of all values: it stays what it was."""
    b, x = start()
    y = b.relu(b.op("Mul", b.op("Sigmoid", x), b.op("Sigmoid", x), name="scaled"))
    model = b.load(tmp_path, b.head(b.conv("b", y, 8, 6), 6))
    scaled = model.node("scaled")
    chain = [
        (Node("n0", source, ("a.y",), ("n0",)), (4,) if source == "Shape" else (), np.int64),
        (Node("n1", "Cast", ("n0",), ("n1",), {"to": 1}), (4,), np.float32),
        (Node("n2", "Sqrt", ("n1",), ("n2",)), (4,), np.float32),
        (Node("n3", "ReduceMean", ("n2",), ("n3",), {"keepdims": 0}), (), np.float32),
        (replace(scaled, inputs=(scaled.inputs[0], "n3")), (1, 8, 8, 8), np.float32),
    ]
    model = insert(model, chain)
    analysed, small = assert_shrinks(model, rng)
    assert Proved(model, analysed).free() == {"a": 8, "b": 6}
    assert added(small, model) == nodes


def test_expand(tmp_path: Path, rng: np.random.Generator) -> None:
    b, x = images()
    y = b.op("Expand", b.op("GlobalAveragePool", x), b.const([1, 8, 8, 8]), name="grown")
    model = b.load(tmp_path, b.head(b.conv("b", b.op("Add", y, x), 8, 6), 6))
    model = at_run_time(model, "grown", 1, [("a.y", 0), 8, 8, 8])
    analysed, small = assert_shrinks(model, rng)
    assert Proved(model, analysed).free() == {"a": 8, "b": 6}
    assert added(small, model) == ["Where"]
    assert_runs_in_batches(small, rng)


def test_tile(tmp_path: Path, rng: np.random.Generator) -> None:
    """Repeats count no channels."""
    b, x = images()
    y = b.op("Tile", b.op("GlobalAveragePool", x), b.const([1, 1, 8, 8]), name="grown")
    model = b.load(tmp_path, b.head(b.conv("b", b.op("Add", y, x), 8, 6), 6))
    model = at_run_time(model, "grown", 1, [1, 1, ("a.y", 2), 8])
    analysed, small = assert_shrinks(model, rng)
    assert Proved(model, analysed).free() == {"a": 8, "b": 6}
    assert added(small, model) == []


def test_resize(tmp_path: Path, rng: np.random.Generator) -> None:
    """Sizes of another tensor, the channels of this one, as in a feature pyramid."""
    b, x = images()
    y = b.op("Resize", b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), "",
             b.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest", name="grown")  # fmt: skip
    model = b.load(tmp_path, b.head(b.conv("b", b.op("Add", y, x), 8, 6), 6))
    grown = model.node("grown")
    sizes = replace(grown, inputs=(grown.inputs[0], "", "", ""))
    model = insert(model, [(sizes, model.shapes[grown.outputs[0]], np.float32)])
    model = at_run_time(model, "grown", 3, [("a.y", 0), 8, ("a.y", 2), ("a.y", 3)])
    analysed, small = assert_shrinks(model, rng)
    assert Proved(model, analysed).free() == {"a": 8, "b": 6}
    assert added(small, model) == ["Where"]
    assert_runs_in_batches(small, rng)


def test_slice_and_split_and_pad(tmp_path: Path, rng: np.random.Generator) -> None:
    """Halves by a number that is computed, and channels of zeros."""
    b, x = images()
    half = b.op("Slice", x, *(b.const([v]) for v in (0, 4, 1)), name="half")
    first, second = b.ops("Split", x, b.const([4, 4]), count=2, axis=1, name="parts")
    y = b.op("Pad", b.op("Add", half, first), b.const([0, 2, 0, 0, 0, 2, 0, 0]), name="wider")
    y = b.op("Concat", y, second, axis=1)
    model = b.load(tmp_path, b.head(b.conv("b", y, 12, 6), 6))
    # Of the sizes of another tensor, so that nothing counts anew by itself.
    model = at_run_time(model, "half", 2, [4])
    model = at_run_time(model, "parts", 1, [4, 4])
    model = at_run_time(model, "wider", 1, [0, 2, 0, 0, 0, 2, 0, 0])
    analysed, small = assert_shrinks(model, rng)
    assert "a" in Proved(model, analysed).free()
    assert added(small, model).count("Where") == 3
    assert_runs_in_batches(small, rng)


def test_sizes_freeze_nothing(prove: Prove) -> None:
    """A Reshape to the shape that another tensor has, before and after a Transpose."""
    b, x = start()
    flat = b.op("Reshape", x, b.const([0, 0, -1]))
    y = b.op("Reshape", b.op("Sigmoid", flat), b.op("Shape", x))
    p = prove(b, b.head(b.op("Add", x, y), 8))
    assert p.free() == {"a": 8}


def test_shape_that_is_given_out(tmp_path: Path, rng: np.random.Generator) -> None:
    b, x = start()
    model = b.load(tmp_path, b.head(b.conv("b", b.relu(x), 8, 6), 6))
    output = replace(model.outputs[0], name="given", shape=(4,))
    chain = [
        (Node("told", "Shape", ("a.y",), ("told",)), (4,), np.int64),
        (Node("given", "Cast", ("told",), ("given",), {"to": 1}), (4,), np.float32),
    ]
    editor = GraphEditor(model)
    for node, shape, dtype in chain:
        computed = editor.insert_node(node).outputs[0]
        computed.shape, computed.dtype = shape, np.dtype(dtype)
    model = replace(editor.snapshot(), outputs=(*model.outputs, output))
    _, small = assert_shrinks(model, rng)
    assert added(small, model) == ["Where"]


def test_values_of_sizes(tmp_path: Path) -> None:
    """Chains as exporters write them, for the sizes that they are asked about."""
    b, x = start()
    model = b.load(tmp_path, b.head(b.relu(x), 8))
    numbers = {
        "two": np.array(2, np.int64), "axis": np.array([0], np.int64),
        "from": np.array([1], np.int64), "to": np.array([3], np.int64),
    }  # fmt: skip
    chain = [
        (Node("shape", "Shape", ("a.y",), ("shape",)), (4,), np.int64),
        (Node("middle", "Slice", ("shape", "from", "to", "axis"), ("middle",)), (2,), np.int64),
        (Node("halves", "Div", ("middle", "two"), ("halves",)), (2,), np.int64),
        (Node("first", "Gather", ("shape", "two"), ("first",)), (), np.int64),
        (Node("row", "Unsqueeze", ("first", "axis"), ("row",)), (1,), np.int64),
        (Node("joined", "Concat", ("halves", "row"), ("joined",), {"axis": 0}), (3,), np.int64),
        (Node("product", "ReduceProd", ("joined",), ("product",), {"keepdims": 0}), (), np.int64),
        (Node("unknown", "Bernoulli", ("joined",), ("unknown",)), (3,), np.int64),
    ]
    output = replace(model.outputs[0], name="product", shape=(), dtype=np.dtype(np.int64))
    other = replace(output, name="unknown", shape=(3,))
    keeping = replace(model, initializers={**model.initializers, **numbers})
    model = insert(replace(keeping, outputs=(output, other)), chain)
    values = values_of_sizes(model, {"a.y": (1, 9, 7, 8)})
    assert values["middle"].tolist() == [9, 7]
    assert values["joined"].tolist() == [4, 3, 7]
    assert values["product"].tolist() == 84
    assert "unknown" not in values
    assert values_of_sizes(model, {}) == {}
