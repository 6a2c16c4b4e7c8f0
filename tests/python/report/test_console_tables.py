"""Tables of the terminal at its usual width: numbers whole, names readable, nothing acted on."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import onnx
import pytest
from inspection_helpers import hostile_model
from rich.console import Console
from small_models import residual_net
from sweep_samples import point, swept

import alcs_onnx
from alcs_onnx.pipeline.sweep import SweepPoint
from alcs_onnx.report.bench import print_bench
from alcs_onnx.report.compare import print_model_comparison
from alcs_onnx.report.compile import print_compile
from alcs_onnx.report.inspect import print_inspection
from alcs_onnx.report.layout import bytes_text, counted, new_table, percent
from alcs_onnx.report.long_tables import foremost
from alcs_onnx.report.optimize import print_optimize
from alcs_onnx.report.sweep import print_sweep

QUICK = alcs_onnx.Measuring(iterations=4, warmup=1)
#: Digits alone on a line, beyond the first column: what is left of a number that was broken.
BROKEN = re.compile(r"\s{3,}[\d.]+\s*$")

Terminal = Callable[[int], io.StringIO]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Gives every module of the report a terminal of some width."""

    def open_terminal(width: int) -> io.StringIO:
        stream = io.StringIO()
        console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
        for name, module in list(sys.modules.items()):
            if name.startswith("alcs_onnx.report.") and isinstance(
                getattr(module, "out", None), Console
            ):
                monkeypatch.setattr(module, "out", console)
        return stream

    return open_terminal


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose nodes and tensors have long names, as exporters write them."""
    path = residual_net(tmp_path_factory.mktemp("tables") / "a_network_with_a_long_name.onnx")
    model = onnx.load(path)
    known = {x.name for x in (*model.graph.input, *model.graph.output, *model.graph.initializer)}

    def longer(name: str) -> str:
        return name if name in known else f"/backbone/features/block_1/{name}/Conv_output_0"

    for node in model.graph.node:
        node.name = f"/backbone/features/block_1/{node.name}"
        node.input[:] = map(longer, node.input)
        node.output[:] = map(longer, node.output)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def sparse(dense: Path) -> Path:
    out = dense.with_name("sparse.onnx")
    alcs_onnx.compile_model(dense, out)
    return out


def fits(text: str, title: str, width: int = 80) -> None:
    """The table is no wider than the terminal, and none of its numbers is broken."""
    lines = text[text.index(title) :].splitlines()
    rule = next(i for i, line in enumerate(lines) if "─" in line)
    rows = list(takewhile(lambda line: line.startswith(" "), lines[rule + 1 :]))
    assert any(map(str.strip, rows))
    assert max(map(len, (*lines[:rule], *rows))) <= width
    assert not any(map(BROKEN.match, rows))


# --- the table itself --------------------------------------------------------------------


def printed(table: object, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


def test_columns_are_left_out_in_their_order() -> None:
    table = new_table("A", "name", ">first", ">second", ">third", optional=("second", "first"))
    table.add_row("a/long/name/of/a/node/in/a/graph", "1234567", "1234567", "1234567")
    table.add_section()
    table.add_row("all", "1", "2", "3")
    shown = {width: " ".join(printed(table, width)) for width in (80, 46, 45, 38, 37, 30)}
    for title, least in (("third", 30), ("first", 38), ("second", 46)):
        for width, text in shown.items():
            assert (title in text) == (width >= least), (title, width)
    assert all("1234567" in text and "a/long/name/of" in text for text in shown.values())
    assert all(len(line) <= width for width in (*shown, 8) for line in printed(table, width))


def test_words_of_text_are_whole_where_they_fit() -> None:
    table = new_table("A", "name", "operator", *(f">c{i}" for i in range(9)))
    table.add_row("x" * 60, "SimdSparseConvAdd", *["123.45"] * 9)
    text = "\n".join(printed(table, 110))
    assert "SimdSparseConvAdd" in text
    assert text.count("123.45") == 9


def test_lines_end_with_their_last_character() -> None:
    table = new_table("A", "name", ">number", "why")
    table.add_row("a", "1", "")
    table.add_row("b", "22", "a reason of several words that is folded")
    stream = io.StringIO()
    Console(file=stream, width=40).print(table)
    lines = stream.getvalue().splitlines()
    assert lines == [line.rstrip() for line in lines]


def test_columns_that_say_nothing_are_left_out() -> None:
    table = new_table("A", "name", ">first", "second", ">third", "why")
    table.add_row("a", "-", "", "3", "-")
    table.add_row("b", "-", "-", "-", "")
    text = printed(table, 80)
    assert text[1].split() == ["name", "third"]
    assert [line.split() for line in text[3:]] == [["a", "3"], ["b", "-"]]
    # Of a table without rows the columns say what it is about.
    assert "third" in " ".join(printed(new_table("A", "name", ">third"), 80))


def test_names_are_shortened_where_they_still_differ() -> None:
    def first_column(names: list[str], width: int) -> list[str]:
        table = new_table("A", "name", *(f">c{i}" for i in range(4)))
        for name in names:
            table.add_row(name, *["1234567"] * 4)
        return [line.split()[0] for line in printed(table, width)[3:]]

    names = [f"/backbone/layer1/layer1.{i}/conv1/Conv" for i in range(12)]
    short = first_column(names, 66)
    assert len(short) == len(set(short)) == len(names)  # a line each
    for name, shown in zip(names, short, strict=True):
        head, tail = shown.split("…")
        assert name.startswith(head)
        assert name.endswith(tail)
        assert len(shown) < len(name)
    # Too narrow to tell them apart: whole, over several lines.
    folded = first_column(names, 50)
    assert "…" not in "".join(folded)
    assert len(folded) > len(names)
    assert all(name in "".join(folded) for name in names)
    assert first_column(names, 120) == names


def test_long_tables_show_their_foremost_rows_in_order() -> None:
    rows = [("a", 1.0), ("b", 5.0), ("c", 3.0), ("d", 5.0)]
    assert foremost(rows, 2, lambda row: row[1]) == [("b", 5.0), ("d", 5.0)]
    assert foremost(rows, 3, lambda row: row[1]) == rows[1:]
    assert foremost(rows, 0, lambda row: row[1]) == foremost(rows, 9, lambda row: row[1]) == rows


@pytest.mark.parametrize("columns", [None, "120"])
def test_pipes_are_80_columns_wide_or_as_the_environment_says(columns: str | None) -> None:
    script = "from alcs_onnx.report.console import out; print(out.width)"
    environment = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True,
        env=environment | ({"COLUMNS": columns} if columns else {}),
    )  # fmt: skip
    assert int(done.stdout) == int(columns or 80)


def test_another_number_of_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        new_table("A", "a", "b").add_row("c")


def test_how_values_are_written() -> None:
    assert (percent(0.125), percent(1)) == ("12.5 %", "100.0 %")
    assert (counted(1, "node"), counted(1200, "node")) == ("1 node", "1,200 nodes")
    assert bytes_text(2.5e9) == "2.50 GB"


# --- of results --------------------------------------------------------------------------


def test_an_optimized_file_at_80_columns(sparse: Path, terminal: Terminal) -> None:
    stream = terminal(80)
    found = alcs_onnx.inspect(sparse, "sparsity")
    print_inspection(found, view="sparsity")
    text = stream.getvalue()
    fits(text, "Zeros in % of groups")
    assert found.sparsity is not None
    joined = "".join(text.split())
    for layer in found.sparsity.layers:
        assert bytes_text(layer.stored_bytes) in text
        assert layer.layer[:14] in joined
    assert re.search(r"all .* [\d.]+ KB", text)


@pytest.mark.parametrize("view", ["model", "coupling", "sparsity", "latency"])
def test_a_dense_file_at_80_columns(view: str, dense: Path, terminal: Terminal) -> None:
    stream = terminal(80)
    print_inspection(alcs_onnx.inspect(dense, view, measuring=QUICK), view=view)
    title = {"model": "Heaviest", "coupling": "Channel groups", "sparsity": "Zeros"}
    fits(stream.getvalue(), title.get(view, "Slowest nodes"))
    assert "Heaviest nodes: 7 of 7 with weights or MACs" in stream.getvalue() or view != "model"


def test_bench_at_80_columns(dense: Path, sparse: Path, terminal: Terminal) -> None:
    stream = terminal(80)
    result = alcs_onnx.bench([dense, sparse], measuring=QUICK, min_seconds=0, profile=True)
    print_bench(result)
    text = stream.getvalue()
    fits(text, "Latency, interleaved")
    fits(text, "Nodes of")
    for row in result.rows:
        assert f"{row.speedup:.2f}x" in text
        assert f"{row.timing.median:.3f}" in text


def test_details_of_a_comparison_at_80_columns(
    dense: Path, sparse: Path, terminal: Terminal
) -> None:
    stream = terminal(80)
    result = alcs_onnx.compare(dense, sparse, samples=1)
    print_model_comparison(result, details=True)
    text = stream.getvalue()
    fits(text, "Differences of the outputs")
    fits(text, "Tensors of both graphs")
    for row in result.tensors:
        assert row.difference is not None
        assert f"{row.difference.relative:.2e}" in text or row.difference.relative == 0


def test_a_sweep_at_80_columns(terminal: Terminal) -> None:
    stream = terminal(80)
    lost = SweepPoint("channel", "1%", "unreachable", "1 to 2 ms")
    print_sweep(swept(point("80%", 0.8, 88.25), point("60%", 0.6, 81.5), lost))
    text = stream.getvalue()
    fits(text, "Sweep of")
    for cell in ("unreachable", "1.600", "1.25x", "88.25", "yes"):
        assert cell in text


@pytest.mark.parametrize("top", [4, 0])
def test_layers_of_a_rewritten_file_at_80_columns(
    top: int, dense: Path, tmp_path: Path, terminal: Terminal
) -> None:
    stream = terminal(80)
    result = alcs_onnx.compile_model(dense, tmp_path / "out.onnx")
    print_compile(result, top=top)
    text = stream.getvalue()
    fits(text, "Layers")
    count = len(result.layers)
    heaviest = sorted(result.layers, key=lambda row: -row.macs)[:4]
    shown = result.layers if top == 0 else [row for row in result.layers if row in heaviest]
    names = [line.split()[0] for line in text[text.index("─") :].splitlines() if "Conv" in line]
    assert [name[:14] for name in names] == [row.layer[:14] for row in shown]
    assert [name[-4:] for name in names] == [row.layer[-4:] for row in shown]
    assert f"Layers: the 4 heaviest of {count}" in text or not top
    assert (f"… and {count - 4} more layers (--top 0)" in text) == bool(top)


def test_layers_and_groups_of_an_optimized_model(dense: Path, terminal: Terminal) -> None:
    stream = terminal(80)
    result = alcs_onnx.optimize(dense, "90%", None, method="channel", measuring=QUICK)
    print_optimize(result, top=2)
    text = stream.getvalue()
    fits(text, f"Channel groups: the 2 of {len(result.channels)} that save most")
    fits(text, f"Layers: the 2 slowest of {len(result.layers)}")
    assert f"… and {len(result.layers) - 2} more layers (--top 0)" in text


def test_names_move_no_cursor(tmp_path: Path, terminal: Terminal) -> None:
    """Escapes and line ends in names print as text, in whatever table they are."""
    path = hostile_model(tmp_path)
    stream = terminal(200)
    print_bench(alcs_onnx.bench([path], measuring=QUICK, min_seconds=0, profile=True))
    print_model_comparison(alcs_onnx.compare(path, path, samples=1), details=True)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert text.count("a\\nb\\x1b[31m1") >= 2
    assert "[red]conv[/red]0" in text
