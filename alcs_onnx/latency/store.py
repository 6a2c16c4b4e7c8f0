"""Latency tables, of layers and of channel groups, as JSON files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from math import isfinite, nan
from pathlib import Path
from typing import Any, TypeVar

from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.latency.contributions import ChannelEstimator
from alcs_onnx.latency.estimator import Estimator
from alcs_onnx.types import (
    ChannelCurve,
    ChannelTable,
    LatencyTable,
    LayerCurve,
    Machine,
    Shape,
    Timing,
)

_Table = TypeVar("_Table", LatencyTable, ChannelTable)
_KINDS: dict[type[LatencyTable | ChannelTable], str] = {
    LatencyTable: "latency table",
    ChannelTable: "channel latency table",
}
#: Versions of each kind of file that are read, the last of which is written. Latency tables of
#: version 1 say nothing of a structure: their groups are SIMD groups.
_SCHEMAS: dict[type[LatencyTable | ChannelTable], tuple[int, ...]] = {
    LatencyTable: (1, 2),
    ChannelTable: (1,),
}
#: What must agree for a table to say anything about a machine.
_SAME = ("cpu", "isa", "threads")


def save_table(table: LatencyTable | ChannelTable, path: Path) -> None:
    """Write `table` to `path`, complete or not at all; raises `OutputError` if it cannot."""
    kind = f"alcs-onnx {_KINDS[type(table)]}"
    content = {"kind": kind, "schema": _SCHEMAS[type(table)][-1], **asdict(table)}
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
    return _load(path, LatencyTable, _parse, model_digest, machine)


def load_channel_table(
    path: Path, model_digest: str | None = None, machine: Machine | None = None
) -> ChannelTable:
    """Read a table of channel groups, as `load_table` does one of layers."""
    return _load(path, ChannelTable, _parse_channels, model_digest, machine)


def _load(
    path: Path,
    kind: type[_Table],
    parse: Callable[[Mapping[str, Any]], _Table],
    model_digest: str | None,
    machine: Machine | None,
) -> _Table:
    called = _KINDS[kind]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AlcsError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise AlcsError(f"{path}: not a {called} ({error})") from error
    if not isinstance(content, dict) or content.get("kind") != f"alcs-onnx {called}":
        raise AlcsError(f"{path}: not a {called}")
    if content.get("schema") not in _SCHEMAS[kind]:
        raise AlcsError(
            f"{path}: a {called} of schema {content.get('schema')}, this version reads "
            + ", ".join(map(str, _SCHEMAS[kind]))
        )
    try:
        table = parse(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise AlcsError(f"{path}: a damaged {called} ({reason})") from error
    except AlcsError as error:
        raise AlcsError(f"{path}: {error}") from error
    check_table(table, str(path), model_digest, machine)
    return table


def check_table(
    table: LatencyTable | ChannelTable,
    name: str,
    model_digest: str | None,
    machine: Machine | None,
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
    table = LatencyTable(
        model_digest=_text(content["model_digest"]),
        simd_group=int(content["simd_group"]),
        machine=Machine(**_fields(Machine, content["machine"])),
        tau=_finite(content["tau"]),
        dense=Timing(**_fields(Timing, content["dense"])),
        curves=tuple(
            LayerCurve(
                layer=_text(item["layer"]),
                groups=tuple(int(count) for count in item["groups"]),
                times=tuple(_finite(time) for time in item["times"]),
                dense_time=_number(item["dense_time"]),
            )
            for item in content["curves"]
        ),
        input_shapes=_shapes(content["input_shapes"]),
        left_alone={_text(name): _text(reason) for name, reason in content["left_alone"].items()},
        structure=_text(content["structure"]) if content["schema"] > 1 else "simd",
    )
    Estimator.from_curves(table.tau, table.curves)  # refuses curves that are none
    return table


def _parse_channels(content: Mapping[str, Any]) -> ChannelTable:
    """As `_parse`, a table of channel groups."""
    table = ChannelTable(
        model_digest=_text(content["model_digest"]),
        machine=Machine(**_fields(Machine, content["machine"])),
        dense=Timing(**_fields(Timing, content["dense"])),
        curves=tuple(
            ChannelCurve(
                group=_text(item["group"]),
                kept=tuple(int(count) for count in item["kept"]),
                times_ms=tuple(_finite(time) for time in item["times_ms"]),
                mean=tuple(_finite(time) for time in item["mean"]),
                stddev=tuple(_finite(time) for time in item["stddev"]),
            )
            for item in content["curves"]
        ),
        predicted=bool(content["predicted"]),
        error=None if content["error"] is None else _finite(content["error"]),
        input_shapes=_shapes(content["input_shapes"]),
    )
    _finite(table.dense.median)
    ChannelEstimator.from_table(table)  # refuses curves that are none
    return table


def _fields(kind: type[Machine | Timing], content: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: _converters[str(field.type)](content[field.name]) for field in fields(kind)}


def _shapes(content: Mapping[str, Any]) -> dict[str, Shape]:
    return {_text(name): tuple(int(size) for size in shape) for name, shape in content.items()}


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
