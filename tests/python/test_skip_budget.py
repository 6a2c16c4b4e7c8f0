"""Skips that CI does not expect fail, in a run of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import skip_budget

CONFTEST = """
import os
from skip_budget import SkipBudget

def pytest_configure(config):
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(SkipBudget())
"""
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="root may write anywhere")
def test_expected(): ...

@pytest.mark.xfail(reason="not yet")
def test_xfail():
    raise ValueError

@pytest.mark.xfail(run=False, reason="not yet")
def test_xfail_not_run(): ...

def test_passes(): ...
"""
UNEXPECTED = """
import pytest

@pytest.fixture
def compiler():
    pytest.skip("no compiler")

@pytest.mark.skip(reason="no compiler")
def test_mark(): ...

def test_call():
    pytest.skip("no compiler")

def test_fixture(compiler): ...

def test_import():
    pytest.importorskip("not_there", reason="no compiler")

@pytest.mark.skip(reason="no compiler, and root may write anywhere")
def test_longer(): ...
"""
WHOLE_MODULE = """
import pytest

pytest.skip("no compiler", allow_module_level=True)
"""


def run(folder: Path, tests: str, ci: str, *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    helpers = str(Path(skip_budget.__file__).parent)
    variables = {"CI": ci, "PYTHONPATH": helpers, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                 "PYTEST_ADDOPTS": ""}  # fmt: skip  # the outer run's may need plugins
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", *flags],
        cwd=folder,
        env={**os.environ, **variables, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_expected_skips_and_failures_stay(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, "true")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped, 2 xfailed" in done.stdout


@pytest.mark.parametrize("flags", [(), ("-p", "xdist", "-n", "2")], ids=["here", "xdist"])
def test_others_fail_by_name_and_reason(flags: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, UNEXPECTED, "true", *flags)
    assert done.returncode == 1, done.stdout
    for name in ("mark", "call", "fixture", "import"):
        assert f"test_{name} was skipped, and CI does not expect it: no compiler\n" in done.stdout
    assert "test_longer was skipped, and CI does not expect it: no compiler, and" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("flags", [(), ("-p", "xdist", "-n", "2")], ids=["here", "xdist"])
def test_a_whole_module_too(flags: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, WHOLE_MODULE, "true", *flags)
    assert done.returncode != 0
    assert "test_some.py was skipped, and CI does not expect it: no compiler\n" in done.stdout


def test_outside_ci_all_may_be_skipped(tmp_path: Path) -> None:
    done = run(tmp_path, UNEXPECTED, "")
    assert done.returncode == 0, done.stdout
    assert "5 skipped" in done.stdout.splitlines()[-1]


def test_every_expected_reason_says_why() -> None:
    assert all(why and not why.endswith(".") for why in skip_budget.EXPECTED.values())
