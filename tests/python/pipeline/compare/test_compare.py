"""`compare`: accuracy, agreement and differences of two models, and where they part."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_models import CLASSES, labelled_images, residual_net
from without_torch import run_without_torch

import alcs_onnx
from alcs_onnx.cli import main
from alcs_onnx.differences import Differences, relative_difference
from alcs_onnx.errors import AlcsError, ModelError, UnsupportedError
from alcs_onnx.graph import ComputedTensor
from alcs_onnx.pipeline.compare.matching import match_tensors


def changed(network: Path, out: Path, **factors: float) -> Path:
    """The network with some weights multiplied."""
    model = onnx.load(network)
    for tensor in model.graph.initializer:
        if tensor.name in factors:
            array = numpy_helper.to_array(tensor) * np.float32(factors[tensor.name])
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, out)
    return out


def elementwise(
    path: Path,
    nodes: Sequence[tuple[str, list[str], str]],
    *,
    inputs: Sequence[tuple[str, int, Sequence[int | str]]] = (("x", TensorProto.FLOAT, ("N", 4)),),
    outputs: Sequence[str] = ("y",),
    kind: int = TensorProto.FLOAT,
    names: bool = True,
) -> Path:
    """A model of operators without attributes: (operator, inputs, output)."""
    graph = helper.make_graph(
        [helper.make_node(op, i, [o], name=o if names else "") for op, i, o in nodes],
        "small",
        [helper.make_tensor_value_info(*info) for info in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


# --- differences of arrays ---------------------------------------------------------------


def test_differences_over_batches(rng: np.random.Generator) -> None:
    a = rng.standard_normal((6, 3, 2)).astype(np.float32)
    b = a + rng.standard_normal(a.shape).astype(np.float32) / 100
    b[4, 2, 1] += 1
    sums = Differences()
    for start in (0, 2, 4):
        sums.add(a[start : start + 2], b[start : start + 2], start, 2)
    found = sums.result()
    gap = np.abs(a.astype(float) - b)
    assert (found.sample, found.index) == (4, (2, 1))
    assert found.largest == pytest.approx(gap.max())
    assert found.mean == pytest.approx(gap.mean())
    assert found.relative == pytest.approx(gap.max() / np.abs(a).max())
    x, y = a.ravel().astype(float), b.ravel().astype(float)
    assert found.cosine == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    assert found.snr_db == pytest.approx(10 * np.log10((x @ x) / ((x - y) @ (x - y))))
    assert found.not_finite == (0, 0)


def test_values_that_are_not_finite() -> None:
    nan, inf = np.nan, np.inf
    same = Differences()
    same.add(np.array([[nan, inf, 1.0]]), np.array([[nan, inf, 1.5]]), 0, 1)
    found = same.result()
    assert (found.largest, found.index, found.not_finite) == (0.5, (2,), (2, 2))
    other = Differences()
    other.add(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, nan, 3.0]]), 7, 1)
    found = other.result()
    assert (found.largest, found.relative, found.sample, found.index) == (inf, inf, 7, (1,))
    assert (found.mean, found.not_finite) == (0, (0, 1))
    one = np.array([1.0])
    for value in (nan, inf):
        assert relative_difference(np.array([value]), np.array([value])) == 0
        assert relative_difference(np.array([value]), one) == inf
        assert relative_difference(one, np.array([value])) == inf
    assert relative_difference(np.array([inf, 2.0]), np.array([inf, 4.0])) == 0.5


def test_scalars_integers_and_nothing() -> None:
    sums = Differences()
    sums.add(np.array(3, np.int64), np.array(5, np.int64), 2, 1)
    found = sums.result()
    assert (found.largest, found.sample, found.index) == (2, 2, ())
    empty = Differences()
    empty.add(np.zeros((0, 4)), np.zeros((0, 4)), 0, 1)
    assert (empty.result().largest, empty.result().cosine) == (0, None)


# --- matching ----------------------------------------------------------------------------


def test_tensors_are_matched_by_name_then_node_then_order() -> None:
    def tensors(*rows: tuple[str, str, str]) -> list[ComputedTensor]:
        return [ComputedTensor(name, node, op, 0) for name, node, op in rows]

    a = tensors(("c", "conv", "Conv"), ("r", "relu", "Relu"), ("k", "", "Constant"))
    fused = tensors(("r", "conv", "ai.alcs::SimdSparseConv"), ("k", "", "Constant"))
    assert match_tensors(a, fused) == (((a[1], fused[0]),), "tensor name")
    renamed = tensors(("1", "conv", "Conv"), ("2", "relu", "Relu"))
    pairs, how = match_tensors(a, renamed)
    assert (pairs, how) == (((a[0], renamed[0]), (a[1], renamed[1])), "node name")
    # A node of the same name that computes something else: what it computes has another name.
    folded = tensors(("r", "conv", "Conv"))
    assert match_tensors(a, folded) == (((a[1], folded[0]),), "tensor name")
    nameless = tensors(("1", "", "Conv"), ("2", "", "Relu"), ("3", "", "Relu"))
    assert match_tensors(a, nameless) == (((a[0], nameless[0]),), "order of operators")
    assert match_tensors(a, tensors(("z", "", "Tanh"))) == ((), "")


# --- models ------------------------------------------------------------------------------


def test_a_compiled_model_says_the_same(network: Path, compiled: Path) -> None:
    result = alcs_onnx.compare(network, compiled)
    assert result.same
    assert result.parted is None
    assert result.agreement is not None
    assert result.agreement.agreement == 100
    assert result.agreement.accuracy_a is None
    assert result.samples == 8
    assert "random" in result.data
    found = {row.tensor_a: row for row in result.tensors}
    # What was fused into a convolution is the tensor behind it; what is inside has gone.
    assert found["block1"].op_b == "ai.alcs::SimdSparseConvAdd"
    assert "b.y" not in found
    assert result.matched_by == "tensor name"


def test_the_first_tensor_that_parts(network: Path, folder: Path) -> None:
    other = changed(network, folder / "c.onnx", **{"c.w": 1.01})
    result = alcs_onnx.compare(network, other, samples=2)
    assert not result.same
    assert result.parted is not None
    assert result.parted.tensor_a == "c.y"
    assert (result.parted.node_a, result.parted.op_a) == ("c", "Conv")
    before = [row.tensor_a for row in result.tensors[: result.tensors.index(result.parted)]]
    assert before[-1] == "block1"
    assert all(row.within for row in result.tensors[: len(before)])
    assert alcs_onnx.compare(network, other, samples=2, tolerance=0.5).same


def test_it_is_what_the_runtime_computes(network: Path, folder: Path) -> None:
    """Figures of the report, from sessions of the test's own."""
    other = changed(network, folder / "fc.onnx", **{"fc.w": 1.5, "a.w": 0.9})
    result = alcs_onnx.compare(network, other, samples=1, seed=5)
    x = np.random.default_rng(5).standard_normal((1, 3, 12, 12)).astype(np.float32)
    a, b = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
            None, {"x": x}
        )[0]
        for path in (network, other)
    )
    [row] = result.outputs
    gap = np.abs(a.astype(float) - b)
    assert row.shape == (1, CLASSES)
    assert row.difference.largest == pytest.approx(gap.max(), rel=1e-4)
    assert row.difference.index == (int(gap[0].argmax()),)
    assert row.difference.relative == pytest.approx(gap.max() / np.abs(a).max(), rel=1e-4)


