"""The process in which another engine runs: `python engine_worker.py NAME`.

Runs under the interpreter that has the engine, which may be an old one without the packages of
this project. One JSON request per line of standard input, one JSON line as the answer:

    {"do": "about"}                                  -> {"version": ...} or {"missing": why}
    {"do": "load", "model": path, "threads": n, "feeds": .npz of the inputs by position,
     "inputs": [their names], "outputs": .npz to write, "lead_in": n, "pause": seconds} -> {}
    {"do": "warm", "count": n}                       -> {}
    {"do": "run", "count": n}                        -> {"ms": [...]}

A failure is answered with {"error": class name, "text": one line}.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

import numpy as np
from modelbench.engines import ENGINES
from modelbench.engines.api import Engine, Run

#: Runs at most per sample, on a machine that interrupts them.
ATTEMPTS = 4


class Server:
    """Answers requests about one engine and the one model it has loaded."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run_once: Run | None = None
        self.lead_in = 0
        self.pause = 0.0
        self.threads = 1

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what `request` says."""
        answer: dict[str, Any] = getattr(self, "do_" + request["do"])(request)
        return answer

    def do_about(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"version": self.engine.version()}
        except ImportError as error:
            return {"missing": one_line(error)}

    def do_load(self, request: dict[str, Any]) -> dict[str, Any]:
        with np.load(request["feeds"]) as stored:
            keys = zip(request["inputs"], stored.files)  # noqa: B905 - Python 3.9 has no strict
            feeds = {name: stored[key] for name, key in keys}
        self.run_once = self.engine.load(request["model"], feeds, request["threads"])
        self.lead_in, self.pause = request["lead_in"], request["pause"]
        self.threads = request["threads"]
        np.savez(request["outputs"], *self.run_once())
        return {}

    def do_warm(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.run_once is not None, "no model is loaded"
        for _ in range(request["count"]):
            self.run_once()
        return {}

    def do_run(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.run_once is not None, "no model is loaded"
        time.sleep(self.pause)
        self.do_warm({"count": self.lead_in})
        return {"ms": timed_runs(self.run_once, request["count"], self.threads)}


def timed_runs(run_once: Run, count: int, threads: int) -> list[float]:
    """Milliseconds of `count` runs, under the rules that ONNX Runtime is timed by.

    Time during which the system gave the processor to something else does not count. An
    interrupted run of one thread counts with the processor time that all of the process had, if
    that is less. One of several threads is repeated, up to `ATTEMPTS` runs per sample; where
    that is not enough, the shortest of those stand in.
    """
    clean: list[float] = []
    interrupted: list[float] = []
    attempts = count if threads == 1 else count * ATTEMPTS
    while len(clean) < count and len(clean) + len(interrupted) < attempts:
        before, processor = preemptions(), time.process_time_ns()
        start = time.perf_counter_ns()
        run_once()
        wall = time.perf_counter_ns() - start
        processor = time.process_time_ns() - processor
        if preemptions() == before:
            clean.append(wall / 1e6)
        else:
            interrupted.append((min(wall, processor) if threads == 1 else wall) / 1e6)
    return clean + sorted(interrupted)[: count - len(clean)]


def preemptions() -> int:
    """How often this process had the processor taken away."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def serve(engine: Engine, requests: Iterable[str], replies: TextIO) -> None:
    """Answer requests until there are no more."""
    server = Server(engine)
    for line in requests:
        try:
            reply = server.answer(json.loads(line))
        except Exception as error:  # told to the other end, which goes on without this engine
            text = f"{type(error).__name__}: {one_line(error)}"
            reply = {"error": "TargetError", "text": text}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def main() -> None:
    """Serve on the standard streams, where nothing but replies may be written."""
    engine = next(engine for engine in ENGINES if engine.name == sys.argv[1])
    # Engines print banners: give them the error stream.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with replies:
        serve(engine, sys.stdin, replies)


if __name__ == "__main__":
    main()
