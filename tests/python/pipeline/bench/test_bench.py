"""`bench`: what it says of the samples, of the nodes, and of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import alcs_onnx
from alcs_onnx.cli import main
from alcs_onnx.errors import ModelError
from alcs_onnx.pipeline.common.noise import noise_warnings
from alcs_onnx.report import console
from alcs_onnx.types import Machine, Timing

QUICK = ["--iterations", "10", "--warmup", "1", "--duration", "0"]
FEW = alcs_onnx.Measuring(iterations=10, warmup=1)
CONVS = {"stem", "a", "b", "c", "s", "d"}


def gemm(path: Path, element: int = TensorProto.FLOAT, rows: int | str = 2) -> Path:
    """A model without convolutions, of another input than the others."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["p", "q"], ["r"], name="product")],
        "product",
        [
            helper.make_tensor_value_info("p", element, [rows, 3]),
            helper.make_tensor_value_info("q", element, [3, 4]),
        ],
        [helper.make_tensor_value_info("r", element, [rows, 4])],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_the_summary_is_that_of_the_samples(
    network: Path,
    compiled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.out, "width", 140)  # the headers in one line
    export = tmp_path / "bench.json"
    arguments = ["bench", str(network), str(compiled), "--percentile", "50", "--percentile", "99.9"]
    assert main([*arguments, "--export-json", str(export), *QUICK]) == 0
    written = json.loads(export.read_text())
    assert (written["kind"], written["schema"]) == ("alcs-onnx bench", 1)
    assert list(written)[:2] == ["kind", "schema"]
    assert written["iterations"] == 10
    assert Machine(**written["machine"]).threads == 1
    first, second = written["rows"]
    for row in (first, second):
        samples = np.array(row["samples"])
        assert len(samples) == row["timing"]["runs"] == 10
        assert set(row["percentiles"]) == {"50", "90", "95", "99", "99.9"}
        for name, value in row["percentiles"].items():
            assert value == pytest.approx(np.percentile(samples, float(name)))
        assert row["timing"]["median"] == pytest.approx(np.median(samples))
        assert row["timing"]["stddev"] == pytest.approx(samples.std())
        assert (row["minimum"], row["maximum"]) == (samples.min(), samples.max())
        assert row["throughput"] == pytest.approx(1000 * len(samples) / samples.sum())
        assert row["inputs"] == {"x": [1, 3, 12, 12]}
        assert row["nodes"] == []
    assert first["speedup"] == 1
    assert second["speedup"] == pytest.approx(
        first["timing"]["median"] / second["timing"]["median"]
    )
    timings = [Timing(**row["timing"]) for row in written["rows"]]
    assert written["warnings"] == list(noise_warnings(Machine(**written["machine"]), timings))
    captured = capsys.readouterr()
    for column in ("median ms", "P50", "P99.9", "inferences/s", "speed-up"):
        assert column in captured.out
    assert "P95" not in captured.out  # others were asked for
    assert captured.err.count("warning: ") == len(written["warnings"])


def test_duration_goes_on_until_both_are_reached(network: Path) -> None:
    long = alcs_onnx.bench(
        [network, network], measuring=alcs_onnx.Measuring(iterations=1, warmup=0), min_seconds=0.2
    )
    assert sum(sum(row.samples) for row in long.rows) >= 2 * 200
    few = alcs_onnx.bench([network], measuring=FEW, min_seconds=0)
    assert few.rows[0].timing.runs == 10


def test_the_profile_names_every_convolution(network: Path, compiled: Path) -> None:
    """The runtime renames and fuses; the nodes of the file are found again."""
    result = alcs_onnx.bench([network, compiled], measuring=FEW, min_seconds=0, profile=True)
    for row, path in zip(result.rows, (network, compiled), strict=True):
        assert 0 < sum(node.share for node in row.nodes) <= 1 + 1e-9
        times = [node.ms for node in row.nodes]
        assert times == sorted(times, reverse=True)
        ratios = {node.ms / node.share for node in row.nodes if node.ms > 0}
        assert max(ratios) == pytest.approx(min(ratios))  # one run, the whole of which is 1
        found = [node.node for node in row.nodes if node.node]
        assert set(found) >= CONVS
        assert len(found) == len(set(found))
        # The other view of the same runs has the same nodes under the same operators.
        latency = alcs_onnx.inspect(path, "latency", measuring=FEW).latency
        assert latency is not None
        inspected = {(node.node, node.ran_as) for node in latency.nodes if node.ran_as}
        assert {(node.node, node.ran_as) for node in row.nodes} == inspected
    dense, sparse = result.rows
    convs = [node for node in dense.nodes if node.node in CONVS]
    assert {node.op for node in convs} == {"Conv"}
    assert {node.ran_as for node in convs} <= {"Conv", "FusedConv"}
    assert {node.ran_as for node in sparse.nodes if node.node in CONVS} == {
        "SimdSparseConv",
        "SimdSparseConvAdd",
    }