def test_accuracy_and_who_gets_what_right(network: Path, folder: Path) -> None:
    data = labelled_images(folder / "data.npz")
    other = residual_net(folder / "other.onnx", seed=3)
    found = alcs_onnx.compare(network, other, data=str(data))
    assert found.samples == 48
    assert found.agreement is not None
    with np.load(data) as arrays:
        images = arrays["x_test"].transpose(0, 3, 1, 2).astype(np.float32) / 255
        labels = arrays["y_test"]
    a, b = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        .run(None, {"x": images})[0]
        .argmax(1)
        for path in (network, other)
    )
    right_a, right_b = a == labels, b == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    assert found.agreement.accuracy_a == pytest.approx(100 * right_a.mean())
    assert found.agreement.accuracy_b == pytest.approx(100 * right_b.mean())
    assert found.agreement.agreement == pytest.approx(100 * (a == b).mean())
    assert found.agreement.both_right == int((right_a & right_b).sum())
    assert (found.agreement.only_a, found.agreement.only_b) == (only_a, only_b)
    assert found.agreement.neither == int((~right_a & ~right_b).sum())
    n, least = only_a + only_b, min(only_a, only_b)
    assert n > 0
    tail = sum(comb(n, k) for k in range(least + 1)) / 2**n
    assert found.agreement.chance == pytest.approx(min(1, 2 * tail))


