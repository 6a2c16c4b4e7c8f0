"""The command line as a user sees it: exit status, one line per error, files left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from small_models import labelled_images, residual_net
from without_torch import run_without_torch

from alcs_onnx import get_library_path
from alcs_onnx.cli import build_parser, main

QUICK = ["--iterations", "20", "--warmup", "2"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=32, size=24)


@pytest.fixture(scope="module")
def table(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "table.json"
    assert main(["profile", str(network), "-o", str(path), *QUICK]) == 0
    return path


def fails(arguments: list[object], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    """Run a command that must fail with one line on standard error; returns the line."""
    assert main([str(argument) for argument in arguments]) == status
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("alcs-onnx: ")]
    assert len(errors) == 1, lines
    assert lines[-1] == errors[0]
    return errors[0]


def outputs(path: Path, feeds: dict[str, np.ndarray], library: bool) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if library:
        options.register_custom_ops_library(str(get_library_path()))
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, feeds)[0])


def test_optimize_without_data_meets_or_reports(
    network: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, export = tmp_path / "out.onnx", tmp_path / "result.json"
    arguments = ["optimize", network, "--budget", "80%", "--profile", table, "-o", out]
    status = main([str(a) for a in [*arguments, "--export-json", export, *QUICK]])
    result = json.loads(export.read_text())
    # Timings are noise on a busy machine; what was measured must be what is reported.
    share = result["sparse"]["median"] / result["budget_ms"]
    assert (status, result["status"]) == ((0, "met") if share <= 1 else (1, "missed"))
    assert result["check"]["with_library"] <= 1e-4
    assert result["check"]["without_library"] <= 1e-4
    assert {row["layer"] for row in result["layers"]} == {"stem", "a", "b", "c", "s", "d"}
    fused = {row["layer"]: row["fused"] for row in result["layers"]}
    assert "residual" in fused["b"]
    assert "Relu" in fused["b"]
    assert "one is trained" in capsys.readouterr().err

    # The written file kept the dynamic batch and runs alike with and without the library.
    feeds = {"x": np.random.default_rng(1).standard_normal((3, 3, 24, 24)).astype(np.float32)}
    with_library, without = outputs(out, feeds, True), outputs(out, feeds, False)
    np.testing.assert_allclose(with_library, without, rtol=0, atol=1e-4 * np.abs(without).max())


def test_optimize_with_data_trains(network: Path, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = labelled_images(tmp_path / "data.npz", size=24)
    out, export = tmp_path / "out.onnx", tmp_path / "result.json"
    arguments = ["optimize", network, "--budget", "90%", "--profile", table, "-o", out]
    arguments += ["--data", data, "--admm-epochs", 2, "--finetune-epochs", 5, "--lr", 0.002]
    arguments += [
        "--train-threads",
        2,
        "--batch-size",
        16,
        "--checkpoint",
        tmp_path / "run",
        "--export-json",
        export,
    ]
    assert main([str(a) for a in [*arguments, *QUICK]]) in (0, 1)
    result = json.loads(export.read_text())
    assert result["settings"]["threads"] == 2
    assert result["machine"]["threads"] == 1
    stages = result["accuracy"]["stages"]
    assert list(stages) == ["dense", "one-shot", "ADMM", "fine-tuned", "final file in ONNX Runtime"]
    assert abs(stages["fine-tuned"] - stages["final file in ONNX Runtime"]) < 0.01
    # The untrained start guesses among four classes; these images are easy to learn.
    assert stages["fine-tuned"] > max(stages["dense"], 60)
    assert [row["stage"] for row in result["history"]] == ["admm"] * 2 + ["finetune"] * 5
    assert any(row["density"] < 1 for row in result["layers"])
    assert list((tmp_path / "run").glob("*.pt"))


def test_dry_run_writes_nothing(network: Path, table: Path, tmp_path: Path) -> None:
    status = main(
        ["optimize", str(network), "--budget", "99%", "--profile", str(table), "--dry-run", *QUICK]
    )
    assert status in (0, 1)
    assert list(tmp_path.iterdir()) == []


def test_budget_above_dense_changes_nothing(
    network: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    arguments = ["optimize", str(network), "--budget", "10s", "--profile", str(table)]
    assert main([*arguments, "-o", str(out), *QUICK]) == 0
    assert "nothing to do" in capsys.readouterr().out
    # The next step of a script finds a file: the model as it was given.
    assert out.read_bytes() == network.read_bytes()


def test_unreachable_budget_is_status_1(
    network: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    out.write_bytes(b"precious")
    line = fails(
        ["optimize", network, "--budget", "1%", "--profile", table, "-o", out, *QUICK], capsys, 1
    )
    assert "cannot be reached" in line
    assert "ms" in line
    assert out.read_bytes() == b"precious"


def test_compile_of_a_sparse_model(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(network)
    for tensor in model.graph.initializer:
        if tensor.name in ("a.w", "d.w"):
            array = onnx.numpy_helper.to_array(tensor).copy()
            blocks = array.reshape(-1, 4, *array.shape[1:])
            dropped = np.random.default_rng(1).random((len(blocks), 1, *array.shape[1:])) < 0.7
            array = np.where(dropped, 0, blocks).reshape(array.shape).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    sparse, out = tmp_path / "sparse.onnx", tmp_path / "out.onnx"
    onnx.save(model, sparse)
    assert main(["compile", str(sparse), "-o", str(out)]) == 0
    assert "equal within" in capsys.readouterr().out
    feeds = {"x": np.random.default_rng(2).standard_normal((1, 3, 24, 24)).astype(np.float32)}
    expected = outputs(sparse, feeds, False)
    for library in (True, False):
        np.testing.assert_allclose(
            outputs(out, feeds, library), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )
    assert out.stat().st_size < sparse.stat().st_size


def test_library_prints_an_existing_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["library"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


def not_onnx(folder: Path) -> Path:
    path = folder / "noise.onnx"
    path.write_bytes(np.random.default_rng(0).bytes(4096))
    return path


def truncated(folder: Path) -> Path:
    whole = residual_net(folder / "whole.onnx").read_bytes()
    path = folder / "truncated.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def without_conv(folder: Path) -> Path:
    info = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "relu", [info], [out])
    opsets = [onnx.helper.make_opsetid("", 17)]
    path = folder / "relu.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def unknown_operator(folder: Path) -> Path:
    model = onnx.load(residual_net(folder / "base.onnx"))
    model.graph.node[1].op_type = "Frobnicate"
    path = folder / "unknown.onnx"
    onnx.save(model, path)
    return path


def missing_shape(folder: Path) -> Path:
    model = onnx.load(residual_net(folder / "base.onnx"))
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "S"
    path = folder / "dynamic.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (not_onnx, "noise.onnx"),
        (truncated, "truncated.onnx"),
        (without_conv, "no Conv"),
        (unknown_operator, "Frobnicate"),
        (missing_shape, "--input-shapes"),
        (lambda folder: folder / "absent.onnx", "absent.onnx"),
    ],
)
@pytest.mark.parametrize("command", ["optimize", "compile", "profile"])
def test_bad_models(
    make: object, expected: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    arguments = [command, make(tmp_path), "-o", out]  # type: ignore[operator]
    line = fails(arguments + (["--budget", "50%"] if command == "optimize" else []), capsys)
    assert expected in line
    assert out.read_bytes() == b"precious"


def test_shape_given_for_a_dynamic_model(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    path = missing_shape(tmp_path)
    assert main(["compile", str(path), "--input-shapes", "x:1,3,16,16", "-o", str(out)]) == 0
    assert out.exists()


def wrong_shape(folder: Path) -> Path:
    np.savez(folder / "d.npz", x=np.zeros((8, 5, 5, 3), np.uint8), y=np.zeros(8, np.int64))
    return folder / "d.npz"


def label_out_of_range(folder: Path) -> Path:
    labels = np.array([0, 1, 2, 7] * 4)
    np.savez(folder / "d.npz", x=np.zeros((16, 24, 24, 3), np.uint8), y=labels)
    return folder / "d.npz"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (wrong_shape, "24"),
        (label_out_of_range, "label 7"),
        (lambda folder: folder / "absent.npz", "absent.npz"),
        (lambda folder: "no_such_module:data", "no_such_module"),
    ],
)
def test_bad_data(
    make: object,
    expected: str,
    network: Path,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out.onnx"
    out.write_bytes(b"precious")
    data = make(tmp_path)  # type: ignore[operator]
    line = fails(
        ["optimize", network, "--budget", "90%", "--profile", table, "--data", data, "-o", out],
        capsys,
    )
    assert expected in line
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("budget", ["fast", "0ms", "-3ms", "nan%", "10", "infms", ""])
def test_bad_budgets(budget: str, network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(["optimize", network, f"--budget={budget}", "-o", "out.onnx"], capsys)
    assert "budget" in line


def test_output_in_a_missing_folder(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "absent" / "out.onnx"
    for command in (["optimize", "--budget", "50%"], ["compile"], ["profile"]):
        assert "absent" in fails([*command, network, "-o", out], capsys)
    assert str(tmp_path) in fails(["compile", network, "-o", tmp_path], capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_in_a_read_only_folder(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert "cannot write" in fails(["compile", network, "-o", tmp_path / "out.onnx"], capsys)


def test_ssh_target_is_refused(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(["bench", network, "--target", "ssh://pi@raspberry"], capsys)
    assert "ssh" in line


def test_table_of_another_model(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = residual_net(tmp_path / "other.onnx", seed=5)
    out = tmp_path / "out.onnx"
    line = fails(
        ["optimize", other, "--budget", "90%", "--profile", table, "-o", out, *QUICK], capsys
    )
    assert "another model" in line


def test_library_missing(
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ALCS_LIBRARY", str(tmp_path / "absent.so"))
    assert "absent.so" in fails(["bench", network], capsys)


def test_unknown_command_and_flag_are_status_2() -> None:
    for arguments in (["frobnicate"], ["optimize", "--frobnicate"], []):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["optimise", "in.onnx"], "alcs-onnx: unknown command 'optimise': did you mean optimize?"),
        (["frobnicate", "optimize"], "alcs-onnx: unknown command 'frobnicate': alcs-onnx --help"),
        (["--budget", "5", "optimize"], "alcs-onnx: unknown flag --budget: alcs-onnx --help"),
        (["--verson"], "alcs-onnx: unknown flag --verson: did you mean --version?"),
        ([], "alcs-onnx: the following arguments are required: COMMAND"),
        (
            ["optimize", "in.onnx", "--budgt", "50%"],
            "alcs-onnx optimize: unknown flag --budgt: did you mean --budget?",
        ),
        (
            ["optimize", "in.onnx", "-budget=50%"],
            "alcs-onnx optimize: unknown flag -budget: did you mean --budget?",
        ),
        (
            ["compare-structures", "in.onnx", "--frobnicate"],
            "alcs-onnx compare-structures: unknown flag --frobnicate: alcs-onnx compare-structures",
        ),
        (["optimize", "in.onnx"], "alcs-onnx optimize: the following arguments are required"),
        (
            ["optimize", "in.onnx", "--budget", "50%", "--iter", "3"],
            "alcs-onnx optimize: ambiguous option: --iter could match --iterations, ",
        ),
        (
            ["optimize", "in.onnx", "--budget", "50%", "--method", "smd"],
            "alcs-onnx optimize: argument --method: invalid choice: 'smd'",
        ),
        (["library", "one", "two"], "alcs-onnx library: unexpected arguments: one two"),
        (["bench", "a.onnx", "--threads"], "alcs-onnx bench: argument --threads: expected one"),
        (["bench", "a.onnx", "--threads", "-1"], "alcs-onnx bench: argument --threads: '-1' is"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


def test_flags_may_be_shortened() -> None:
    options = build_parser(["optimize"]).parse_args(
        ["optimize", "in.onnx", "--budg=50%", "-oout.onnx", "--warm", "3", "--temp", "4"]
    )
    assert (options.budget, options.output, options.warmup) == ("50%", Path("out.onnx"), 3)


def test_commands_that_do_not_train_run_without_torch(network: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    done = run_without_torch("compile", network, "-o", out)
    assert done.returncode == 0, done.stderr
    data = labelled_images(tmp_path / "data.npz")
    arguments = ["optimize", network, "--budget", "50%", "--data", data, "-o", out]
    done = run_without_torch(*arguments)
    assert done.returncode == 2
    assert "alcs-onnx[train]" in done.stderr.splitlines()[-1]


def test_output_must_not_be_an_input(
    network: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = network.read_bytes()
    for command in (["optimize", "--budget", "50%"], ["compile"], ["profile"]):
        assert "input of this command" in fails([*command, network, "-o", network], capsys)
    assert network.read_bytes() == before


def test_training_flags_need_data(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(["optimize", network, "--budget=50%", "-o", "out.onnx", "--lr", 0.1], capsys)
    assert "--lr needs --data" in line


def test_weights_in_another_file(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "external.onnx", tmp_path / "out.onnx"
    onnx.save(
        onnx.load(network), path, save_as_external_data=True, location="weights", size_threshold=64
    )
    assert main(["compile", str(path), "-o", str(out)]) == 0
    assert main(["bench", str(path), str(out), *QUICK]) == 0
    assert "external.onnx" in capsys.readouterr().out