def test_the_slowest_nodes_and_the_rest(
    network: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    export = tmp_path / "bench.json"
    arguments = ["bench", str(network), "--profile", "--top", "2", "--export-json", str(export)]
    assert main([*arguments, *QUICK]) == 0
    nodes = json.loads(export.read_text())["rows"][0]["nodes"]
    text = capsys.readouterr().out
    assert f"{len(nodes) - 2} more" in text
    assert nodes[0]["node"] in text
    assert main(["bench", str(network), "--profile", "--top", "0", *QUICK]) == 0
    assert nodes[-1]["node"] in capsys.readouterr().out
    assert main(["bench", str(network), "--top", "2", *QUICK]) == 2
    assert "--top has no effect without --profile" in capsys.readouterr().err


def test_files_of_different_inputs(network: Path, tmp_path: Path) -> None:
    other = gemm(tmp_path / "gemm.onnx", rows="N")
    shapes = {"x": (2, 3, 12, 12), "p": (5, 3)}
    result = alcs_onnx.bench(
        [network, other], input_shapes=shapes, measuring=FEW, min_seconds=0, profile=True
    )
    assert [dict(row.inputs) for row in result.rows] == [
        {"x": (2, 3, 12, 12)},
        {"p": (5, 3), "q": (3, 4)},
    ]
    assert [(node.node, node.ran_as) for node in result.rows[1].nodes] == [("product", "MatMul")]


def test_two_threads(network: Path, compiled: Path) -> None:
    how = alcs_onnx.Measuring(threads=2, iterations=4, warmup=1)
    result = alcs_onnx.bench([network, compiled], measuring=how, min_seconds=0, profile=True)
    assert result.machine.threads == 2
    assert all(row.nodes for row in result.rows)


def test_weights_in_another_file(network: Path, tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    model = onnx.load(network)
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=64)
    result = alcs_onnx.bench([path, gemm(tmp_path / "gemm.onnx")], measuring=FEW, min_seconds=0)
    assert result.rows[0].model == str(path)


def test_what_is_refused(network: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.onnx"
    with pytest.raises(ModelError, match=r"absent.onnx: the file does not exist"):
        alcs_onnx.bench([network, absent])
    with pytest.raises(ModelError, match=r"it is a directory"):
        alcs_onnx.bench([tmp_path])
    text = gemm(tmp_path / "text.onnx", TensorProto.STRING)
    with pytest.raises(ModelError, match=r"text.onnx"):
        alcs_onnx.bench([network, text])
    with pytest.raises(ModelError, match=r"--input-shapes z: no model .* only 'x'"):
        alcs_onnx.bench([network], input_shapes={"z": (1,)})
    with pytest.raises(ModelError, match=r"net.onnx: input 'x' has shape \[\?,3,12,12\]"):
        alcs_onnx.bench([network], input_shapes={"x": (1, 3, 12)})


def unshaped(path: Path, network: Path) -> Path:
    """`network` without the shape of its input."""
    model = onnx.load(network)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    return path


def test_an_input_without_a_shape(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = unshaped(tmp_path / "unshaped.onnx", network)
    given = ["--input-shapes", "x:1,3,12,12"]
    quick = ["--iterations", "4", "--warmup", "1"]
    for command in (["bench", "--duration", "0", *quick], ["inspect", "latency", *quick]):
        assert main([*command, str(path), *given]) == 0
        capsys.readouterr()
        assert main([*command, str(path)]) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        assert line.startswith(f"alcs-onnx: {path}: input 'x' has no declared shape: give it")
        assert "--input-shapes x:" in line


def test_a_scalar_is_no_input_without_a_shape(tmp_path: Path) -> None:
    path = gemm(tmp_path / "scalar.onnx")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Add", ["r", "one"], ["s"], name="sum"))
    model.graph.input.append(helper.make_tensor_value_info("one", TensorProto.FLOAT, []))
    model.graph.output[0].name = "s"
    onnx.save(model, path)
    [row] = alcs_onnx.bench([path], measuring=FEW, min_seconds=0).rows
    assert row.inputs["one"] == ()


@pytest.mark.parametrize("command", [["bench"], ["inspect", "latency"]])
def test_files_that_cannot_be_run_are_named_once(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And in one line: the runtime's own log stays silent."""
    text, odd = tmp_path / "text.onnx", tmp_path / "odd.onnx"
    text.write_text("hello, this is a text file\n" * 20)
    model = onnx.load(gemm(odd))
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, odd)
    rank = gemm(tmp_path / "rank.onnx")
    model = onnx.load(rank)
    model.graph.node[0].op_type = "Conv"  # of two matrices: found out by the runtime only
    onnx.save(model, rank)
    for path, words in (
        (tmp_path, "it is a directory, not an ONNX file"),
        (text, "not an ONNX file"),
        (odd, "ONNX Runtime refuses the model: "),
        (rank, "ONNX Runtime refuses the model: "),
    ):
        assert main([*command, str(path)]) == 2
        captured = capfd.readouterr()
        [line] = captured.err.strip().splitlines()
        assert line.startswith(f"alcs-onnx: {path}: {words}")
        assert line.count(str(path)) == 1
        assert captured.out == ""


@pytest.mark.parametrize(
    "flag",
    [["--percentile", "101"], ["--duration", "-1"], ["--top", "-1"], ["--threads", "100000"]],
)
def test_values_out_of_range(flag: list[str], network: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", str(network), *flag])
    assert caught.value.code == 2


def test_nothing_is_exported_after_an_error(network: Path, tmp_path: Path) -> None:
    export = tmp_path / "bench.json"
    export.write_text("precious")
    absent = str(tmp_path / "absent.onnx")
    assert main(["bench", str(network), absent, "--export-json", str(export)]) == 2
    assert export.read_text() == "precious"