def test_some_of_the_samples_are_of_all_classes(network: Path, tmp_path: Path) -> None:
    """Files are sorted by class: the first few would all be of one."""
    data = tmp_path / "sorted.npz"
    with np.load(labelled_images(tmp_path / "data.npz")) as arrays:
        order = np.argsort(arrays["y_test"], kind="stable")
        parts = {n: x[order] if n.endswith("test") else x for n, x in arrays.items()}
    np.savez(data, **parts)
    few = alcs_onnx.compare(network, network, data=str(data), samples=8)
    assert few.samples == 8
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    chosen = np.arange(8) * 6  # of 48
    assert sorted(parts["y_test"][chosen]) == [0, 0, 1, 1, 2, 2, 3, 3]
    images = parts["x_test"][chosen].transpose(0, 3, 1, 2).astype(np.float32) / 255
    right = session.run(None, {"x": images})[0].argmax(1) == parts["y_test"][chosen]
    assert few.agreement is not None
    assert few.agreement.both_right == right.sum()


@pytest.mark.parametrize("batch", [1, 5])
def test_a_fixed_batch_sees_every_sample_once(batch: int, network: Path, folder: Path) -> None:
    """48 test samples in batches of 5: the last one is filled up, and what fills it not counted."""
    data = str(labelled_images(folder / "data.npz"))
    fixed = residual_net(folder / f"batch{batch}.onnx", batch=batch)
    other = changed(fixed, folder / f"other{batch}.onnx", **{"fc.w": -1.0})
    found = alcs_onnx.compare(fixed, other, data=data)
    free = alcs_onnx.compare(
        network, changed(network, folder / "free.onnx", **{"fc.w": -1.0}), data=data
    )
    assert found.samples == free.samples == 48
    assert found.agreement == free.agreement
    [x], [y] = found.outputs, free.outputs
    assert x.difference.sample == y.difference.sample
    assert x.difference.mean == pytest.approx(y.difference.mean, rel=1e-3)


def test_one_model_fixes_the_batch_of_both(network: Path, folder: Path) -> None:
    fixed = residual_net(folder / "fixed.onnx", batch=3)
    for pair in ((network, fixed), (fixed, network)):
        result = alcs_onnx.compare(*pair, samples=2)
        assert result.same
        assert result.outputs[0].shape == (3, CLASSES)
        assert result.samples == 6


def test_channels_that_were_removed(network: Path, folder: Path) -> None:
    narrow = residual_net(folder / "narrow.onnx", width=8)
    result = alcs_onnx.compare(network, narrow, samples=1)
    row = next(row for row in result.tensors if row.tensor_a == "stem.relu")
    assert (row.shape_a, row.shape_b) == ((1, 16, 12, 12), (1, 8, 12, 12))
    assert row.difference is None
    assert row.within is None
    assert result.parted is not None
    assert result.parted.tensor_a == "logits"  # the only one of equal shape


