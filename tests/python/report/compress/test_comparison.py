"""The report of compared structures: rates, table, JSON file and plots."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from alcs_onnx.codebooks import get_codebook
from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.pipeline.compress.result import (
    CompressionResult,
    Round,
    StructureLayer,
    StructureResult,
)
from alcs_onnx.report import console
from alcs_onnx.report.compress import (
    plot_compression,
    print_compression,
    read_compression_json,
    tables,
    write_compression_json,
)
from alcs_onnx.report.layout import bytes_text
from alcs_onnx.report.plots import plot_history
from alcs_onnx.storage import ModelStorage, layer_storage
from alcs_onnx.structures import get_structure
from alcs_onnx.types import ConvLayer, Machine

RESULTS = Path(__file__).parents[4] / "tools" / "reproduce" / "results"
GOLDEN = Path(__file__).parents[3] / "golden" / "comparison.txt"
MACHINE = Machine("some CPU", "avx2", 1, "1.20.0", "alcs 0.1.0", "performance", 0.25)


def conv(name, out_channels, in_channels):
    ones = (1, 1)
    return ConvLayer(
        *(name, f"{name}.w", None, out_channels, in_channels, 1, (3, 3), ones, (1, 1, 1, 1), ones),
        *((1, in_channels, 8, 8), (1, out_channels, 8, 8)),
    )


FIRST, SECOND = conv("first", 8, 3), conv("second", 16, 8)


def row(structure, share, **times):
    """`second` keeps every nth of its groups, share = 1 / n; `first` stays float32."""
    pruned = get_structure(structure, 4)
    groups = np.arange(np.prod(pruned.mask_shape(SECOND))).reshape(pruned.mask_shape(SECOND))
    keep = groups % round(1 / share) == 0
    storage = ModelStorage(
        (
            layer_storage(FIRST, pruned, None, 32),
            layer_storage(SECOND, pruned, pruned.weight_mask(keep, SECOND), 4, scales=16),
        )
    )
    return StructureResult.from_storage(
        structure, storage, accuracy=0.915, codebook=get_codebook("4bit"), **times
    )


def round_epochs(number, loss):
    """Two iterations of ADMM and an epoch of retraining, as the trainer records them."""
    admm = [
        {
            "stage": f"{number}-admm",
            "epoch": epoch,
            "loss": loss / epoch,
            "residual": 3 / epoch,
            "relative_residual": 0.5 / epoch,
            "changed": 0.0,
            "predicted_ms": None,
            "metric": 0.8,
            "seconds": 1.5,
            "rho": 0.01,
            "dual_residual": 0.02,
        }
        for epoch in (1, 2)
    ]
    plain = dict.fromkeys(("residual", "relative_residual", "rho", "dual_residual"), 0.0)
    return [*admm, {**admm[0], **plain, "stage": f"{number}-finetune", "metric": 0.9}]


def comparison():
    timed = row(
        "unstructured",
        0.25,
        dense_ms=0.5,
        latency_ms=0.25,
        layer_ms={"first": (0.1, 0.1), "second": (0.3, 0.15)},
        history=(
            Round(4.0, 0.915, True, "unstructured / 4", tuple(round_epochs(1, 0.2))),
            Round(6.0, 0.88, False, "unstructured / 2", tuple(round_epochs(2, 0.1))),
        ),
    )
    return CompressionResult(
        "net.onnx",
        "digits.npz",
        "top-1",
        0.92,
        0.01,
        (timed, row("shape", 0.5)),
        MACHINE,
        {"seed": 0, "quantization": ["4bit"]},
        12.5,
    )


def test_rates_of_a_row():
    measured = row(
        "unstructured",
        0.25,
        dense_ms=0.5,
        latency_ms=0.25,
        layer_ms={"first": (0.1, 0.1), "second": (0.3, 0.15)},
    )
    first, second = FIRST.weight_count, SECOND.weight_count
    kept = first + second // 4
    assert (measured.dense_weights, measured.kept_weights) == (first + second, kept)
    assert measured.weight_bytes == 4 * first + second // 4 // 2
    assert measured.prune_rate == (first + second) / kept
    assert measured.compress_rate == 4 * (first + second) / measured.relative_bytes
    assert (measured.speedup, measured.pruned_speedup) == (2, 2)
    assert measured.ppr == (first + second) / kept / 2
    assert measured.pruned_rate == 4
    assert measured.pruned_ppr == 2  # 4 times fewer weights, 2 times faster
    assert measured.index_bits == (2,)  # gaps of 3
    assert measured.kind == "indexed"
    assert [layer.pruned for layer in measured.layers] == [False, True]
    assert measured.scale_bytes == 64


def test_rates_that_were_not_measured_are_none():
    plain = row("filter", 0.5)
    assert (plain.kind, plain.index_bits, plain.list_bytes) == ("full matrix", (), 2)
    assert (plain.speedup, plain.ppr, plain.pruned_ppr) == (None, None, None)
    assert plain.relative_bytes == plain.absolute_bytes == plain.weight_bytes
    half = dataclasses.replace(
        plain,
        layers=(
            StructureLayer("a", 1, 2, 4, None, 1, 0.2, 0.1),
            StructureLayer("b", 1, 2, 4, None, 1, 0.2, None),
        ),
    )
    assert half.pruned_speedup is None
    assert dataclasses.replace(plain, kept_weights=0, relative_bytes=0).prune_rate is None
    assert dataclasses.replace(plain, layers=()).pruned_ppr is None


@pytest.mark.parametrize(
    ("dense", "relative", "rate"),
    [(11.175e6, 2.47e6, 18.1), (11.175e6, 1.89e6, 23.6), (14.7e6, 0.54e6, 109), (25.5e3, 390, 262)],
    ids=["table 8", "table 8 with loss", "table 9", "table 12"],
)
def test_compression_is_what_the_paper_calls_so(dense, relative, rate):
    """ADMM-NN-S, last column of the tables, from dense weights and bytes with relative indices."""
    found = dataclasses.replace(
        row("unstructured", 0.5), dense_weights=int(dense), relative_bytes=int(relative)
    )
    assert found.compress_rate == pytest.approx(rate, rel=0.005)


def printed(monkeypatch, result, **options):
    stream = io.StringIO()
    terminal = Console(file=stream, width=200, markup=False)
    for module in (tables, console):
        monkeypatch.setattr(module, "out", terminal)
    print_compression(result, **options)
    return stream.getvalue()


def test_the_table(monkeypatch):
    assert printed(monkeypatch, comparison(), details=True) == GOLDEN.read_text()


def test_an_empty_table_and_no_machine(monkeypatch):
    text = printed(monkeypatch, CompressionResult("a", "b", "top-1", 0.5, 0.1, ()))
    assert "at least 40.00 % wanted" in text
    assert "some CPU" not in text


def test_sizes_have_three_digits():
    sizes = [9_300_000, 44_700_000, 510_000, 102_000, 99_999, 9_996, 930, 84]
    assert [bytes_text(size) for size in sizes] == [
        *("9.30 MB", "44.7 MB", "510 KB", "102 KB", "100 KB", "10.0 KB", "930 B", "84 B")
    ]


def test_json_goes_there_and_back(tmp_path):
    path, result = tmp_path / "result.json", comparison()
    write_compression_json(path, result)
    assert read_compression_json(path) == result
    written = json.loads(path.read_text())
    assert list(written)[:2] == ["kind", "schema"]
    assert (written["kind"], written["schema"]) == ("alcs-onnx comparison of structures", 3)
    first, second = written["rows"][0]["history"]
    assert (first["step"], second["accepted"]) == ("unstructured / 4", False)
    assert [epoch["residual"] for epoch in first["epochs"]] == [3, 1.5, 0]
    assert [epoch["dual_residual"] for epoch in second["epochs"]] == [0.02, 0.02, 0]
    assert written["rows"][0]["pruned_ppr"] == 2
    assert written["rows"][0]["index_bits"] == [2]
    assert written["rows"][1]["speedup"] is None


def test_results_without_epochs_are_read_too():
    """Those in the repository were written before rounds had names and epochs."""
    files = sorted(RESULTS.glob("lenet5_*structured.json"))
    assert len(files) == 2
    for path in files:
        assert json.loads(path.read_text())["schema"] == 1
        [found] = read_compression_json(path).rows
        assert found.history
        assert all((tried.step, tried.epochs) == ("", ()) for tried in found.history)
        assert found.epochs == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a comparison"),
        ("[]", "not a comparison"),
        ('{"schema": 1}', "'model' is missing"),
        ('{"kind": "alcs-onnx bench", "schema": 1}', "it is an alcs-onnx bench"),
        ('{"schema": 99}', "schema 99, this version reads 1 to 3"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(AlcsError, match=message):
        read_compression_json(path)
    with pytest.raises(AlcsError, match="cannot read"):
        read_compression_json(tmp_path / "missing.json")


def records(epochs=3):
    admm = [
        {"stage": "admm", "epoch": e, "loss": 2 / e, "relative_residual": 0.5 / e, "metric": 0.3}
        for e in range(1, epochs + 1)
    ]
    fine = [
        {"stage": "finetune", "epoch": e, "loss": 0.4, "relative_residual": 0.0, "metric": None}
        for e in range(1, epochs + 1)
    ]
    return [*admm, *fine]


PLOTS = {
    "comparison": lambda path: plot_compression(comparison(), path),
    "history": lambda path: plot_history({"ρ = 0.01": records(), "ρ = 0.1": records(1)}, path),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_plots_are_images(plot, tmp_path):
    pytest.importorskip("matplotlib")
    png, svg = tmp_path / "plot.PNG", tmp_path / "plot.svg"
    PLOTS[plot](png)
    PLOTS[plot](svg)
    with Image.open(png) as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors() or ()) > 10  # not a blank sheet
    assert ET.parse(svg).getroot().tag.endswith("svg")


def drawn_lines(monkeypatch, plot):
    """What `plot` draws: of each axes, the style and the points of every line that has any."""
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    plot()
    [figure] = drawn
    return [
        [
            (line.get_linestyle(), line.get_xydata().tolist())
            for line in axes.lines
            if len(line.get_xdata())
        ]
        for axes in figure.axes
    ]


def test_curves_follow_the_records(tmp_path, monkeypatch):
    """What is drawn, read from the figure: stages join, and missing metrics leave no point."""
    pytest.importorskip("matplotlib")
    runs = {"run": [*records(2), *records(2)]}
    loss, residual, metric = drawn_lines(
        monkeypatch, lambda: plot_history(runs, tmp_path / "plot.png")
    )
    assert loss == [
        ("-", [[1, 2], [2, 1]]),
        ("--", [[2, 1], [3, 0.4], [4, 0.4]]),
        ("-", [[4, 0.4], [5, 2], [6, 1]]),
        ("--", [[6, 1], [7, 0.4], [8, 0.4]]),
    ]
    assert residual == [("-", [[1, 0.5], [2, 0.25]]), ("-", [[5, 0.5], [6, 0.25]])]
    assert metric == [("-", [[1, 0.3], [2, 0.3]]), ("-", [[5, 0.3], [6, 0.3]])]


def test_the_rounds_of_a_structure_can_be_drawn(tmp_path, monkeypatch):
    """After they were written and read; the second round goes on to the right of the first."""
    pytest.importorskip("matplotlib")
    write_compression_json(tmp_path / "result.json", comparison())
    read = read_compression_json(tmp_path / "result.json")
    histories = {row.structure: row.epochs for row in read.rows}
    loss, residual, metric = drawn_lines(
        monkeypatch, lambda: plot_history(histories, tmp_path / "plot.png")
    )
    assert loss == [
        ("-", [[1, 0.2], [2, 0.1]]),
        ("--", [[2, 0.1], [3, 0.2]]),
        ("-", [[3, 0.2], [4, 0.1], [5, 0.05]]),
        ("--", [[5, 0.05], [6, 0.1]]),
    ]
    assert residual == [("-", [[1, 0.5], [2, 0.25]]), ("-", [[4, 0.5], [5, 0.25]])]
    assert [style for style, _ in metric] == ["-", "--", "-", "--"]


def test_plots_are_refused_that_cannot_be(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(AlcsError, match=r"has to end in \.png or \.svg"):
        plot_compression(comparison(), tmp_path / "plot.jpg")
    with pytest.raises(OutputError, match="there is no folder"):
        plot_history({"run": records()}, tmp_path / "missing" / "plot.png")
    with pytest.raises(AlcsError, match="no structures"):
        plot_compression(dataclasses.replace(comparison(), rows=()), tmp_path / "plot.png")
    with pytest.raises(AlcsError, match="no epochs"):
        plot_history({"run": []}, tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_only_plots_fail(tmp_path):
    """Blocked in another process, where nothing has imported it yet."""
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pathlib import Path\n"
        "from alcs_onnx.errors import AlcsError\n"
        "from alcs_onnx.report.plots import plot_history\n"
        "record = dict(stage='admm', epoch=1, loss=1.0, relative_residual=1.0, metric=None)\n"
        "try:\n"
        f"    plot_history({{'run': [record]}}, Path({str(tmp_path / 'p.png')!r}))\n"
        "except AlcsError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "pip install alcs-onnx[plot]" in done.stdout


def test_the_report_alone_imports_no_matplotlib():
    script = (
        "import sys, alcs_onnx.report.compress, alcs_onnx.report.sweep\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
