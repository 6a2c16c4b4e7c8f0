"""Latency tables as JSON files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from math import isfinite, nan
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.latency.estimator import Estimator
from alcs_onnx.types import LatencyTable, LayerCurve, Machine, Timing

_KIND = "alcs-onnx latency table"
_SCHEMA = 1
#: What must agree for a table to say anything about a machine.
_SAME = ("cpu", "isa", "threads")


def save_table(table: LatencyTable, path: Path) -> None:
    """Write `table` to `path`, complete or not at all; raises `OutputError` if it cannot."""
    content = {"kind": _KIND, "schema": _SCHEMA, **asdict(table)}
    text = json.dumps(_without_nan(content), indent=1) + "\n"
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def load_table(
    path: Path, model_digest: str | None = None, machine: Machine | None = None
) -> LatencyTable:
    """Read a table; raises `AlcsError` if it is not a valid one.

    With `model_digest` and `machine` it must also have been measured on them: `check_table`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AlcsError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise AlcsError(f"{path}: not a latency table ({error})") from error
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise AlcsError(f"{path}: not a latency table")
    if content.get("schema") != _SCHEMA:
        raise AlcsError(
            f"{path}: a latency table of schema {content.get('schema')}, "
            f"this version reads {_SCHEMA}"
        )
    try:
        table = _parse(content)
        Estimator.from_curves(table.tau, table.curves)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise AlcsError(f"{path}: a damaged latency table ({reason})") from error
    except AlcsError as error:
        raise AlcsError(f"{path}: {error}") from error
    check_table(table, str(path), model_digest, machine)
    return table


def check_table(
    table: LatencyTable, name: str, model_digest: str | None, machine: Machine | None
) -> None:
    """Raise `AlcsError` if `table` (called `name`) is of another model or machine.

    Machines are the same if CPU model, instruction set and thread count agree. Another
    version of the runtime or the library is allowed: the budget is met by measuring.
    """
    if model_digest is not None and table.model_digest != model_digest:
        raise AlcsError(
            f"{name}: measured on another model "
            f"(digest {table.model_digest[:12]}, this model has {model_digest[:12]})"
        )
    for key in _SAME if machine is not None else ():
        measured, now = getattr(table.machine, key), getattr(machine, key)
        if measured != now:
            raise AlcsError(f"{name}: measured with {key} {measured}, this run has {now}")


def _parse(content: Mapping[str, Any]) -> LatencyTable:
    """The table in `content`; raises the usual errors of a wrong shape or type."""
    return LatencyTable(
        model_digest=_text(content["model_digest"]),
        simd_group=int(content["simd_group"]),
        machine=Machine(
            **{
                field.name: _converters[str(field.type)](content["machine"][field.name])
                for field in fields(Machine)
            }
        ),
        tau=_finite(content["tau"]),
        dense=Timing(
            **{
                field.name: _converters[str(field.type)](content["dense"][field.name])
                for field in fields(Timing)
            }
        ),
        curves=tuple(
            LayerCurve(
                layer=_text(item["layer"]),
                groups=tuple(int(count) for count in item["groups"]),
                times=tuple(_finite(time) for time in item["times"]),
                dense_time=_number(item["dense_time"]),
            )
            for item in content["curves"]
        ),
        input_shapes={
            _text(name): tuple(int(size) for size in shape)
            for name, shape in content["input_shapes"].items()
        },
        left_alone={_text(name): _text(reason) for name, reason in content["left_alone"].items()},
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: Any) -> float:
    return nan if value is None else float(value)


def _finite(value: Any) -> float:
    if not isfinite(_number(value)):
        raise ValueError(f"{value!r} is not a time")
    return float(value)


_converters: dict[str, Any] = {"str": _text, "int": int, "float": _number}


def _without_nan(value: Any) -> Any:
    """`value` with NaN, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