def test_outputs_that_are_not_finite_are_reported(folder: Path) -> None:
    a = elementwise(folder / "abs.onnx", [("Abs", ["x"], "h"), ("Sqrt", ["h"], "y")])
    b = elementwise(folder / "nan.onnx", [("Neg", ["x"], "h"), ("Sqrt", ["h"], "y")])
    result = alcs_onnx.compare(a, b)
    assert not result.same
    [row] = result.outputs
    assert row.difference.largest == np.inf
    assert row.difference.not_finite[0] == 0
    assert row.difference.not_finite[1] > 0
    assert alcs_onnx.compare(b, b).same  # both say NaN
    assert main(["compare", str(a), str(b), "--export-json", str(folder / "nan.json")]) == 0
    written = json.loads((folder / "nan.json").read_text())
    assert written["outputs"][0]["difference"]["largest"] is None


def test_nothing_in_common_inside(folder: Path) -> None:
    a = elementwise(folder / "relu.onnx", [("Relu", ["x"], "y")], names=False)
    b = elementwise(folder / "abs2.onnx", [("Abs", ["x"], "z")], outputs=["z"], names=False)
    result = alcs_onnx.compare(a, b)
    assert result.tensors == ()
    assert any("no tensor in common" in note for note in result.notes)
    assert any("other names" in note for note in result.notes)
    assert (result.outputs[0].output_a, result.outputs[0].output_b) == ("y", "z")


def test_integer_inputs_are_zeros_and_said_so(folder: Path) -> None:
    inputs = [("x", TensorProto.INT64, ("N", 4))]
    path = elementwise(
        folder / "int.onnx", [("Abs", ["x"], "y")], inputs=inputs, kind=TensorProto.INT64
    )
    result = alcs_onnx.compare(path, path)
    assert result.same
    assert result.agreement is None  # integers are no scores
    assert any("input 'x' is made up: zeros" in note for note in result.notes)


def test_weights_in_another_file(network: Path, folder: Path) -> None:
    path = folder / "external.onnx"
    onnx.save(
        onnx.load(network), path, save_as_external_data=True, location="weights", size_threshold=64
    )
    result = alcs_onnx.compare(network, path, samples=1)
    assert result.same
    assert len(result.tensors) > 5


# --- what is refused ---------------------------------------------------------------------


def _refused(folder: Path, name: str) -> tuple[Path, Path]:
    base = elementwise(folder / "base.onnx", [("Relu", ["x"], "y")])
    other = folder / "refused.onnx"
    relu = [("Relu", ["x"], "y")]
    make: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "input name": lambda: elementwise(
            other, [("Relu", ["z"], "y")], inputs=[("z", TensorProto.FLOAT, ("N", 4))]
        ),
        "input shape": lambda: elementwise(
            other, relu, inputs=[("x", TensorProto.FLOAT, ("N", 5))]
        ),
        "input rank": lambda: elementwise(
            other, relu, inputs=[("x", TensorProto.FLOAT, ("N", 4, 1))]
        ),
        "input type": lambda: elementwise(
            other, relu, inputs=[("x", TensorProto.DOUBLE, ("N", 4))], kind=TensorProto.DOUBLE
        ),
        "outputs": lambda: elementwise(other, [*relu, ("Abs", ["x"], "z")], outputs=["y", "z"]),
        "output shape": lambda: elementwise(other, [("Size", ["x"], "y")], kind=TensorProto.INT64),
    }
    make[name]()
    return base, folder / "absent.onnx" if name == "missing" else other


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing", "absent.onnx: no such file"),
        ("input name", "different inputs: .*base.onnx has 'x', .*refused.onnx has 'z'"),
        ("input shape", r"'x' is tensor\(float\) \[\?,4\] in .* and tensor\(float\) \[\?,5\] in"),
        ("input rank", "different inputs"),
        ("input type", r"tensor\(double\)"),
        ("outputs", "different numbers of outputs: .* has 1, .* has 2"),
        ("output shape", r"output 'y' is \[1, 4\] in .* and \[\] in .*refused.onnx"),
    ],
)
def test_models_that_do_not_correspond(name: str, expected: str, tmp_path: Path) -> None:
    a, b = _refused(tmp_path, name)
    with pytest.raises(ModelError, match=expected):
        alcs_onnx.compare(a, b)


