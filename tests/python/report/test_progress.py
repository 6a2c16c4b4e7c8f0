"""What a log says of a long run, by a clock that the test moves."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from alcs_onnx.report.console import err
from alcs_onnx.report.progress import LOG_SECONDS, LogReporter, TerminalReporter, duration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (40, "40 s"),
        (89, "89 s"),
        (91, "2 min"),
        (3600, "60 min"),
        (7700, "2 h 10 min"),
        (7200, "2 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration(seconds) == text


def test_a_log_says_how_far_a_long_phase_is_and_nothing_of_a_short_one(capsys):
    clock = Clock()
    reporter = LogReporter(clock)
    for step in range(11):
        reporter.phase("building", step / 10)
        clock.now += LOG_SECONDS / 20
    assert capsys.readouterr().err == ""
    for step in range(11):
        reporter.phase("measuring channel groups", step / 10)
        clock.now += LOG_SECONDS * 0.6
    lines = capsys.readouterr().err.splitlines()
    left = [(20, "2 min"), (40, "72 s"), (60, "48 s"), (80, "24 s")]
    assert lines == [f"measuring channel groups: {p} %, {time} left" for p, time in left]


def test_a_log_says_how_long_the_epochs_of_a_stage_will_take(capsys):
    clock = Clock()
    reporter = LogReporter(clock)
    for epoch in (1, 2, 3):
        reporter.start(f"ADMM {epoch}/3", 4, left=3 - epoch)
        for _ in range(4):
            clock.now += LOG_SECONDS
            reporter.advance(0.5)
        reporter.finish(f"ADMM {epoch}/3 done")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"ADMM 1/3, loss 0.5000: 25 %, {duration(3 * LOG_SECONDS)} left"
    ends = [line for line in lines if "done" in line]
    assert ends == [
        f"ADMM 1/3 done  ({duration(8 * LOG_SECONDS)} left)",
        f"ADMM 2/3 done  ({duration(4 * LOG_SECONDS)} left)",
        "ADMM 3/3 done",
    ]


def test_another_stage_is_timed_anew(capsys):
    clock = Clock()
    reporter = LogReporter(clock)
    for title, seconds in (("ADMM 1/2", 1000.0), ("fine-tuning 1/3", 10.0)):
        reporter.start(title, None, left=2)
        clock.now += seconds
        reporter.finish(title)
    assert capsys.readouterr().err.splitlines()[-1] == "fine-tuning 1/3  (20 s left)"


def test_bars_of_a_terminal_come_and_go():
    clock = Clock()
    with Progress(console=err, disable=True) as bars:
        reporter = TerminalReporter(bars, clock)
        reporter.phase("measuring", 0.5)
        assert [task.description for task in bars.tasks] == ["measuring"]
        reporter.phase("measuring", 1.0)
        assert not bars.tasks
        reporter.phase("measuring", 0.1)
        reporter.start("ADMM 1/1", 3)
        reporter.advance(0.25)
        assert [task.completed for task in bars.tasks] == [1]
        reporter.finish("ADMM 1/1 done")
        assert not bars.tasks
