"""Under CI a test is skipped only for a reason that CI expects; any other skip fails."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest

#: What CI may lack: the whole reason of a skip, as a regular expression, and why it stays.
EXPECTED = {
    r"root may (write|read) any(where|thing)": "containers run the tests as root",
    r"no shared models at .+; set ALCS_SHARED": "the models are no part of the repository",
}


class SkipBudget:
    """A plugin for pytest: turns every skip that is not `EXPECTED` into a failure.

    A skip becomes a failure where it happens, so that processes of pytest-xdist tell it too.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Of a test, or of what is made ready for it."""
        report = yield
        if not hasattr(report, "wasxfail"):
            _refuse(report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Of a whole module."""
        report = yield
        _refuse(report)
        return report


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if any(re.fullmatch(pattern, reason, re.DOTALL) for pattern in EXPECTED):
        return
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid} was skipped, and CI does not expect it: {reason}\n"
        f"Provide what it needs, or add the reason to EXPECTED in {__name__}.py."
    )