def test_text_is_no_number(tmp_path: Path) -> None:
    text = [("x", TensorProto.STRING, ("N", 4))]
    nodes = [("Identity", ["x"], "y")]
    path = elementwise(tmp_path / "text.onnx", nodes, inputs=text, kind=TensorProto.STRING)
    with pytest.raises(UnsupportedError, match="holds no numbers"):
        alcs_onnx.compare(path, path)
    constant = helper.make_node("Constant", [], ["y"], value_strings=["a", "b"])
    graph = helper.make_graph(
        [constant],
        "text",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [2])],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    with pytest.raises(UnsupportedError, match="holds no numbers"):
        alcs_onnx.compare(path, path)


def test_a_shape_that_is_not_known(tmp_path: Path) -> None:
    inputs = [("x", TensorProto.FLOAT, ("N", "S"))]
    path = elementwise(tmp_path / "dynamic.onnx", [("Relu", ["x"], "y")], inputs=inputs)
    with pytest.raises(ModelError, match="--input-shapes x:"):
        alcs_onnx.compare(path, path)
    assert alcs_onnx.compare(path, path, input_shapes={"x": (2, 7)}).outputs[0].shape == (2, 7)
    with pytest.raises(ModelError, match=r"--input-shapes z: .* no such input, only 'x'"):
        alcs_onnx.compare(path, path, input_shapes={"z": (2, 7)})
    fixed = elementwise(
        tmp_path / "fixed.onnx", [("Relu", ["x"], "y")], inputs=[("x", TensorProto.FLOAT, (1, 9))]
    )
    assert alcs_onnx.compare(path, fixed).outputs[0].shape == (1, 9)  # one model tells


def test_a_shape_that_is_not_declared(tmp_path: Path) -> None:
    """The runtime calls it `[]`, as that of a scalar."""
    paths = {}
    shapes: dict[str, Any] = {"open": None, "fixed": (1, 9), "scalar": ()}
    for name, shape in shapes.items():
        inputs = [("x", TensorProto.FLOAT, shape)]
        paths[name] = elementwise(tmp_path / f"{name}.onnx", [("Relu", ["x"], "y")], inputs=inputs)
    free = paths["open"]
    with pytest.raises(ModelError, match=r"open.onnx: input 'x' has no declared shape.*x:1,3"):
        alcs_onnx.compare(free, free)
    given = {"x": (2, 7)}
    assert alcs_onnx.compare(free, free, input_shapes=given).outputs[0].shape == (2, 7)
    for pair in ((free, paths["fixed"]), (paths["fixed"], free)):
        assert alcs_onnx.compare(*pair).outputs[0].shape == (1, 9)
    assert alcs_onnx.compare(paths["scalar"], free).outputs[0].shape == ()
    with pytest.raises(ModelError, match="different inputs"):
        alcs_onnx.compare(paths["scalar"], paths["fixed"])


# --- the command -------------------------------------------------------------------------


