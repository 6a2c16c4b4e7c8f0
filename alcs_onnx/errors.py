"""Every error a user can cause, each ending up as one line on the command line.

`AlcsError.exit_status` is the process exit status of the command line: 2 for bad input
or usage, 1 for a latency budget that was not met.
"""

from __future__ import annotations


class AlcsError(Exception):
    """Base of all errors that are the input's fault rather than a defect of the tool."""

    exit_status: int = 2


class ModelError(AlcsError):
    """The model file cannot be read, is not valid ONNX, or lacks what is needed."""


class UnsupportedError(AlcsError):
    """The model is valid but uses something the requested stage cannot handle."""


class DataError(AlcsError):
    """Training or evaluation data is missing, malformed or does not fit the model."""


class DivergedError(AlcsError):
    """Training diverged: a search may undo the step, a user has to change the settings."""


class TargetError(AlcsError):
    """The device cannot be reached, or its runtime or library is unsuitable."""


class OutputError(AlcsError):
    """A result cannot be written where the user asked for it."""


class BudgetError(AlcsError):
    """The latency budget cannot be reached, or was missed by the measured model."""

    exit_status = 1
