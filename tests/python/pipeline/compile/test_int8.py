"""`compile --precision int8|auto`: int8 beside sparse kernels in one file, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, store
from int8_files import quantized
from reporters import Recorder
from small_models import undecided_net, with_zeros
from told_times import told
from users_file import changes

import alcs_onnx
from alcs_onnx import Measuring, ort
from alcs_onnx.cli import main
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, load_model
from alcs_onnx.integer_format import OP_QLINEAR_CONV, OP_QLINEAR_CONV_ADD
from alcs_onnx.latency import PrecisionCosts
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.precision import PrecisionCandidate, PrecisionSearch
from alcs_onnx.pipeline.compile import CompileRequest, CompileResult
from alcs_onnx.reporter import Reporter
from alcs_onnx.types import Timing

QUICK = Measuring(warmup=1, iterations=3)
FLAGS = ["--warmup", "1", "--iterations", "3"]
SPARSE = ("a", "b", "d")
LAYERS = ("stem", *SPARSE, "c", "s")

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network of which some layers are sparse, and pictures."""
    network, images = undecided_net(tmp_path_factory.mktemp("model"))
    return with_zeros(network, SPARSE), images


def compiled(
    network: Path, images: Path, output: Path, precision: str, **given: Any
) -> CompileResult:
    judging = Judging(pictures=str(images))
    arguments = {"measuring": QUICK, "judging": judging, **given}
    return alcs_onnx.compile_model(network, output, precision=precision, **arguments)


def tell(patch: pytest.MonkeyPatch, **times: float) -> None:
    patch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told(times))


def decide(patch: pytest.MonkeyPatch, *nodes: str) -> list[list[str]]:
    """As if these nodes were quicker in int8; gives the operators of what would be measured."""
    seen: list[list[str]] = []

    def search(
        self: Quantizable, reporter: Reporter, rewritten: Callable[[Model], Model] | None = None
    ) -> PrecisionSearch:
        assert rewritten is not None
        seen.append([node.op_type for node in rewritten(self.model.detached()).nodes])
        mixed = rewritten(self.as_model(self.quantized(nodes)))
        seen.append([node.op_type for node in mixed.nodes])
        found = [
            PrecisionCandidate(frozenset(int8), ms, Timing.from_samples([ms]))
            for int8, ms in (((), 1.0), (nodes, 0.5))
        ]
        return PrecisionSearch(PrecisionCosts((), ()), tuple(found))

    patch.setattr(Quantizable, "search", search)
    return seen