def test_the_command_prints_and_exports(
    network: Path, compiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = tmp_path / "result.json"
    arguments = ["compare", str(network), str(compiled), "--details", "--samples", "2"]
    assert main([*arguments, "--export-json", str(export)]) == 0
    text = capsys.readouterr().out
    assert "random inputs (seed 0)" in text
    assert "the same within 0.001" in text
    assert "block1 (Relu)" in text
    written = json.loads(export.read_text())
    assert (written["kind"], written["schema"]) == ("alcs-onnx comparison of models", 1)
    assert list(written)[:2] == ["kind", "schema"]
    assert written["same"] is True
    assert written["samples"] == 2
    assert {row["tensor_a"] for row in written["tensors"]} >= {"block1", "logits"}


def test_agreement_can_be_required(
    network: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(changed(network, folder / "negative.onnx", **{"fc.w": -1.0}))
    required = ["--require-agreement", "100"]
    assert main(["compare", str(network), str(network), *required]) == 0
    assert main(["compare", str(network), other, *required]) == 1
    assert "NOT the same" in capsys.readouterr().out
    assert main(["compare", str(network), other, "--require-agreement", "0"]) == 0
    relu = [("Unsqueeze", ["x", "i"], "y")]
    inputs = [("x", TensorProto.FLOAT, ("N", 4)), ("i", TensorProto.INT64, (1,))]
    path = str(elementwise(folder / "scores.onnx", relu, inputs=inputs))
    assert main(["compare", path, path, *required]) == 2
    assert "first output is [N, classes]" in capsys.readouterr().err


def test_bad_input_is_one_line_and_status_2(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.onnx")
    export = tmp_path / "result.json"
    assert main(["compare", str(network), absent, "--export-json", str(export)]) == 2
    captured = capsys.readouterr()
    assert captured.err.strip().splitlines() == [f"alcs-onnx: {absent}: no such file"]
    assert captured.out == ""
    assert not export.exists()
    assert main(["compare", str(network), str(network), "--export-json", str(network)]) == 2
    assert "input of this command" in capsys.readouterr().err
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(b"no model")
    assert main(["compare", str(network), str(noise)]) == 2
    assert "noise.onnx" in capsys.readouterr().err


def test_bad_data(network: Path, tmp_path: Path) -> None:
    wrong = labelled_images(tmp_path / "wrong.npz", size=10)
    for data, expected in ((str(wrong), "expected images"), (str(tmp_path / "no.npz"), "no.npz")):
        with pytest.raises(AlcsError, match=expected):
            alcs_onnx.compare(network, network, data=data)


@pytest.mark.parametrize("given", [[], ["--data"], ["--data", "--preprocess", "imagenet"]])
def test_torch_is_not_needed(given: list[str], network: Path, tmp_path: Path) -> None:
    data = labelled_images(tmp_path / "data.npz")
    arguments = [str(data) if flag == "--data" else flag for flag in given]
    command = ["compare", network, network, "--samples", 4]
    done = run_without_torch(*command, *(["--data", *arguments] if given else []))
    assert done.returncode == 0, done.stderr
    assert ("accuracy" in done.stdout) == bool(given)


def test_a_real_model(shared: Path, tmp_path: Path) -> None:
    model, out = shared / "models" / "mobilenetv2.onnx", tmp_path / "out.onnx"
    alcs_onnx.compile_model(model, out)
    result = alcs_onnx.compare(model, out, samples=1)
    assert result.same
    assert result.parted is None
    assert len(result.tensors) > 40
    assert {row.op_b.split("::")[0] for row in result.tensors} >= {"ai.alcs"}


def test_rounding_far_below_one_is_no_difference() -> None:
    """The runtime's sigmoid is right to 1e-7, whatever the size of its values."""
    expected, found = np.array([1.2e-5, 3e-6]), np.array([1.2e-5 + 1.8e-7, 3e-6])
    assert relative_difference(found, expected) == pytest.approx(1.8e-5)
    sums = Differences()
    sums.add(expected, found, 0, 2)
    assert sums.result().relative == pytest.approx(1.8e-5)
    assert relative_difference(np.array([2e-6]), np.array([1.0])) == pytest.approx(1, abs=1e-5)


def test_preprocessing_of_no_data_is_refused(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(network), str(network), "--preprocess", "imagenet"]) == 2
    assert "--preprocess has no effect without --data" in capsys.readouterr().err
