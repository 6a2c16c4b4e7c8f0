"""What `compress` and `compare-structures` are asked for: targets, and flags that do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from compress_helpers import QUICK, SCHEDULE, compress
from small_models import labelled_images, residual_net

from alcs_onnx.cli import main
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import conv_layers, load_model
from alcs_onnx.pipeline.compare_structures import ComparisonOptions, SearchOptions
from alcs_onnx.pipeline.compress import CompressOptions
from alcs_onnx.solve import KeepTarget
from alcs_onnx.structures import structure_sequence


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=16, size=24)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_images(tmp_path_factory.mktemp("data") / "images.npz", size=24)


def targets(structure: str, *keep: str) -> list[list[KeepTarget]]:
    return CompressOptions(structure, keep).targets(structure_sequence(structure, 4))


@pytest.mark.parametrize(
    ("structure", "keep", "expected"),
    [
        ("simd", ["4300"], [["4300"]]),
        ("simd", ["10%", "conv1=12"], [["10%", "conv1=12"]]),
        ("simd", ["input:0=20%"], [["input:0=20%"]]),  # a layer's name, not a structure
        ("shape", ["shape:10%"], [["10%"]]),
        ("shape", ["shape:a:0=3"], [["a:0=3"]]),
        ("shape+filter", ["16x"], [["4x"], ["4x"]]),
        ("shape+filter", ["25%"], [["50%"], ["50%"]]),
        ("shape+filter", ["conv1=25%"], [["conv1=50%"], ["conv1=50%"]]),
        ("shape+filter", ["shape:10%"], [["10%"], []]),
        ("shape+filter", ["filter:12x", "shape:a=30%time"], [["a=30%time"], ["12x"]]),
        ("shape+filter+unstructured", ["8x", "filter:a=5"], [["2x"], ["2x", "a=5"], ["2x"]]),
    ],
)
def test_every_structure_gets_its_part_of_a_target(structure, keep, expected):
    found = targets(structure, *keep)
    wanted = [[KeepTarget.parse(text) for text in texts] for texts in expected]
    assert [[(x.layer, x.unit) for x in part] for part in found] == [
        [(x.layer, x.unit) for x in part] for part in wanted
    ]
    for part, other in zip(found, wanted, strict=True):
        assert [x.value for x in part] == pytest.approx([x.value for x in other])


@pytest.mark.parametrize("keep", ["4300", "conv1=12", "conv1=30%time"])
def test_what_cannot_be_divided_is_for_one_structure(keep):
    with pytest.raises(AlcsError, match="write STRUCTURE:TARGET"):
        targets("shape+filter", keep)
    assert targets("shape+filter", f"filter:{keep}") == [[], [KeepTarget.parse(keep)]]


def test_options_are_checked():
    with pytest.raises(AlcsError, match="0 rounds"):
        SearchOptions(rounds=0)
    with pytest.raises(AlcsError, match="must be at least the smallest"):
        SearchOptions(factor=1.0)
    with pytest.raises(AlcsError, match="per-channel levels need a quantization"):
        SearchOptions(levels=(), per_channel=True)
    with pytest.raises(AlcsError, match=r"tolerance of 1\.5"):
        ComparisonOptions(tolerance=1.5)
    with pytest.raises(AlcsError, match="no structure to compare"):
        ComparisonOptions(structures=())
    with pytest.raises(AlcsError, match="0 rounds reach"):
        CompressOptions(keep=("2x",), rounds=0)


def test_the_networks_target_is_of_the_layers_without_one(network, images, tmp_path):
    """Layer `a` keeps the half that it was given, all others together a tenth of theirs."""
    result = compress(
        network, images, tmp_path / "out.onnx",
        "--structure", "unstructured", "--keep", "a=50%", "10%",
    )  # fmt: skip
    rows = {row["layer"]: row for row in result["rows"][0]["layers"]}
    own = rows.pop("a")
    assert own["kept_weights"] == own["dense_weights"] / 2
    kept = sum(row["kept_weights"] for row in rows.values())
    assert kept == pytest.approx(sum(row["dense_weights"] for row in rows.values()) / 10, abs=1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--keep", "half"], "does not say what is kept"),
        (["--keep", "nothere=3"], "'nothere' is no layer that can be pruned"),
        (["--keep", "2%", "3%"], "two targets"),
        ([], "there is nothing to do"),
        (["--quantize", "2bit"], "quantization '2bit' is not known"),
        (["--keep", "2x", "--structure", "rows"], "structure 'rows' is not known"),
        (["--keep", "100", "--structure", "shape+filter"], "write STRUCTURE:TARGET"),
        (
            ["--keep", "rows:10%", "--structure", "shape+filter"],
            "'rows:10%' is for 'rows', which is no structure of 'shape+filter': "
            "write shape:10% or filter:10%",
        ),
        (
            ["--keep", "rows:a=10%", "--structure", "shape+filter"],
            "'rows:a' is no layer that can be pruned, and 'rows' no structure of this run "
            "(shape, filter)",
        ),
        (["--keep", "a=30%time"], "'a=30%time' needs a latency table"),
        (["--keep", "2x", "--profile", "t.json"], "--profile has no effect without a target of"),
        (["--quantize", "3bit", "--rule", "energy"], "--rule has no effect without a target of"),
        (["--keep", "a=2x", "--rule", "energy"], "--rule has no effect without a target of"),
        (
            ["--keep", "2x", "--structure", "shape+filter", "--group-size", "8"],
            "--group-size has no effect on shape+filter",
        ),
        (["--keep", "2x", "--per-channel"], "per-channel levels need a quantization"),
        (["--keep", "2x", "--plot", "drawn.pdf"], "has to end in .png or .svg"),
        (["--keep", "2x", "--plot-training", "drawn.pdf"], "has to end in .png or .svg"),
        (
            ["--keep=2x", "--plot-training=e.svg", "--admm-epochs=0", "--finetune-epochs=0"],
            "--plot-training has no effect: there are no epochs",
        ),
        (["--keep", "2x", "--resume"], "--resume needs the folder of --checkpoint"),
    ],
)
def test_bad_input_is_one_line(network, images, tmp_path, capsys, flags, message):
    arguments = ["compress", network, "--data", images, "-o", tmp_path / "out.onnx", *QUICK]
    assert main([str(x) for x in [*arguments, *SCHEDULE, *flags]]) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("alcs-onnx:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--structures", "shape", "filter+shape", "--group-size", "8"],
            "--group-size has no effect on shape filter+shape",
        ),
        (["--quantize", "--per-channel"], "per-channel levels need a quantization"),
    ],
)
def test_flags_that_nothing_heeds_are_refused(network, images, capsys, flags, message):
    assert main(["compare-structures", str(network), "--data", str(images), *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_tolerance_is_refused_in_the_points_that_were_written(network, images, capsys):
    arguments = ["compare-structures", str(network), "--data", str(images), "--tolerance", "150"]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "'150' percentage points are not below 100" in capsys.readouterr().err


def test_targets_of_run_time_need_the_table_of_the_structure(network, images, tmp_path, capsys):
    layer = conv_layers(load_model(network))[1].name
    table = tmp_path / "table.json"
    assert main(["profile", str(network), "-o", str(table), *QUICK[:4]]) == 0
    time = ["--keep", f"{layer}=50%time", "--profile", str(table)]
    result = compress(network, images, tmp_path / "out.onnx", *time)
    kept = {x["layer"]: x["kept_weights"] / x["dense_weights"] for x in result["rows"][0]["layers"]}
    assert kept[layer] < 0.8
    assert all(share == 1 for name, share in kept.items() if name != layer)
    capsys.readouterr()
    arguments = ["compress", network, "--data", images, "-o", tmp_path / "no.onnx"]
    arguments += [*QUICK, *SCHEDULE, *time, "--structure", "shape"]
    assert main([str(x) for x in arguments]) == 2
    assert "measured for structure 'simd'" in capsys.readouterr().err
    assert not (tmp_path / "no.onnx").exists()


def test_without_data_or_pictures_there_is_nothing_to_compare(network, tmp_path, capsys):
    compress = ["compress", str(network), "--keep", "2x", "-o", str(tmp_path / "o.onnx")]
    for command in (compress, ["compare-structures", str(network)]):
        assert main(command) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.endswith("give --calibration PICTURES to refit layers with, or --data to train")
