"""Sizes and values of inputs, from the command line to the runtime."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import op
from onnx import TensorProto, helper, numpy_helper

import alcs_onnx
from alcs_onnx.cli import arguments, main
from alcs_onnx.errors import ModelError

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
QUICK = ["--iterations", "3", "--warmup", "0"]
FEW = alcs_onnx.Measuring(iterations=3, warmup=0)

pytestmark = pytest.mark.usefixtures("few_samples")


def network(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Any]],
    output: Sequence[int | str] | None = None,
    **weights: Any,
) -> Path:
    """A file of `nodes` behind a convolution of `x`, which is `c`; the output is `y`."""
    rng = np.random.default_rng(0)
    weights["w"] = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [op("Conv", "x w", "c", "conv", pads=[1] * 4), *nodes],
        "inputs",
        [helper.make_tensor_value_info(name, kind, list(dims)) for name, kind, dims in inputs],
        [helper.make_tensor_value_info("y", FLOAT, None if output is None else list(output))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.fixture
def two_inputs(tmp_path: Path) -> Path:
    """An image of open size, and a state that has its batch behind."""
    nodes = [
        op("GlobalAveragePool", "c", "p"),
        op("Flatten", "p", "f"),
        op("Add", "f s", "a"),  # [2, batch, 4]
        op("ReduceMean", "a", "y", axes=[0], keepdims=0),
    ]
    inputs = [("x", FLOAT, ["batch", 3, "height", "width"]), ("s", FLOAT, [2, "batch", 4])]
    return network(tmp_path / "two.onnx", nodes, inputs, ["batch", 4])


@pytest.fixture
def rate(tmp_path: Path) -> Path:
    """Computes where `rate` is 44100, and fails for every other."""
    nodes = [
        op("Equal", "rate known", "e"),
        op("Where", "e good bad", "size"),
        op("Reshape", "c size", "y"),
    ]
    inputs = [("x", FLOAT, [1, 3, 8, 8]), ("rate", INT64, [])]
    return network(
        tmp_path / "rate.onnx", nodes, inputs, [4, 64],
        known=np.array(44100), good=np.array([4, 64]), bad=np.array([5, 5]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("x:1,3,224,224", {"x": (1, 3, 224, 224)}),
        ("input:0:4", {"input:0": (4,)}),
        ("batch=4", {"batch": 4}),
        ("batch=4,height=224", {"batch": 4, "height": 224}),
        ("a:b=7", {"a:b": 7}),
    ],
)
def test_shapes_and_sizes_are_read(text, parsed):
    assert arguments.input_shape(text) == parsed


@pytest.mark.parametrize("text", ["x", "x:", ":1", "x:0", "x:1,a", "=4", "batch=", "b=-1", "b=1,2"])
def test_what_is_neither_a_shape_nor_a_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="NAME:1,3,224,224 or SYMBOL=NUMBER"):
        arguments.input_shape(text)


def test_values_are_read(tmp_path):
    assert arguments.input_values("k:1,2") == ("k", ("1", "2"))
    assert arguments.input_values("in:0:true") == ("in:0", ("true",))
    assert arguments.input_values("some/file.npz") == Path("some/file.npz")
    assert arguments.input_values("x:file.npz") == ("x", ("file.npz",))  # a text, if no file
    for text in ("k", "k:", ":1"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"NAME:VALUE.* and no \.npz file"):
            arguments.input_values(text)


def test_named_sizes_reach_every_input(two_inputs, tmp_path, capsys):
    out = tmp_path / "out.onnx"
    sizes = ["--input-shapes", "height=8,width=10", "batch=2"]
    assert main(["compile", str(two_inputs), "-o", str(out), *sizes]) == 0
    row = alcs_onnx.bench([two_inputs], input_shapes={"height": 8, "width": 10, "batch": 2},
                          measuring=FEW, min_seconds=0).rows[0]  # fmt: skip
    assert row.inputs == {"x": (2, 3, 8, 10), "s": (2, 2, 4)}
    found = alcs_onnx.inspect(two_inputs, input_shapes={"height": 8, "width": 10}).model
    assert [value.shape for value in found.inputs] == [(1, 3, 8, 10), (2, 1, 4)]
    assert not found.problem
    assert main(["inspect", "latency", str(two_inputs), *sizes, *QUICK]) == 0
    assert main(["compare", str(two_inputs), str(two_inputs), "--samples", "2", *sizes]) == 0
    capsys.readouterr()
    assert main(["bench", str(two_inputs), *QUICK]) == 2
    assert "--input-shapes x:1,3,224,224 or height=224,width=224" in capsys.readouterr().err
    for command in (["bench"], ["compile", "-o", str(out)], ["inspect", "model"]):
        assert main([*command, str(two_inputs), "--input-shapes", "heigth=8"]) == 2
        assert capsys.readouterr().err.strip().endswith("did you mean 'height'?")


def test_a_size_taken_from_one_input_is_not_asked_for_again(two_inputs, tmp_path):
    alcs_onnx.compile_model(two_inputs, tmp_path / "o.onnx", input_shapes={"x": (3, 3, 8, 8)})
    result = alcs_onnx.compare(two_inputs, two_inputs, input_shapes={"x": (3, 3, 8, 8)}, samples=1)
    assert result.outputs[0].shape == (3, 4)


def test_values_are_given_on_the_line_by_file_and_by_keyword(rate, tmp_path, capsys):
    out = tmp_path / "out.onnx"
    file = tmp_path / "values.npz"
    np.savez(file, rate=np.array(44100))
    for command in (["bench", "--duration", "0", *QUICK], ["compile", "-o", str(out)],
                    ["inspect", "latency", *QUICK], ["compare", str(rate)]):  # fmt: skip
        assert main([*command, str(rate)]) == 2, command
        line = capsys.readouterr().err.strip()
        assert "'rate'" in line, command
        assert "--input-values rate:" in line
        for given in ("rate:44100", str(file)):
            assert main([*command, str(rate), "--input-values", given]) == 0, command
        capsys.readouterr()
    optimized = alcs_onnx.optimize(
        rate, "99%", None, input_values={"rate": 44100}, measuring=FEW, method="simd"
    )
    assert optimized.model == str(rate)
    with pytest.raises(ModelError, match=r"--input-values rat: no model has such input, only"):
        alcs_onnx.bench([rate], input_values={"rat": 44100})
    assert main(["bench", str(rate), "--input-values", str(tmp_path / "none.npz")]) == 2
    assert capsys.readouterr().err.strip().endswith("none.npz: no such file")


def test_an_output_declared_for_another_size_stops_nothing(tmp_path, capsys):
    nodes = [op("Transpose", "c", "t", perm=[0, 2, 3, 1]), op("Reshape", "t n", "y")]
    inputs = [("x", FLOAT, [1, 3, "?", "?"])]
    path = network(tmp_path / "hint.onnx", nodes, inputs, [12800, 1], n=np.array([-1, 1]))
    shapes = ["--input-shapes", "x:1,3,8,8"]
    told = "output 'y' is declared as [12800,1] and comes out as [256,1]"
    for threads in ("1", "2"):
        bench = ["bench", str(path), "--duration", "0", *QUICK]
        assert main([*bench, "--threads", threads, *shapes]) == 0
        assert capsys.readouterr().err.count(told) == 1
    assert main(["inspect", "latency", str(path), *QUICK, *shapes]) == 0
    assert capsys.readouterr().err.count(told) == 1
    assert main(["compile", str(path), "-o", str(tmp_path / "o.onnx"), *shapes]) == 0


def test_a_text_input_runs_in_a_process_of_its_own(tmp_path):
    nodes = [op("Identity", "c", "y"), op("Identity", "word", "unused")]
    inputs = [("x", FLOAT, [1, 3, 8, 8]), ("word", TensorProto.STRING, ["n"])]
    path = network(tmp_path / "text.onnx", nodes, inputs, [1, 4, 8, 8])
    measuring = alcs_onnx.Measuring(iterations=3, warmup=0, threads=2)
    row = alcs_onnx.bench([path], measuring=measuring, min_seconds=0).rows[0]
    assert row.inputs == {"x": (1, 3, 8, 8), "word": (1,)}


#: Where a case needs sizes.
_SIZES = {"k03": ["--input-shapes", "x:1,3,64,64"]}
_TOLD = {
    "k03": "is declared as [12800,1] and comes out as [8192,1]",
    "k11": "input 'sr' is made up: 16000",
}


@pytest.mark.parametrize("case", ["k03", "k04", "k05", "k10", "k11", "k14", "refused_pad0"])
def test_cases_of_inputs_and_outputs(case, shared, tmp_path, capsys):
    if not (shared / "cases").is_dir():
        pytest.skip("no cases beside the shared models")
    [path] = (shared / "cases").glob(f"{case}*.onnx")
    sizes = _SIZES.get(case, [])
    assert main(["compile", str(path), "-o", str(tmp_path / "out.onnx"), *sizes]) == 0
    for command in (["bench", "--duration", "0"], ["inspect", "latency"]):
        capsys.readouterr()
        assert main([*command, str(path), *QUICK, *sizes]) == 0
        assert _TOLD.get(case, "") in capsys.readouterr().err
