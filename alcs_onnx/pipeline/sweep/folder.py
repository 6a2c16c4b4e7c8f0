"""The folder of a sweep: all that it needs to be interrupted and to go on.

    settings.json           what was asked for and the dense model; written when the sweep begins
    tables/                 latency tables, measured once
    checkpoints/POINT/      plans and training states of the point in progress
    plans/POINT.json        the plan of a finished point
    points/POINT.json       its result; written last, so that a point has one or is not finished
    MODEL-POINT.onnx        its model
    sweep.json              the table, when all points are finished

POINT is the method and the budget, as in `simd-60%`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.files import (
    check_folder,
    document,
    make_folder,
    to_jsonable,
    with_derived,
    write_json,
)
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.pipeline.sweep.result import DensePoint, SweepPoint, SweepResult
from alcs_onnx.types import Machine, Timing

#: Of all the files' layouts; files of another one are refused.
SCHEMA = 1
_SWEEP, _POINT = "alcs-onnx sweep", "alcs-onnx sweep point"
_SETTINGS = "alcs-onnx sweep settings"
#: What follows from the fields of a point, written for readers that are not this package.
_DERIVED = ("share", "speedup", "latency", "predicted_ms")


class SweepFolder:
    """The files of one sweep of the model file `model`."""

    def __init__(self, path: Path, model: Path) -> None:
        self.path = path
        self._stem = model.stem
        self._settings: Any = None

    @property
    def tables(self) -> Path:
        """Where latency tables are kept."""
        return self.path / "tables"

    def output(self, point: str) -> Path:
        """The model of a point."""
        return self.path / f"{self._stem}-{point}.onnx"

    def plan(self, point: str) -> Path:
        """The pruning plan of a point."""
        return self.path / "plans" / f"{point}.json"

    def checkpoint(self, point: str) -> Path:
        """The folder of the point's training states."""
        return self.path / "checkpoints" / point

    def check(self, *, resume: bool) -> None:
        """Raise `AlcsError` for a folder that no sweep can begin in, or go on in.

        Without `resume` it has to be empty or not there. Changes nothing.
        """
        check_folder(self.path)
        if self._file.is_file() and resume:
            return
        # Hidden files are no results: among them what a kill left of a file being written.
        found = [x for x in self._entries() if not x.name.startswith(".")]
        if found and resume:
            raise AlcsError(f"{self.path}: there is no sweep to resume, but other files")
        if found:
            hint = "--resume goes on with the sweep in it, or " if self._file.is_file() else ""
            raise OutputError(f"{self.path}: the folder is not empty; {hint}name another folder")

    def begun(self, settings: Mapping[str, Any]) -> DensePoint | None:
        """The dense model of the sweep that has begun here, None where none has.

        Raises `AlcsError` that names what differs when that has other settings.
        """
        self._settings = json.loads(json.dumps(to_jsonable(settings)))
        if not self._file.is_file():
            return None
        content = _read(self._file, _SETTINGS)
        told = differences(_entry(self._file, content, "settings"), self._settings)
        if told:
            raise AlcsError(f"{self.path}: the sweep was begun with other settings: {told}")
        try:
            return _dense(content["dense"])
        except (KeyError, TypeError, ValueError) as error:
            raise AlcsError(f"{self._file}: damaged ({error!r})") from error

    def begin(self, dense: DensePoint) -> None:
        """Make the folder and write what the sweep is; after `begun` found none."""
        for folder in (self.path / "points", self.path / "plans"):
            make_folder(folder)
        content = {"settings": self._settings, "dense": dense}
        write_json(self._file, document(_SETTINGS, SCHEMA, content))

    def read_point(self, point: str) -> SweepPoint | None:
        """The point if it is finished, with the model that it wrote."""
        path = self._point(point)
        if not path.is_file():
            return None
        content = _read(path, _POINT)
        told = differences(_entry(path, content, "settings"), self._settings)
        if told:
            raise AlcsError(f"{path}: the point was made with other settings: {told}")
        try:
            found = _sweep_point(content["point"])
        except (KeyError, TypeError, ValueError) as error:
            raise AlcsError(f"{path}: damaged ({error!r})") from error
        written = found.output is None or (self.path / found.output).is_file()
        return found if written else None

    def write_point(self, name: str, point: SweepPoint, result: OptimizeResult | None) -> None:
        """Finish the point: from here on it is not made again. Its checkpoints are removed."""
        content = {"settings": self._settings, "point": point, "result": result}
        write_json(self._point(name), document(_POINT, SCHEMA, content))
        shutil.rmtree(self.checkpoint(name), ignore_errors=True)

    def write_result(self, result: SweepResult) -> None:
        """Write the whole table."""
        content = document(_SWEEP, SCHEMA, result)
        content["points"] = [
            {**with_derived(point, _DERIVED), "on_front": result.on_front(point)}
            for point in result.points
        ]
        write_json(self.path / "sweep.json", content)

    @property
    def _file(self) -> Path:
        return self.path / "settings.json"

    def _point(self, point: str) -> Path:
        return self.path / "points" / f"{point}.json"

    def _entries(self) -> list[Path]:
        try:
            return list(self.path.iterdir()) if self.path.is_dir() else []
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror or error}") from error


def differences(before: Any, now: Any) -> str:
    """What differs between two settings, by dotted name; empty where nothing does."""
    old, new = _flat(before), _flat(now)
    told = [
        f"{key} was {_text(old, key)}, is now {_text(new, key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, _MISSING) != new.get(key, _MISSING)
    ]
    more = f", and {len(told) - 3} more" if len(told) > 3 else ""
    return "; ".join(told[:3]) + more


_MISSING = object()


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{name}.{key}" if name else key)
    return flat


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if value is None:
        return "not given"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _read(path: Path, kind: str) -> dict[str, Any]:
    """The content of a JSON file of this kind; raises `AlcsError` for any other."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AlcsError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise AlcsError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise AlcsError(f"{path}: not a file of the kind '{kind}' that this version writes")
    if content.get("schema") != SCHEMA:
        raise AlcsError(f"{path}: schema {content.get('schema')}, this version reads {SCHEMA}")
    return content


def _entry(path: Path, content: Mapping[str, Any], name: str) -> Any:
    if name not in content:
        raise AlcsError(f"{path}: damaged ('{name}' is missing)")
    return content[name]


def _timing(content: Any) -> Timing | None:
    return None if content is None else Timing(**content)


def _dense(content: Mapping[str, Any]) -> DensePoint:
    machine = content["machine"]
    # The load of a machine that does not tell is NaN, which JSON does not have.
    load = float("nan") if machine["load"] is None else machine["load"]
    return DensePoint(
        **{
            **content,
            "timing": Timing(**content["timing"]),
            "machine": Machine(**{**machine, "load": load}),
        }
    )


def _sweep_point(content: Mapping[str, Any]) -> SweepPoint:
    known = {field.name: content[field.name] for field in fields(SweepPoint)}
    timings = {name: _timing(content[name]) for name in ("dense", "measured")}
    return SweepPoint(**{**known, **timings})
