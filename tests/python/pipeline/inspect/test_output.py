"""`alcs-onnx inspect` as a user sees it: text, JSON by its schema, latency, and bad input."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, store
from inspection_helpers import SHARED_MODELS, hostile_model, shared_model
from inspection_samples import residual
from rich.console import Console
from small_models import residual_net

from alcs_onnx import inspect
from alcs_onnx.cli import main
from alcs_onnx.graph import load_model, read_file, save_model
from alcs_onnx.latency import attribute
from alcs_onnx.pipeline.common.noise import noise_warnings
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.inspect.schema import SCHEMA_FILE, inspection_schema, schema_text
from alcs_onnx.report.inspect import inspection_json, inspection_page, print_inspection, tables
from alcs_onnx.rewrite import compile_sparse
from alcs_onnx.target import NodeTimes
from alcs_onnx.types import Machine, Timing

QUICK = Measuring(warmup=1, iterations=8)


def check(text: str) -> dict[str, Any]:
    """The content of valid JSON that follows the schema."""
    jsonschema = pytest.importorskip("jsonschema")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    content = json.loads(text, parse_constant=refuse)
    assert list(content)[:2] == ["kind", "schema"]
    jsonschema.Draft202012Validator(inspection_schema()).validate(content)
    return dict(content)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return residual_net(tmp_path / "net.onnx")


def test_the_schema_file_is_up_to_date() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert SCHEMA_FILE.read_text() == schema_text(), (
        "run python -m alcs_onnx.pipeline.inspect.schema"
    )
    jsonschema.Draft202012Validator.check_schema(inspection_schema())
    node = inspection_schema()["$defs"]["NodeFacts"]
    assert "None where a shape is missing" in node["properties"]["macs"]["description"]


@pytest.mark.parametrize("view", ["model", "coupling", "sparsity"])
@pytest.mark.parametrize("name", SHARED_MODELS)
def test_every_shared_model_as_text_and_json(
    shared: Path, capsys: pytest.CaptureFixture[str], name: str, view: str
) -> None:
    path, shapes = shared_model(shared, name)
    given = [f"{key}:{','.join(map(str, shape))}" for key, shape in shapes.items()]
    arguments = ["inspect", view, str(path), *(["--input-shapes", *given] if given else [])]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"{name}.onnx" in text
    assert "Traceback" not in text
    assert main([*arguments, "--format", "json"]) == 0
    content = check(capsys.readouterr().out)
    assert content["schema"] == 1
    assert content["model"]["nodes"]
    assert (content["coupling"] is not None) == (view == "coupling")
    assert (content["sparsity"] is not None) == (view == "sparsity")


def test_a_model_that_cannot_be_normalised_shows_what_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    nodes = [op("Conv", "x w", "c", "conv"), op("GlobalAveragePool", "c", "p", "pool"),
             op("Conv", "p v", "y", "last")]  # fmt: skip
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "v": conv_weight(rng, 8, 4, 1, 1)}
    path = str(store(model(nodes, weights, ("N", 3, "H", "W")), tmp_path))
    problem = "--input-shapes x:1,3,224,224"
    for view in ("model", "coupling", "sparsity"):
        assert main(["inspect", view, path]) == 0
        lines = capsys.readouterr().out.splitlines()
        text = " ".join(" ".join(lines).split())
        assert "at least 32 multiply-accumulates (100.0 % kept, 1 node unknown)" in text
        assert problem in text
        assert "in: x float32 [1x3x?x?] | out: y float32 [1x8x1x1]" in text
        if view == "coupling":
            assert "channel groups are not known" in text
        if view == "model":
            (row,) = (line.split() for line in lines if line.split()[:1] == ["conv"])
            assert "?" in row
            assert "would become" not in text  # nothing is decided: an empty column
        assert main(["inspect", view, path, "--format", "json"]) == 0
        captured = capsys.readouterr()
        content = check(captured.out)
        assert content["coupling"] is None
        assert problem in content["model"]["problem"]
        assert content["model"]["nodes"][0]["output_shapes"] == [[1, 4, None, None]]
        assert ("channel groups are not known" in captured.err) == (view == "coupling")
        page = tmp_path / f"{view}.html"
        assert main(["inspect", view, path, "--format", "html", "-o", str(page)]) == 0
        assert problem in page.read_text()
        assert "1x4x?x?" in page.read_text()
        capsys.readouterr()


def test_json_of_an_optimized_file_and_of_one_that_cannot_be(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(compile_sparse(load_model(network)).model, tmp_path / "sparse.onnx")
    out = tmp_path / "sparse.json"
    arguments = ["inspect", "sparsity", str(tmp_path / "sparse.onnx"), "--format", "json"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert check(out.read_text())["model"]["optimized"]
    proto = model([op("Odd", "x", "y", "odd", domain="com.example")], {},
                  domains={"com.example": 1})  # fmt: skip
    assert main(["inspect", "model", str(store(proto, tmp_path)), "--format", "json"]) == 0
    content = check(capsys.readouterr().out)
    assert content["model"]["nodes"][0]["macs"] is None
    assert "no Conv" in content["model"]["problem"]


def test_latency_of_every_node(network: Path, tmp_path: Path) -> None:
    for path in (network, tmp_path / "sparse.onnx"):
        if path != network:
            save_model(compile_sparse(load_model(network)).model, path)
        found = inspect(path, "latency", measuring=QUICK)
        latency, names = found.latency, [node.name for node in found.model.nodes]
        assert latency is not None
        assert [node.node for node in latency.nodes if node.node] == names
        assert all(node.into in names for node in latency.nodes if node.into)
        assert all(node.ms == 0 for node in latency.nodes if node.into)
        parts = sum(node.ms for node in latency.nodes)
        assert parts + latency.rest_ms == pytest.approx(latency.timing.median)
        assert latency.rest_ms == 0 or latency.overhead_ms == 0
        shares = [node.share * latency.timing.median for node in latency.nodes]
        assert shares == pytest.approx([node.ms for node in latency.nodes])
        assert latency.timing.runs >= QUICK.iterations
        ran = {node.node: node.ran_as for node in latency.nodes}
        assert "Conv" in ran["stem"]
        check(inspection_json(found))


def test_curves_are_measured_or_taken_from_a_table(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.json"
    quick = ["--iterations", "4", "--warmup", "1"]
    assert main(["profile", str(network), "-o", str(table), *quick]) == 0
    saved = json.loads(table.read_text())["curves"]
    arguments = ["inspect", "latency", str(network), *quick, "--format", "json"]
    capsys.readouterr()
    for more in (["--profile", str(table)], ["--curves", "--group-size", "8"]):
        assert main([*arguments, *more]) == 0
        latency = check(capsys.readouterr().out)["latency"]
        assert [curve["layer"] for curve in latency["curves"]] == [c["layer"] for c in saved]
        for curve in latency["curves"]:
            assert len(curve["densities"]) == len(curve["times_ms"])
            assert (curve["densities"][0], curve["densities"][-1]) == (0, 1)
    assert latency["simd_group"] == 8


def test_a_table_of_another_model_is_refused(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, table = residual_net(tmp_path / "other.onnx", seed=1), tmp_path / "table.json"
    quick = ["--iterations", "4", "--warmup", "1"]
    assert main(["profile", str(other), "-o", str(table), *quick]) == 0
    assert main(["inspect", "latency", str(network), "--profile", str(table), *quick]) == 2
    assert "another model" in capsys.readouterr().err


def test_times_go_to_the_nodes_that_caused_them(tmp_path: Path) -> None:
    """Names as ONNX Runtime gives them: blocked layout, fused products, reorders of its own."""
    rng = np.random.default_rng(0)
    nodes = [
        op("Conv", "x a", "c1", "conv1"), op("Relu", "c1", "r1", "relu1"),
        op("Conv", "r1 b", "c2", "conv2"),
        op("Sigmoid", "c2", "s", "sigmoid"), op("Mul", "c2 s", "g", "gate"),
        op("Identity", "g", "i", "same"),
        op("Flatten", "i", "f", "flat"), op("MatMul", "f m", "p", "product"),
        op("Add", "p v", "y", "bias"),
    ]  # fmt: skip
    weights = {"a": conv_weight(rng, 4, 3, 1, 1), "b": conv_weight(rng, 4, 4, 1, 1),
               "m": conv_weight(rng, 256, 5), "v": np.ones(5, np.float32)}  # fmt: skip
    file = read_file(store(model(nodes, weights), tmp_path))
    ran = {
        "r1_nchwc": ("Conv", 4.0), "c2_nchwc_token_7": ("Conv", 2.0),
        "ReorderOutput": ("ReorderOutput", 0.5), "ReorderOutput_token_3": ("ReorderOutput", 0.25),
        "gate/QuickGeluFusion/": ("QuickGelu", 1.0), "flat": ("Flatten", 0.125),
        "product/MatMulAddFusion": ("Gemm", 3.0),
    }  # fmt: skip
    profile = NodeTimes({k: v[1] for k, v in ran.items()}, {k: v[0] for k, v in ran.items()})
    runs = attribute(file.model, profile)
    assert sum(run.ms for run in runs) == profile.total
    told = {run.node: (run.ms, run.ran_as, run.into) for run in runs}
    assert told == {
        "conv1": (4.0, "Conv", ""), "relu1": (0.0, "", "conv1"), "conv2": (2.0, "Conv", ""),
        "sigmoid": (0.0, "", "gate"), "gate": (1.0, "QuickGelu", ""), "same": (0.0, "", ""),
        "flat": (0.125, "Flatten", ""), "product": (3.0, "Gemm", ""),
        "bias": (0.0, "", "product"), "": (0.75, "ReorderOutput", ""),
    }  # fmt: skip


def test_noise_is_told() -> None:
    calm = Machine("cpu", "avx2", 1, "1", "lib", "performance", 0.0)
    steady, spread = Timing(1, 1.05, 1.1, 1, 0.1, 9), Timing(1, 1.3, 1.4, 1, 0.1, 9)
    assert noise_warnings(calm, [steady]) == ()
    assert "P90" in noise_warnings(calm, [steady, spread])[0]
    busy = Machine("cpu", "avx2", 1, "1", "lib", "powersave", 1000.0)
    assert len(noise_warnings(busy, [steady])) == 2


# -- what people see -------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("view", ["model", "coupling", "sparsity", "latency"])
def test_names_print_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str, width: int
) -> None:
    path = hostile_model(tmp_path)
    found = inspect(path, view, measuring=QUICK)
    console = Console(width=width, highlight=False, markup=False, emoji=False, record=True,
                      file=io.StringIO())  # fmt: skip
    monkeypatch.setattr(tables, "out", console)
    print_inspection(found, view=view, top=0)
    text = console.export_text()
    joined = "".join(text.split())
    assert "[red]" in text
    if width == 200:  # else names may be broken over lines
        assert "[red]conv[/red]0" in joined
        assert "a\\nb\\x1b[31m1" in joined
        assert "</script>:smile:2" in joined
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    check(inspection_json(found))


def test_long_tables_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    nodes = [op("Conv", f"t{i} w{i}", f"t{i + 1}", f"conv{i}") for i in range(300)]
    weights = {f"w{i}": conv_weight(rng, 3, 3, 1, 1) for i in range(300)}
    proto = model(nodes, weights, inputs={"t0": (1, 3, 4, 4)}, outputs="t300")
    path = store(proto, tmp_path)
    for view in ("model", "coupling", "sparsity"):
        assert main(["inspect", view, str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) < 60
        assert any("more" in line and "--top 0" in line for line in lines)
    assert main(["inspect", "model", str(path), "--top", "0"]) == 0
    assert sum(" conv" in line for line in capsys.readouterr().out.splitlines()) >= 300


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"hello, this is a text file\n" * 20, "not an ONNX file"), (None, "exist")],
)
def test_no_onnx_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    path, out = tmp_path / "in.onnx", tmp_path / "out.json"
    if content is not None:
        path.write_bytes(content)
    for view in ("model", "coupling", "sparsity", "latency"):
        assert main(["inspect", view, str(path), "--format", "json", "-o", str(out)]) == 2
        captured = capsys.readouterr()
        (line,) = captured.err.strip().splitlines()
        assert line.startswith("alcs-onnx: ")
        assert str(path) in line
        assert words in line
        assert captured.out == ""
        assert not out.exists()


def test_damaged_files_never_crash(tmp_path: Path, rng: np.random.Generator) -> None:
    good = np.frombuffer(residual_net(tmp_path / "net.onnx").read_bytes(), np.uint8)
    path = tmp_path / "damaged.onnx"
    statuses = []
    for _ in range(40):
        bad = good.copy()
        bad[rng.integers(0, 1500, 3)] = rng.integers(0, 256, 3)
        path.write_bytes(bad.tobytes())
        statuses.append(main(["inspect", "sparsity", str(path), "--format", "json"]))
    assert set(statuses) <= {0, 2}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network.chmod(0)
    assert main(["inspect", "model", str(network)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_model_is_never_overwritten(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = network.read_bytes()
    arguments = ["inspect", "model", str(network), "-o", str(network)]
    assert main([*arguments, "--format", "json"]) == 2
    assert "input of this command" in capsys.readouterr().err
    assert main(arguments) == 2
    assert "--format json" in capsys.readouterr().err
    assert network.read_bytes() == before


def test_json_on_standard_output_is_alone(network: Path) -> None:
    """Notes, such as that of a dynamic batch, go to standard error."""
    command = [sys.executable, "-m", "alcs_onnx", "inspect", "model", str(network)]
    done = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, check=True
    )
    content = check(done.stdout)
    assert "dynamic batch" in done.stderr
    assert content["model"]["notes"] == done.stderr.strip().splitlines()
    assert onnx.load(network).graph.node[0].name == content["model"]["nodes"][0]["name"]


@pytest.mark.parametrize(
    ("view", "flags", "words"),
    [
        ("model", ["--threads", "2"], "--threads has no effect with inspect model"),
        ("coupling", ["--curves"], "--curves has no effect with inspect coupling"),
        ("sparsity", ["--profile", "t.json"], "--profile has no effect with inspect sparsity"),
        ("latency", ["--curves", "--profile", "t.json"], "give one of them"),
        ("model", ["--format", "json", "--top", "3"], "--top has no effect with --format json"),
    ],
)
def test_flags_without_effect_are_refused(
    network: Path, capsys: pytest.CaptureFixture[str], view: str, flags: list[str], words: str
) -> None:
    assert main(["inspect", view, str(network), *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "html"])
def test_a_dash_is_standard_output(
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "model", str(network), "--format", form, "-o", "-"]) == 0
    assert capsys.readouterr().out.startswith("{" if form == "json" else "<!doctype html>")
    assert list(tmp_path.iterdir()) == [network]


def test_nodes_that_take_next_to_no_time_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of 0.000 ms say nothing; together they may take something."""
    found = residual(1)
    assert found.latency is not None
    quick = tuple(
        replace(node, ms=0.0004, share=0.0) if node.node in ("add0", "y") else node
        for node in found.latency.nodes
    )
    latency = replace(found.latency, nodes=quick)
    print_inspection(replace(found, latency=latency), view="latency")
    shown = capsys.readouterr().out
    assert "Slowest nodes: 3 of 5 that ran" in shown
    assert "2 nodes below 0.001 ms, together <0.001 ms (--top 0)" in shown
    assert "0.000" not in shown
    print_inspection(replace(found, latency=latency), view="latency", top=0)
    assert "add0" in capsys.readouterr().out


def test_what_takes_one_value_of_several_channels_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rng: np.random.Generator
) -> None:
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("ReduceMean", "c", "m", "mean", axes=[1], keepdims=1),
        op("Sub", "c m", "s", "centre"),
        op("Conv", "s v", "y", "last"),
    ]
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 4, 8, 1, 1)}
    found = inspect(store(model(nodes, weights), tmp_path), "coupling", everything=True)
    assert found.coupling is not None
    groups = {group.name: group for group in found.coupling.groups}
    assert groups["conv"].mixed_by == ("mean",)
    assert not groups["conv"].frozen
    content = check(inspection_json(found))
    assert ["mean"] in [group["mixed_by"] for group in content["coupling"]["groups"]]
    print_inspection(found, view="coupling")
    assert "mixed by" in capsys.readouterr().out
    assert "mixed by" in inspection_page(found).lower()
