"""The files that the Makefile names are there: pytest runs nothing at all where one is not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_quick_tests_are_files_that_are_there() -> None:
    command = ["make", "-n", "-s", "test-quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    named = re.findall(r"tests/python/[\w/.]+", done.stdout)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
