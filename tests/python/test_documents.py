"""Files of every kind: as they were first written, and what is told of damaged ones.

`saved_values` has the values that are in tests/golden/files, whose first versions were written by
the code before there was one codec.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import saved_values as saved

from alcs_onnx import formats
from alcs_onnx.documents import plain, read_document, write_document, write_json
from alcs_onnx.errors import AlcsError
from alcs_onnx.formats import Format
from alcs_onnx.latency import load_channel_table, load_table, save_table
from alcs_onnx.pipeline.optimize.plan_file import load_plan, masks_path, save_plan
from alcs_onnx.pipeline.sweep import SweepPoint
from alcs_onnx.pipeline.sweep.folder import SweepFolder
from alcs_onnx.report.compress import read_compression_json, write_compression_json
from alcs_onnx.report.export import write_result
from alcs_onnx.report.inspect import inspection_json

FILES = Path(__file__).parents[1] / "golden" / "files"
UNJUDGED = replace(saved.POINT, fidelity=None, verdict=None)


class SavedModel:
    """All that a plan asks of a model."""

    digest = saved.DIGEST


def write_sweep(path: Path) -> None:
    folder = SweepFolder(path, Path("net.onnx"))
    assert folder.begun(saved.SETTINGS) is None
    folder.begin(saved.DENSE)
    folder.write_point("simd-80%", saved.POINT, saved.RESULT)
    folder.write_point("simd-1%", saved.UNREACHABLE, None)
    folder.write_result(saved.SWEEP)


WRITERS: Mapping[str, Callable[[Path], object]] = {
    "table.json": lambda path: save_table(saved.LATENCY_TABLE, path),
    "channel_table.json": lambda path: save_table(saved.CHANNEL_TABLE, path),
    "plan.json": lambda path: save_plan(saved.PLAN, path),
    "comparison.json": lambda path: write_compression_json(path, saved.COMPARISON),
    "optimize.json": lambda path: write_result(path, saved.RESULT),
    "bench.json": lambda path: write_result(path, saved.BENCH),
    "compare.json": lambda path: write_result(path, saved.MODELS),
    "inspect.json": lambda path: path.write_text(inspection_json(saved.INSPECTION)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_are_written_as_they_always_were(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_text() == (FILES / name).read_text()


def test_a_sweep_is_written_as_it_always_was(tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep")
    files = [path for path in (FILES / "sweep").rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        written = (tmp_path / "sweep" / path.relative_to(FILES / "sweep")).read_text()
        assert json.loads(written) == json.loads(path.read_text())
        assert list(json.loads(written)) == list(json.loads(path.read_text()))


def test_old_tables_are_read() -> None:
    # NaN is not equal to itself.
    assert repr(load_table(FILES / "table.json")) == repr(saved.LATENCY_TABLE)
    assert repr(load_table(FILES / "table_1.json")) == repr(saved.LATENCY_TABLE)
    assert repr(load_channel_table(FILES / "channel_table.json")) == repr(saved.CHANNEL_TABLE)


def test_an_old_plan_is_read() -> None:
    found = load_plan(FILES / "plan.json", SavedModel())  # type: ignore[arg-type]
    assert repr(found) == repr(saved.PLAN)


@pytest.mark.parametrize(("version", "point"), [("sweep", saved.POINT), ("sweep_1", UNJUDGED)])
def test_an_old_sweep_goes_on(version: str, point: SweepPoint, tmp_path: Path) -> None:
    """Of both versions: the first said nothing of what was lost."""
    shutil.copytree(FILES / version, tmp_path / "sweep")
    folder = SweepFolder(tmp_path / "sweep", Path("net.onnx"))
    assert repr(folder.begun(saved.SETTINGS)) == repr(saved.DENSE)
    assert folder.read_point("simd-80%") is None  # its model is gone
    (tmp_path / "sweep" / "net-simd-80%.onnx").touch()
    assert folder.read_point("simd-80%") == point
    assert folder.read_point("simd-1%") == saved.UNREACHABLE


def test_an_old_comparison_is_read() -> None:
    assert repr(read_compression_json(FILES / "comparison.json")) == repr(saved.COMPARISON)
    [row] = saved.COMPARISON.rows
    unjudged = replace(saved.COMPARISON, rows=(replace(row, fidelity=None),))
    assert repr(read_compression_json(FILES / "comparison_2.json")) == repr(unjudged)


def test_an_old_checkpoint_is_read() -> None:
    torch = pytest.importorskip("torch")
    from alcs_onnx.train.checkpoint import Checkpoint

    state = Checkpoint(FILES, "admm", {"model": "m", "rho": 0.1, "layers": None}).load()
    assert state is not None
    assert (state.epoch, state.predicted_ms) == (2, 1.75)
    assert [record.loss for record in state.history.records] == [0.5, 0.25]
    assert torch.equal(state.tensors["parameters"]["w"], torch.arange(3.0))


# --- reading is strict


@dataclass(frozen=True)
class Inner:
    text: str
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    format: ClassVar[Format] = Format("alcs-onnx sample", 2, {1: lambda c: {**c, "flag": True}})

    inner: Inner
    number: float
    named: Mapping[str, Inner]
    choice: Literal["one", "two"]
    flag: bool
    maybe: Inner | None = None


OUTER = Outer(Inner("a", (1, 2)), 0.5, {"x.y": Inner("b")}, "two", False, Inner("c"))


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = tmp_path / "sample.json"
    write_document(path, OUTER)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_there_and_back(tmp_path: Path) -> None:
    assert read_document(changed(tmp_path, lambda c: c.update(more=1)), Outer) == OUTER
    older = changed(tmp_path, lambda c: (c.update(schema=1), c.pop("flag"), c.pop("maybe")))
    assert read_document(older, Outer) == Outer(OUTER.inner, 0.5, OUTER.named, "two", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("number"), "'number' is missing"),
        (lambda c: c["inner"].pop("counts"), "inner: 'counts' is missing"),
        (lambda c: c.update(number="0.5"), "number: '0.5' is not a number"),
        (lambda c: c.update(number=True), "number: True is not a number"),
        (lambda c: c.update(flag=1), "flag: 1 is not true or false"),
        (lambda c: c.update(choice="three"), "choice: "),
        (lambda c: c.update(inner=None), "inner: None is not an object"),
        (lambda c: c.update(inner=["text"]), "inner: ['text'] is not an object"),
        (lambda c: c["inner"].update(text=7), "inner.text: 7 is not a text"),
        (lambda c: c["inner"].update(counts="12"), "inner.counts: '12' is not an array"),
        (lambda c: c["inner"].update(counts={"1": 2}), "inner.counts: {'1': 2} is not an array"),
        (lambda c: c["inner"].update(counts=[1, 2.5]), "inner.counts[1]: 2.5 is not an integer"),
        (lambda c: c["inner"].update(counts=[1, False]), "inner.counts[1]: False is not an"),
        (lambda c: c.update(named=[]), "named: [] is not an object"),
        (lambda c: c["named"].update(z={}), "named['z']: 'text' is missing"),
        (lambda c: c.update(maybe=[]), "maybe: [] is not an object"),
        (lambda c: c["inner"].update(text=["long\n" * 99]), "inner.text: ['long"),
    ],
)
def test_damage_is_told_in_one_line_with_the_field(
    change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    path = changed(tmp_path, change)
    with pytest.raises(AlcsError) as caught:
        read_document(path, Outer)
    assert str(caught.value).startswith(f"{path}: damaged sample ({words}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 120


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged, or not a sample"),
        ("[" * 100_000, "damaged, or not a sample"),
        ("\ud800".encode("utf-8", "surrogatepass"), "damaged, or not a sample"),
        ("[]", "damaged, or not a sample"),
        ("{}", "not a sample (it does not say what it is)"),
        ('{"kind": "alcs-onnx bench", "schema": 1}', "not a sample (it is an alcs-onnx bench)"),
        *(
            (json.dumps({"kind": "alcs-onnx sample", "schema": schema}), f"schema {schema}, this")
            for schema in (0, 3, 1.0, "2", True, [1], None)
        ),
    ],
)
def test_other_files_are_refused(text: str | bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AlcsError) as caught:
        read_document(path, Outer)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)


def test_masks_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    for file in (FILES / "plan.json", masks_path(FILES / "plan.json")):
        shutil.copy(file, tmp_path)
    masks: dict[str, Any] = {"channels/0": np.zeros(3, bool)}
    np.savez(masks_path(path), **masks)
    with pytest.raises(AlcsError, match=r"plan\.json\.npz: damaged \(the mask of 'g' is not"):
        load_plan(path, SavedModel())  # type: ignore[arg-type]


# --- writing


def test_any_value_has_a_json_form(tmp_path: Path) -> None:
    value = {
        "numbers": (1, 2.5, np.float64(0.5), np.float32(0.25), np.int64(3), np.float32(np.nan)),
        "lost": [float("nan"), float("-inf"), {"deep": float("inf")}],
        "path": Path("a/b"),
        "view": MappingProxyType({"inner": Inner("x")}),
        "flag": np.bool_(True),
        8: None,
    }
    write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text()) == {
        "numbers": [1, 2.5, 0.5, 0.25, 3, None],
        "lost": [None, None, {"deep": None}],
        "path": "a/b",
        "view": {"inner": {"text": "x", "counts": []}},
        "flag": True,
        "8": None,
    }
    assert plain(Outer(Inner("a"), float("nan"), {}, "one", True))["number"] is None


def test_every_kind_is_there_once() -> None:
    found = [value for value in vars(formats).values() if isinstance(value, Format)]
    assert len({form.kind for form in found}) == len(found) >= 11
    for form in found:
        assert form.kind.startswith("alcs-onnx ")
        assert form.readable == tuple(range(form.readable[0], form.version + 1))


def test_the_codec_is_imported_when_a_file_is_read() -> None:
    script = (
        "import sys, alcs_onnx.report, alcs_onnx.latency, alcs_onnx.pipeline.optimize\n"
        "print('cattrs' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
