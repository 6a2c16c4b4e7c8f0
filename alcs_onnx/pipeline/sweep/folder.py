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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from alcs_onnx.documents import (
    document,
    plain,
    read_document,
    with_derived,
    write_document,
)
from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.files import check_folder, make_folder
from alcs_onnx.formats import SWEEP_POINT, SWEEP_SETTINGS, Format
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.pipeline.sweep.result import DensePoint, SweepPoint, SweepResult

#: What follows from the fields of a point, written for readers that are not this package.
_DERIVED = ("share", "speedup", "latency", "predicted_ms")


@dataclass(frozen=True)
class _Begun:
    """What `settings.json` holds."""

    format: ClassVar[Format] = SWEEP_SETTINGS

    settings: Mapping[str, object]
    dense: DensePoint


@dataclass(frozen=True)
class _Finished:
    """What the file of a point holds; `result` is that of `optimize`, where there is one."""

    format: ClassVar[Format] = SWEEP_POINT

    settings: Mapping[str, object]
    point: SweepPoint
    result: Mapping[str, object] | None = None


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
        self._settings = json.loads(json.dumps(plain(settings)))
        if not self._file.is_file():
            return None
        begun = read_document(self._file, _Begun)
        told = differences(begun.settings, self._settings)
        if told:
            raise AlcsError(f"{self.path}: the sweep was begun with other settings: {told}")
        return begun.dense

    def begin(self, dense: DensePoint) -> None:
        """Make the folder and write what the sweep is; after `begun` found none."""
        for folder in (self.path / "points", self.path / "plans"):
            make_folder(folder)
        write_document(self._file, _Begun(self._settings, dense))

    def read_point(self, point: str) -> SweepPoint | None:
        """The point if it is finished, with the model that it wrote."""
        path = self._point(point)
        if not path.is_file():
            return None
        finished = read_document(path, _Finished)
        told = differences(finished.settings, self._settings)
        if told:
            raise AlcsError(f"{path}: the point was made with other settings: {told}")
        found = finished.point
        written = found.output is None or (self.path / found.output).is_file()
        return found if written else None

    def write_point(self, name: str, point: SweepPoint, result: OptimizeResult | None) -> None:
        """Finish the point: from here on it is not made again. Its checkpoints are removed."""
        whole = None if result is None else document(result)
        write_document(self._point(name), _Finished(self._settings, point, whole))
        shutil.rmtree(self.checkpoint(name), ignore_errors=True)

    def write_result(self, result: SweepResult) -> None:
        """Write the whole table."""
        points = [
            {**with_derived(point, _DERIVED), "on_front": result.on_frontier(point)}
            for point in result.points
        ]
        write_document(self.path / "sweep.json", result, {**plain(result), "points": points})

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
