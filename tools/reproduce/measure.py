"""Shared by the scripts here: write a result with the command and machine that made it."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

from alcs_onnx.documents import write_json
from alcs_onnx.target import get_target

RESULTS = Path(__file__).parent / "results"


def _portable() -> list[str]:
    """The command's arguments, paths without the folders of the machine they lie on."""
    return [Path(a).name if Path(a).exists() else a for a in sys.argv[1:]]


def write_result(name: str, arguments: dict[str, Any], figures: Any, threads: int = 1) -> Path:
    """Save `figures` as results/NAME.json beside the command, the date and the machine."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "command": " ".join(["python", f"tools/reproduce/{Path(sys.argv[0]).name}", *_portable()]),
        "arguments": arguments,
        "date": date.today().isoformat(),
        "machine": get_target("local").machine(threads),
        "figures": figures,
    }
    write_json(path, record)
    print(f"wrote {path.name}")
    return path
