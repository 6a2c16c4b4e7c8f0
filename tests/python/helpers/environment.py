"""What the environment says is there: runtimes and emulators that CI fetches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def environment_path(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    path = Path(value)
    assert path.exists(), f"{variable}={value} does not exist"
    return path
