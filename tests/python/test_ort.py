"""Sessions and timing in ONNX Runtime."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import reporters
import timing_models

from alcs_onnx import ort
from alcs_onnx.errors import AlcsError, DataError, ModelError, TargetError
from alcs_onnx.feeds import make_feeds


@pytest.fixture
def session():
    return ort.create_session(timing_models.chain(), library=False)


def test_a_session_describes_its_values_and_runs(session):
    assert session.inputs == (ort.Value("t0", "tensor(float)", (1, 4, 32, 32)),)
    x = np.linspace(-3, 3, 4096, dtype=np.float32).reshape(1, 4, 32, 32)
    expected: Any = x
    for _ in range(3):
        expected = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(ort.run(session, {"t0": x})["t3"], expected, rtol=1e-5)


def test_a_model_is_loaded_from_a_path(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(timing_models.chain())
    assert ort.create_session(path, library=False).outputs[0].name == "t3"


def test_an_old_runtime_is_refused_with_both_versions(monkeypatch):
    monkeypatch.setattr(ort, "runtime_version", lambda: "1.17.3")
    with pytest.raises(TargetError, match=r"1\.17\.3 is too old.* 1\.18 or newer"):
        ort.check_runtime()
    for version in ("1.18.0", "1.31.1", "2.0.0"):
        monkeypatch.setattr(ort, "runtime_version", lambda found=version: found)
        ort.check_runtime()


def test_a_missing_library_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("ALCS_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(TargetError, match=r"ALCS_LIBRARY=.*none\.so: no such file"):
        ort.create_session(timing_models.chain())


def test_the_environment_names_the_library(monkeypatch, tmp_path):
    path = tmp_path / "lib.so"
    path.write_bytes(b"")
    monkeypatch.setenv("ALCS_LIBRARY", str(path))
    assert ort.get_library_path() == path


def test_a_file_that_is_no_library_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "broken.so"
    path.write_bytes(b"not a library")
    monkeypatch.setenv("ALCS_LIBRARY", str(path))
    with pytest.raises(TargetError, match=r"^broken\.so does not load in ONNX Runtime \d") as info:
        ort.create_session(timing_models.chain())
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("model", "text"),
    [(b"not a model", "refuses the model"), (timing_models.unknown_operator(), "NoSuchOperator")],
)
def test_a_bad_model_is_refused_in_one_line(model, text):
    with pytest.raises(ModelError, match=text) as info:
        ort.create_session(model, library=False)
    assert "\n" not in str(info.value)
    assert "[ONNXRuntimeError]" not in str(info.value)


def test_an_element_type_without_a_kernel_is_told():
    from onnx import parser

    text = """<ir_version: 8, opset_import: ["": 17]>
    g (double[1,1,4,4] x, double[1,1,1,1] w) => (double[1,1,4,4] y) { y = Conv(x, w) }"""
    model = parser.parse_model(text).SerializeToString()
    with pytest.raises(TargetError, match=r"Conv.*no kernel for .* the element type there"):
        ort.create_session(model, library=False)


def test_a_missing_file_and_no_threads_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        ort.create_session(tmp_path / "none.onnx", library=False)
    with pytest.raises(TargetError, match="0 threads"):
        ort.create_session(timing_models.chain(), threads=0, library=False)


@pytest.mark.parametrize(
    "feeds", [{}, {"t0": np.zeros((2, 2), np.float32)}, {"wrong": np.zeros(1, np.float32)}]
)
def test_feeds_that_do_not_fit_are_refused(session, feeds):
    with pytest.raises(DataError, match="does not run on this input"):
        session.run(feeds)


class Recorder:
    """A runner that writes down when it ran."""

    def __init__(self, name, log, milliseconds=1.0):
        self.name, self.log, self.milliseconds = name, log, milliseconds

    def warm(self, count):
        self.log.append((self.name, -count))

    def run(self, count):
        assert not gc.isenabled()
        self.log.append((self.name, count))
        return np.full(count, self.milliseconds)


def test_models_take_turns_after_all_are_warm():
    log: list[Any] = []
    told = reporters.Recorder()
    samples = ort.interleave([Recorder("a", log), Recorder("b", log)], 5, 2, turn=2, reporter=told)
    turns = [(name, count) for count in (2, 2, 1) for name in "ab"]
    assert log == [("a", -2), ("b", -2), *turns]
    assert [len(row) for row in samples] == [5, 5]
    assert told.fractions == [0.4, 0.8, 1.0]
    assert gc.isenabled()


def test_runs_go_on_for_the_least_duration():
    samples = ort.interleave([Recorder("a", [], 2.0), Recorder("b", [], 4.0)], 3, 0, 0.03)
    assert sum(row.sum() for row in samples) == pytest.approx(60, abs=6)
    assert len(samples[0]) == len(samples[1]) == 10


def test_zero_iterations_are_refused():
    with pytest.raises(AlcsError, match="0 iterations"):
        ort.interleave([], 0, 1)


def test_real_sessions_are_timed_in_rotation(session):
    other = ort.create_session(timing_models.chain(side=8), library=False)
    runners = [ort.SessionRunner(each, make_feeds(each).feeds) for each in (session, other)]
    samples = ort.interleave(runners, iterations=7, warmup=1)
    assert [row.shape for row in samples] == [(7,), (7,)]
    assert all((row > 0).all() for row in samples)


def test_a_runner_knows_which_runs_were_recorded(session):
    runner = ort.SessionRunner(session, make_feeds(session).feeds, lead_in=2)
    runner.warm(3)
    runner.run(4)
    assert runner.turns[:3] == [-1, -3, -2]
    assert runner.turns.count(1) == 4  # the rest was interrupted by the system


@pytest.fixture
def two_threads():
    session = ort.create_session(timing_models.chain(), threads=2, library=False)
    return ort.SessionRunner(session, make_feeds(session).feeds)


def test_an_interrupted_run_of_one_thread_counts_with_its_processor_time(session, monkeypatch):
    runner = ort.SessionRunner(session, make_feeds(session).feeds)
    times = iter([(10, 9, True), (5000, 11, False), (12, 11, True)])
    monkeypatch.setattr(runner, "_timed_run", lambda: next(times))
    assert runner.run(3) == pytest.approx([10e-6, 11e-6, 12e-6])
    assert runner.turns[2:] == [1, 1, 1]


def test_interrupted_runs_of_more_threads_are_repeated(two_threads, monkeypatch):
    times = iter([(5000, 1, False), (10, 1, True), (900, 1, False), (12, 1, True)])
    monkeypatch.setattr(two_threads, "_timed_run", lambda: next(times))
    assert two_threads.run(2) == pytest.approx([10e-6, 12e-6])
    assert two_threads.turns[2:] == [-1, 1, -1, 1]


def test_the_shortest_stand_in_where_every_run_is_interrupted(two_threads, monkeypatch):
    walls = iter([90, 30, 80, 70, 20, 60, 50, 40])
    monkeypatch.setattr(two_threads, "_timed_run", lambda: (next(walls), 1, False))
    assert two_threads.run(2) == pytest.approx([30e-6, 20e-6])
    assert two_threads.turns[2:] == [-1, 1, -1, -1, 1, -1, -1, -1]


def test_a_run_knows_whether_it_was_interrupted(two_threads, monkeypatch):
    readings = iter([4, 4, 4, 5])
    monkeypatch.setattr(ort, "_preemptions", lambda: next(readings))
    (wall, processor, clean), (_, _, later) = two_threads._timed_run(), two_threads._timed_run()
    assert (clean, later) == (True, False)
    assert wall > 0
    assert processor > 0
