"""Results as JSON files."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from alcs_onnx.files import write_atomically


def to_jsonable(value: Any) -> Any:
    """Dataclasses to objects, tuples to lists, paths to text, and non-finite numbers to null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)


def write_json(path: Path, result: Any) -> None:
    """Write a result value as JSON; raises `OutputError` when `path` cannot be written."""
    text = json.dumps(to_jsonable(result), indent=2) + "\n"
    write_atomically(path, text.encode())