def outputs(path: Path, images: Path, library: bool) -> np.ndarray:
    with np.load(images) as file:
        x = file["x_test"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    found: np.ndarray = ort.create_session(path, library=library).run({"x": x})[0]
    return found


def convs(path: Path) -> dict[str, str]:
    """What each layer of the network became, by its tensor."""
    nodes = onnx.load(path).graph.node
    made = {name: node.op_type for node in nodes for name in node.output}
    ops = {}
    for node in nodes:
        if "Conv" in node.op_type:
            dequantized = made.get(node.input[1]) == "DequantizeLinear"
            integers = node.op_type.startswith("QLinear")
            ops[node.name] = "int8" if dequantized or integers else node.op_type
    return ops


@pytest.mark.parametrize("library", [True, False])
def test_one_file_has_both(
    library: bool, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives the float model's outputs within the rounding error, for any batch."""
    tell(monkeypatch, simd=0.9, int8=0.5)
    decide(monkeypatch, "stem", "stem.relu", "c", "c.relu", "s")
    out = tmp_path / "out.onnx"
    result = compiled(*files, out, "auto")
    assert convs(out) == {
        "stem": "int8", "c": "int8", "s": "int8",
        "a": "SimdSparseConv", "b": "SimdSparseConvAdd", "d": "SimdSparseConvAdd",
    }  # fmt: skip
    expected, found = outputs(files[0], files[1], False), outputs(out, files[1], library)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.1
    assert result.fidelity is not None
    assert result.fidelity.relative_error == pytest.approx(error, rel=1)


def test_the_rest_of_the_file_is_the_users(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nodes have no names, which are found by what they compute then."""
    tell(monkeypatch, simd=0.9, int8=0.5)
    proto = onnx.load(files[0])
    proto.metadata_props.add(key="author", value="somebody")
    proto.graph.doc_string = "of the user"
    for node in proto.graph.node:
        node.name = ""
    own = store(proto, tmp_path)
    names = {node.outputs[0]: node.name for node in load_model(own).nodes}
    wanted = [names[x] for x in ("stem.y", "stem.relu", "c.y", "c.relu", "s.y")]
    decide(monkeypatch, *wanted)
    out = tmp_path / "out.onnx"
    result = compiled(own, files[1], out, "auto")
    written = onnx.load(out)
    assert changes(proto, written) == []
    assert written.metadata_props[0].value == "somebody"
    assert {x.domain: x.version for x in written.opset_import} == {"": 17, "ai.alcs": 1}
    assert written.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    ops = {row.layer: row.op for row in result.layers}
    assert {names[f"{x}.y"] for x in ("stem", "c", "s")} == {
        name for name, kind in ops.items() if kind == "Conv int8"
    }
    assert {ops[names[f"{x}.y"]] for x in SPARSE} == {"SimdSparseConv", "SimdSparseConvAdd"}


def test_a_sparse_layer_is_measured_as_one(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is timed node by node has the kernels that are written, in float32 and beside int8."""
    tell(monkeypatch, simd=0.9, int8=0.5)
    seen = decide(monkeypatch, "c", "c.relu")
    result = compiled(*files, tmp_path / "out.onnx", "auto")
    float32, mixed = seen
    assert float32.count("SimdSparseConvAdd") == mixed.count("SimdSparseConvAdd") == 2
    assert "DequantizeLinear" in mixed
    assert "DequantizeLinear" not in float32
    # Layers without zeros stay the runtime's own where that measures no slower.
    assert float32.count("Conv") == 3
    rows = {row.layer: row for row in result.layers}
    assert (rows["stem"].op, rows["c"].op, rows["a"].op) == ("Conv", "Conv int8", "SimdSparseConv")
    assert rows["a"].density < 0.4
    assert result.mac_ratio < 0.7
    assert result.checked_against == "the original, before rounding to int8"
    assert result.check.passed


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_our_kernels_compute_integers_where_that_is_quicker(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """The same network as by the runtime's, its zeros passed over."""
    tell(monkeypatch, simd=0.9, int8=0.5, integers=0.4)
    decide(monkeypatch, "stem", "stem.relu", "a", "a.relu", "c", "c.relu", "s")
    out = tmp_path / "out.onnx"
    result = compiled(*files, out, precision)
    assert result.precision is not None
    told = [file.what for file in result.precision.files]
    assert told[-2:] == ["int8 sparse where zeros are", "int8 all sparse"]
    # Of two that are as quick the one that leaves more to the runtime.
    assert result.precision.result.what == told[-2]
    assert result.check.passed
    rows = {row.layer: row for row in result.layers}
    assert (rows["a"].op, rows["stem"].op) == (OP_QLINEAR_CONV, "Conv int8")
    assert rows["a"].density < 1
    assert rows["a"].simd_group in (4, 8)
    found = outputs(out, files[1], True)
    np.testing.assert_allclose(found, outputs(out, files[1], False), rtol=0.02, atol=0.02)
    tell(monkeypatch, simd=0.9, int8=0.5, integers=0.6)
    compiled(*files, out, precision)
    expected = outputs(out, files[1], True)
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


@pytest.fixture
def quantized_file(files: tuple[Path, Path], tmp_path: Path) -> Path:
    """The network as another tool quantizes it: its zeros stay zeros."""
    return store(quantized(onnx.load(files[0])), tmp_path)


def test_a_quantized_file_gets_our_kernels(
    files: tuple[Path, Path],
    quantized_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(monkeypatch, simd=2, int8=1, integers=0.4)
    out = tmp_path / "out.onnx"
    assert main(["compile", str(quantized_file), "-o", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "int8 sparse where zeros are 6 0.400 2.50x written" in text
    assert "outputs against the original, before rounding to int8: equal within 0.0001" in text
    kinds = {node.name: node.op_type for node in onnx.load(out).graph.node}
    assert {kinds[name] for name in SPARSE} <= {OP_QLINEAR_CONV, OP_QLINEAR_CONV_ADD}
    assert kinds["stem"] == "Conv"
    library, none = (outputs(out, files[1], library) for library in (True, False))
    np.testing.assert_array_equal(library, none)
    # What is read again is the quantized file: nothing is left to gain.
    tell(monkeypatch, simd=2, int8=1, integers=1)
    assert main(["compile", str(out), "-o", str(tmp_path / "again.onnx")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "int8 sparse where zeros are" in text


def test_a_quantized_file_beside_float_layers(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which become sparse in any case: what is written was measured, too."""
    proto = quantized(onnx.load(files[0]), ["c", "c.relu"])
    path, out = store(proto, tmp_path), tmp_path / "out.onnx"
    tell(monkeypatch, simd=2, int8=1.5, integers=1)
    result = alcs_onnx.compile_model(path, out)
    assert result.precision is not None
    assert [file.what for file in result.precision.files] == [
        "as given", "float layers sparse", "int8 all sparse",
    ]  # fmt: skip
    assert {file.int8_nodes for file in result.precision.files} == {1}
    assert result.precision.result.what == "int8 all sparse"
    assert {row.layer: row.op for row in result.layers}["c"] == OP_QLINEAR_CONV
    assert "the same integers" in result.verdict or "nothing is lost" in result.verdict


def test_integers_that_would_differ_stay_the_runtimes(
    quantized_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, simd=2, int8=1, integers=0.4)
    monkeypatch.setattr("alcs_onnx.pipeline.compile.quantized.moved_by", lambda *files: 0.5)
    recorder, out = Recorder(), tmp_path / "out.onnx"
    result = alcs_onnx.compile_model(quantized_file, out, reporter=recorder)
    assert result.unchanged == (
        "nothing was changed: computed by our kernels its integers would differ by 50 % "
        "(relative error)"
    )
    assert onnx.load(out).graph.node == onnx.load(quantized_file).graph.node


def test_a_quantized_file_stays_where_the_runtime_is_quicker(
    quantized_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(monkeypatch, simd=2, int8=1, integers=1.2)
    out = tmp_path / "out.onnx"
    assert main(["compile", str(quantized_file), "-o", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "nothing was changed: the runtime's own int8 kernels measured quicker than ours" in text
    assert "as given 6 1.000 1.00x written" in text
    assert onnx.load(out).graph.node == onnx.load(quantized_file).graph.node


def test_pictures_judge_a_quantized_file(
    files: tuple[Path, Path],
    quantized_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tell(monkeypatch, simd=2, int8=1, integers=0.4)
    out = tmp_path / "out.onnx"
    judging = Judging(pictures=str(files[1]), max_loss=5)
    result = alcs_onnx.compile_model(quantized_file, out, judging=judging)
    assert result.fidelity is not None
    assert result.exit_status == 0
    assert result.precision is not None
    assert result.precision.result.what == "int8 sparse where zeros are"


def test_auto_never_writes_what_measures_slower(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was decided by parts, the quickest of the files that were measured is written."""
    tell(monkeypatch, simd=0.9, int8=1.2)
    decide(monkeypatch, "c", "c.relu")
    out = tmp_path / "out.onnx"
    result = compiled(*files, out, "auto")
    assert result.precision is not None
    assert result.precision.result.what == "all sparse"
    assert result.precision.share == pytest.approx(0.9)
    assert all(kind.startswith("SimdSparse") for kind in convs(out).values())
    assert result.fidelity is not None
    assert result.fidelity.loss == 0


def test_the_whole_search_on_this_machine(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Whatever is quicker here: the file runs, is what is told, and loses next to nothing."""
    out, recorder = tmp_path / "out.onnx", Recorder()
    result = compiled(*files, out, "auto", reporter=recorder)
    assert result.precision is not None
    kinds = convs(out)
    assert set(kinds) == set(LAYERS)
    ours = (OP_QLINEAR_CONV, OP_QLINEAR_CONV_ADD)
    told = {row.layer for row in result.layers if row.op in ("Conv int8", *ours)}
    assert told == {name for name, kind in kinds.items() if kind == "int8"}
    assert result.precision.files[0].what == "as given"
    assert (result.precision.result.int8_nodes > 0) == bool(told)
    assert any(note.startswith("int8 in ") for note in recorder.notes)
    expected, found = outputs(files[0], files[1], False), outputs(out, files[1], True)
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)


def test_int8_is_every_node_that_can_be(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Be it slower: that is told beside what float32 measures."""
    tell(monkeypatch, simd=0.5, int8=1.5)
    network, images = files
    out = tmp_path / "out.onnx"
    command = ["compile", str(network), "-o", str(out), "--precision", "int8", *FLAGS]
    assert main([*command, "--calibration", str(images), "--max-loss", "20"]) == 0
    assert set(convs(out).values()) == {"int8"}
    text = capsys.readouterr().out
    table = [line.split() for line in text.splitlines()]
    assert ["as", "given", "0", "1.000", "1.00x"] in table
    assert ["all", "sparse", "0", "0.500", "2.00x"] in table
    assert [line for line in table if line[:1] == ["int8,"] and line[-1] == "written"]
    assert "SLOWER than the file that was given, by 50 %: --precision auto" in text
    assert text.splitlines()[-1].endswith("within the 20 % that may be lost")
    # What may be lost is held against the file that is written.
    assert main([*command, "--calibration", str(images), "--max-loss", "0"]) in (0, 1)
    assert capsys.readouterr().out.splitlines()[-1].rstrip().endswith("that may be lost")


def test_an_older_file_rises_to_the_first_opset_that_has_scales_of_channels(
    tmp_path: Path, files: tuple[Path, Path], rng: np.random.Generator
) -> None:
    """And what int8 has no kernel for stays float32, with the reason."""
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 8, 8, 3, 3)}
    nodes = [op("Conv", "x w", "a", "first"), op("Conv", "a v", "e", "last"), op("Erf", "e", "y")]
    path = store(model(nodes, weights, ("N", 3, 12, 12), opset=12), tmp_path)
    out = tmp_path / "out.onnx"
    result = compiled(path, files[1], out, "int8")
    assert convs(out) == {"first": "int8", "last": "int8"}
    assert onnx.load(out).opset_import[0].version == 13
    assert result.precision is not None
    assert result.precision.reasons == "1 node: ONNX Runtime has no int8 kernel for Erf on CPUs"


def test_a_dense_file_is_quantized_or_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, images = undecided_net(tmp_path)
    tell(monkeypatch, simd=1.5, int8=1.5)
    out = tmp_path / "out.onnx"
    monkeypatch.setattr(Quantizable, "search", _nothing)
    result = compiled(network, images, out, "auto")
    assert result.unchanged == "nothing was changed: nothing else measured quicker"
    assert result.precision is not None
    assert result.precision.result is result.precision.files[0]
    assert onnx.load(out).graph == onnx.load(network).graph
    assert result.fidelity is not None
    assert result.fidelity.loss == 0


def _nothing(self: Quantizable, reporter: Reporter, rewritten: object = None) -> PrecisionSearch:
    assert rewritten is None  # the runtime's own kernels are what was quickest
    only = PrecisionCandidate(frozenset(), 1.0, Timing.from_samples([1.0]))
    return PrecisionSearch(PrecisionCosts((), ()), (only,))


# --- bad input


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_without_pictures(
    precision: str, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    assert main(["compile", str(files[0]), "-o", str(out), "--precision", precision]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"--precision {precision} needs pictures to calibrate with: --calibration" in line
    assert not out.exists()
    with pytest.raises(AlcsError, match="'int4' is not one of float32, int8, auto"):
        CompileRequest(model=files[0], output=out, precision="int4")


def test_measuring_flags_where_nothing_is_measured(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(files[0]), "-o", str(tmp_path / "o.onnx"), *FLAGS]) == 2
    assert "--warmup has no effect with --precision float32" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_a_file_that_is_quantized_already_stays_so(
    precision: str, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, simd=2, int8=1, integers=1.2)
    network, images = files
    proto = onnx.load(network)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    before = store(quantized(proto), tmp_path)
    recorder, out = Recorder(), tmp_path / "out.onnx"
    result = compiled(before, images, out, precision, reporter=recorder)
    [line] = [x for x in recorder.notes if x.startswith(f"--precision {precision} has no effect")]
    assert "the file is quantized already" in line
    assert result.precision is not None
    assert result.precision.written == 0
    assert result.unchanged.startswith("nothing was changed: the runtime's own int8 kernels")
    assert onnx.load(out).graph.node == onnx.load(before).graph.node


def test_nothing_can_be_int8(
    tmp_path: Path, files: tuple[Path, Path], rng: np.random.Generator
) -> None:
    """`int8` says so and writes nothing; `auto` leaves all as it is in float."""
    nodes = [
        op("Cast", "x", "h", "half", to=onnx.TensorProto.FLOAT16),
        op("Conv", "h w", "c", "conv"),
        op("Cast", "c", "y", "whole", to=onnx.TensorProto.FLOAT),
    ]
    weights = {"w": conv_weight(rng, 8, 3, 3, 3).astype(np.float16)}
    path, out = store(model(nodes, weights, (1, 3, 12, 12)), tmp_path), tmp_path / "out.onnx"
    with pytest.raises(AlcsError, match=r"no node can be int8 \(.*1 node: its weights are float16"):
        compiled(path, files[1], out, "int8")
    assert not out.exists()
    result = compiled(path, files[1], out, "auto")
    assert result.precision is not None
    assert result.precision.result.int8_nodes == 0
    assert "its weights are float16" in result.precision.reasons


def test_open_sizes_and_a_second_input(
    tmp_path: Path, files: tuple[Path, Path], rng: np.random.Generator
) -> None:
    """Sizes stay open, and a value of the other input is given."""
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 8, 8, 3, 3)}
    weights["v"][:4, ::2] = 0
    nodes = [
        op("Conv", "x w", "a", "first", pads=[1] * 4),
        op("Mul", "a scale", "m", "scaled"),
        op("Conv", "m v", "y", "last", pads=[1] * 4),
    ]
    shapes = {"x": ("N", 3, "H", "W"), "scale": (1,)}
    path, out = store(model(nodes, weights, inputs=shapes), tmp_path), tmp_path / "out.onnx"
    values = {"scale": np.float32(0.5)}
    sizes = {"x": (1, 3, 12, 12)}
    result = compiled(path, files[1], out, "int8", input_shapes=sizes, input_values=values)
    assert result.check.passed
    with np.load(files[1]) as file:  # other values might be beyond the ranges
        x = file["x_test"][:2, :9].transpose(0, 3, 1, 2).astype(np.float32) / 255
    feeds = {"x": x, "scale": np.full(1, 0.5, np.float32)}
    expected, found = (
        ort.create_session(file, library=False).run(feeds)[0] for file in (path, out)
    )
    assert found.shape == expected.shape == (2, 8, 9, 12)
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
