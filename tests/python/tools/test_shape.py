"""The shape that the package keeps: functions are short, and a longer one says why."""

from __future__ import annotations

from pathlib import Path

from structure import LONGEST, read_structure

PACKAGE = Path(__file__).resolve().parents[3] / "alcs_onnx"

#: Functions of more than LONGEST lines, and why each of them is not in parts.
LONGER: dict[str, str] = {}


def test_functions_are_short() -> None:
    longer = {f.name: f.lines for f in read_structure(PACKAGE).functions if f.lines > LONGEST}
    new = {name: lines for name, lines in longer.items() if name not in LONGER}
    assert not new, f"over {LONGEST} lines: make parts of them, or say in LONGER why not"
    stale = LONGER.keys() - longer
    assert not stale, "short now, or gone: take them out of LONGER"
