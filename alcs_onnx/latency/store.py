"""Latency tables, of layers and of channel groups, as JSON files."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from alcs_onnx.documents import read_document, write_document
from alcs_onnx.errors import AlcsError
from alcs_onnx.latency.contributions import ChannelEstimator
from alcs_onnx.latency.estimator import Estimator
from alcs_onnx.types import ChannelTable, LatencyTable, Machine

#: What must agree for a table to say anything about a machine.
_SAME = ("cpu", "isa", "threads")


def save_table(table: LatencyTable | ChannelTable, path: Path) -> None:
    """Write `table` to `path`, complete or not at all; raises `OutputError` if it cannot."""
    write_document(path, table)


def load_table(
    path: Path, model_digest: str | None = None, machine: Machine | None = None
) -> LatencyTable:
    """Read a table; raises `AlcsError` if it is not a valid one.

    With `model_digest` and `machine` it must also have been measured on them: `check_table`.
    """
    table = read_document(path, LatencyTable)
    try:
        _check_times(table, "tau", table.tau)
        Estimator.from_curves(table.tau, table.curves)  # refuses curves that are none
    except AlcsError as error:
        raise AlcsError(f"{path}: {error}") from error
    check_table(table, str(path), model_digest, machine)
    return table


def load_channel_table(
    path: Path, model_digest: str | None = None, machine: Machine | None = None
) -> ChannelTable:
    """Read a table of channel groups, as `load_table` does one of layers."""
    table = read_document(path, ChannelTable)
    try:
        _check_times(table, "dense.median", table.dense.median)
        for curve in table.curves:
            _check_times(table, f"curve of '{curve.group}'", *curve.mean, *curve.stddev)
        ChannelEstimator.from_table(table)  # refuses curves that are none
    except AlcsError as error:
        raise AlcsError(f"{path}: {error}") from error
    check_table(table, str(path), model_digest, machine)
    return table


def _check_times(table: LatencyTable | ChannelTable, name: str, *times: float) -> None:
    """Refuse null, which is read as NaN, where an estimate needs a time."""
    if not all(map(isfinite, times)):
        raise AlcsError(f"damaged {table.format.name} ({name}: null is not a time)")


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
