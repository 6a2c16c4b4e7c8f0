"""Functions of the user's, named as `module:function`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError, DataError


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """`DataError` that says `what` failed, for anything that code of the user's raises inside."""
    try:
        yield
    except AlcsError:
        raise
    except Exception as error:  # user code may raise anything
        raise DataError(f"{what} failed: {type(error).__name__}: {error}") from error


def users_function(spec: str) -> Any:
    """What `module:function` names; the current folder is importable. Raises whatever that does."""
    module, _, name = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return getattr(importlib.import_module(module), name)
