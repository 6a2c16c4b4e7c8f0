"""The local target, its measuring processes, and the profiles they read."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timing_models

from alcs_onnx.errors import AlcsError, ModelError, TargetError
from alcs_onnx.target import TensorType, get_target
from alcs_onnx.target import machine as machine_module
from alcs_onnx.target.agent import serve
from alcs_onnx.target.machine import describe
from alcs_onnx.target.profile_log import read_profile
from alcs_onnx.target.worker import Worker


def load_request(path: Path, **changes) -> dict:
    request = {
        "do": "load",
        "model": str(path),
        "threads": 1,
        "library": False,
        "profile": None,
        "feeds": None,
        "lead_in": 1,
        "pause": 0.0,
    }
    return {**request, **changes}


@pytest.fixture
def chain_path(tmp_path):
    path = tmp_path / "chain.onnx"
    path.write_bytes(timing_models.chain())
    return path


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- names of targets


def test_unknown_targets_are_refused_in_one_line():
    with pytest.raises(TargetError, match="'ssh://user@host' is not known: use local"):
        get_target("ssh://user@host")
    with pytest.raises(TargetError, match="'cloud://x' is not known: use local"):
        get_target("cloud://x")
    with pytest.raises(TargetError, match="just 'local'"):
        get_target("local://elsewhere")


# --- the machine


def test_this_machine_is_described(monkeypatch):
    monkeypatch.delenv("ALCS_FORCE_ISA", raising=False)
    machine = get_target("local").machine(3)
    assert machine.threads == 3
    assert machine.cpu
    assert machine.isa in (
        "avx512vnni", "avx512", "avxvnni", "avx2", "neondot", "neon", "scalar",
    )  # fmt: skip
    assert machine.onnxruntime.count(".") == 2
    assert machine.governor


def test_a_forced_instruction_set_is_recorded(monkeypatch):
    monkeypatch.setenv("ALCS_FORCE_ISA", "scalar")
    assert describe(1).isa == "scalar"


def test_a_forced_instruction_set_that_the_library_refuses_is_told(monkeypatch):
    monkeypatch.setenv("ALCS_FORCE_ISA", "sse9")
    with pytest.raises(TargetError, match="ALCS_FORCE_ISA=sse9: the instruction set is unknown"):
        describe(1)


def test_the_recorded_instruction_set_is_the_one_that_runs(monkeypatch):
    """An empty ALCS_FORCE_ISA forces nothing, and a set by the name recorded can be forced."""
    monkeypatch.setenv("ALCS_FORCE_ISA", "")
    best = describe(1).isa
    monkeypatch.setenv("ALCS_FORCE_ISA", best)
    assert describe(1).isa == best


def test_without_a_library_no_instruction_set_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("ALCS_LIBRARY", str(tmp_path / "missing.so"))
    assert describe(1).isa == "unknown"
    (tmp_path / "text.so").write_text("no library")
    monkeypatch.setenv("ALCS_LIBRARY", str(tmp_path / "text.so"))
    assert describe(1).isa == "unknown"
    other = next(Path(np.__file__).parent.rglob("_multiarray_umath*"))
    monkeypatch.setenv("ALCS_LIBRARY", str(other))
    assert describe(1).isa == "unknown"


@pytest.mark.parametrize(
    ("cpuinfo", "arch", "cpu"),
    [
        ("model name : Some CPU\nflags : fma avx2 avx512f", "x86_64", "Some CPU"),
        ("CPU implementer : 0x41\nCPU part : 0xd0b", "aarch64", "Arm implementer 0x41 part 0xd0b"),
        ("Model : Raspberry Pi 5\nCPU part : 0xd0b", "aarch64", "Raspberry Pi 5"),
        (None, "AMD64", None),
        (None, "riscv64", None),
    ],
)
def test_machines_of_other_kinds(cpuinfo, arch, cpu, monkeypatch, tmp_path):
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(f"processor : 0\n{cpuinfo}\n\nprocessor : 1\n")
    monkeypatch.setattr(machine_module, "_CPUINFO", path)
    monkeypatch.setattr(machine_module, "_GOVERNOR", tmp_path / "none")
    monkeypatch.setattr("platform.machine", lambda: arch)
    machine = describe(1)
    assert machine.governor == "unknown"
    assert machine.cpu == cpu if cpu else machine.cpu


def test_the_library_is_identified_by_its_content(monkeypatch, tmp_path):
    path = tmp_path / "lib.so"
    monkeypatch.setenv("ALCS_LIBRARY", str(path))
    assert describe(1).library == "none"
    path.write_bytes(b"one")
    first = describe(1).library
    path.write_bytes(b"two")
    assert first.startswith("lib.so ")
    assert describe(1).library != first


# --- profiles


def event(name, ts, dur, cat="Node", op="Conv", **args):
    args = {"op_name": op, **args}
    return {"cat": cat, "name": name, "ts": ts, "dur": dur, "args": args}


def test_a_profile_is_averaged_over_recorded_runs_without_extremes(tmp_path):
    events = [event("folded_kernel_time", 5, 99)]  # while the session is created
    durations = [900, 10, 500, 11, 13, 12]
    for index, duration in enumerate(durations):
        start = 1000 * (index + 1)
        events += [
            event("a_kernel_time", start + 1, duration),
            event("a_fence_before", start + 1, 7),
            event("loop_kernel_time", start + 920, 1, op="Add"),
            event("loop_kernel_time", start + 925, 2, op="Add"),
            event("model_run", start, 950, cat="Session"),
        ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(events))
    times = read_profile(path, [-1, 1, -1, 3])
    # 10, 11, 13 and 12 us are recorded; the shortest and the longest quarter go.
    assert times.nodes == pytest.approx({"a": 0.0115, "loop": 0.003})
    assert times.op_types == {"a": "Conv", "loop": "Add"}
    assert times.total == pytest.approx(0.0145)


def test_nodes_in_the_body_of_another_count_with_it(tmp_path):
    """The runtime writes a node when it ends, so what is in it comes before."""
    events = [
        event("before_kernel_time", 101, 4),
        event("inner_kernel_time", 107, 3),
        event("deepest_kernel_time", 113, 2),
        event("deep_kernel_time", 112, 5, op="If"),
        event("outer_kernel_time", 105, 15, op="Loop"),
        event("inner_kernel_time", 120, 6),
        event("model_run", 100, 30, cat="Session"),
    ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(events))
    times = read_profile(path, [1])
    assert times.nodes == pytest.approx({"before": 0.004, "outer": 0.015, "inner": 0.006})


def test_a_profile_has_the_first_tensors_of_a_node(tmp_path):
    read = [{"uint8": [1, 8, 8, 3]}, {"float": []}]
    events = [
        event("folded_kernel_time", 5, 9, input_type_shape=read, output_type_shape=read),
        event("a_kernel_time", 101, 4, input_type_shape=read, output_type_shape=[{"float": [2]}]),
        event("b_kernel_time", 106, 4, input_type_shape=[]),
        event("model_run", 100, 30, cat="Session"),
    ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(events))
    times = read_profile(path, [1])
    assert times.reads == {"a": TensorType("uint8", (1, 8, 8, 3))}
    assert times.writes == {"a": TensorType("float", (2,))}


def test_a_profile_of_other_runs_or_no_profile_is_refused(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps([event("model_run", 1, 5, cat="Session")]))
    with pytest.raises(TargetError, match="has 1 runs instead of 3"):
        read_profile(path, [-1, 2])
    path.write_text('[{"cat": "Node",')
    with pytest.raises(TargetError, match="cannot be read"):
        read_profile(path, [1])


# --- the local target


@pytest.mark.parametrize("threads", [1, 2])
def test_models_are_timed(threads):
    models = [timing_models.chain(side=8), timing_models.chain(side=64)]
    samples = get_target("local").time(
        models, threads=threads, iterations=9, warmup=1, library=False
    )
    assert [row.shape for row in samples] == [(9,), (9,)]
    assert all((row > 0).all() and (row < 1e4).all() for row in samples)


@pytest.mark.parametrize("threads", [1, 2])
def test_nodes_are_timed(threads):
    models = [timing_models.chain(2), timing_models.chain(4)]
    times = get_target("local").node_times(
        models, threads=threads, iterations=8, warmup=1, library=False
    )
    assert [list(item.profile.nodes) for item in times] == [
        ["n0", "n1"],
        ["n0", "n1", "n2", "n3"],
    ]
    for item in times:
        assert set(item.profile.op_types.values()) == {"Sigmoid"}
        tensor = TensorType("float", (1, 4, 32, 32))
        assert set(item.profile.reads.values()) == set(item.profile.writes.values()) == {tensor}
        assert item.wall.shape == (8,)
        assert 0 < item.profile.total < 1e4


@pytest.mark.parametrize("threads", [1, 2])
def test_given_feeds_are_used(threads):
    target = get_target("local")
    feeds = {"t0": np.zeros((1, 4, 32, 32), np.float32)}
    model = timing_models.chain()
    assert target.time([model], threads=threads, iterations=1, feeds=feeds, library=False)
    wrong = {"t0": np.zeros((1, 4, 1, 1), np.float32)}
    with pytest.raises(AlcsError, match="does not run on this input"):
        target.time([model], threads=threads, iterations=1, feeds=wrong, library=False)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bad_model_is_the_models_fault_wherever_it_runs(threads):
    models = [timing_models.chain(), timing_models.unknown_operator()]
    with pytest.raises(ModelError, match="NoSuchOperator"):
        get_target("local").time(models, threads=threads, library=False)


def test_nothing_stays_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    target = get_target("local")
    target.node_times([timing_models.chain()], iterations=2, library=False)
    with pytest.raises(ModelError):
        target.node_times([timing_models.unknown_operator()], threads=2, library=False)
    assert list(tmp_path.iterdir()) == []


# --- the measuring process


def test_a_worker_ends_when_closed_and_when_its_input_ends(chain_path):
    with Worker() as worker:
        worker.ask(load_request(chain_path))
        worker.warm(2)
        assert worker.run(3).shape == (3,)
        assert alive(worker.pid)
    assert not alive(worker.pid)
    worker.close()  # again is fine


def test_a_worker_whose_parent_vanishes_ends(tmp_path):
    parent = (
        "import os\n"
        "from alcs_onnx.target.worker import Worker\n"
        "worker = Worker()\n"
        "worker.ask({'do': 'machine', 'threads': 1})\n"
        "print(worker.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    import subprocess

    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, cwd=root, timeout=60
    )
    pid = int(done.stdout)
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not alive(pid) or (state.exists() and state.read_text().split(") ")[1][0] == "Z"):
            return
        time.sleep(0.1)
    pytest.fail("the measuring process outlives its parent")


def test_a_crashed_worker_is_reported_and_leaves_nothing(chain_path):
    with Worker() as worker:
        worker.ask(load_request(chain_path))
        os.kill(worker.pid, 9)
        with pytest.raises(TargetError, match="ended by SIGKILL"):
            worker.run(1)
    assert not alive(worker.pid)


def test_the_last_words_of_a_worker_are_reported():
    script = "import sys; sys.stderr.write('first\\nlast words\\n'); sys.exit(3)"
    refused = pytest.raises(TargetError, match="ended with status 3: last words")
    with Worker([sys.executable, "-c", script]) as worker, refused:
        worker.ask({"do": "machine", "threads": 1})


def test_a_silent_worker_is_given_up_and_stopped(monkeypatch):
    monkeypatch.setattr("alcs_onnx.target.worker._GRACE_SECONDS", 0.2)
    script = "import time; time.sleep(600)"
    refused = pytest.raises(TargetError, match=r"did not answer within 0\.2 s")
    with Worker([sys.executable, "-c", script], timeout_seconds=0.2) as worker, refused:
        worker.ask({"do": "machine", "threads": 1})
    assert not alive(worker.pid)


def test_a_worker_that_talks_nonsense_is_refused():
    refused = pytest.raises(TargetError, match="answered with 'hello'")
    with Worker([sys.executable, "-c", "print('hello')"]) as worker, refused:
        worker.receive()


def test_a_worker_that_cannot_start_is_reported(tmp_path):
    with pytest.raises(TargetError, match="does not start"):
        Worker([str(tmp_path / "no-such-program")])


def test_a_worker_answers_errors_and_goes_on(chain_path, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(timing_models.unknown_operator())
    with Worker() as worker:
        with pytest.raises(TargetError, match="has no model loaded"):
            worker.run(1)
        with pytest.raises(ModelError, match="NoSuchOperator"):
            worker.ask(load_request(bad))
        with pytest.raises(TargetError, match="does not know the request 'dance'"):
            worker.ask({"do": "dance"})
        with pytest.raises(TargetError, match="KeyError"):
            worker.ask({"do": "load"})
        worker.ask(load_request(chain_path, profile=str(tmp_path / "p")))
        worker.warm(1)
        worker.run(2)
        assert list(worker.nodes().nodes) == ["n0", "n1", "n2"]


def test_the_agent_describes_its_machine_line_by_line():
    replies = io.StringIO()
    serve(io.StringIO('{"do": "machine", "threads": 2}\nnot json\n'), replies)
    first, second = replies.getvalue().splitlines()
    assert json.loads(first)["machine"]["threads"] == 2
    assert json.loads(second)["error"] == "TargetError"


def test_native_output_does_not_disturb_the_replies():
    script = (
        "import os, sys, json\n"
        "from alcs_onnx.target import agent\n"
        "serve = agent.serve\n"
        "def noisy(requests, replies):\n"
        "    os.write(1, b'printed by native code')\n"
        "    serve(requests, replies)\n"
        "agent.serve = noisy\n"
        "agent.main()\n"
    )
    with Worker([sys.executable, "-c", script]) as worker:
        assert "machine" in worker.ask({"do": "machine", "threads": 1})
