"""The near end of a measuring agent: starts the process, asks it, ends it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

import alcs_onnx.errors
from alcs_onnx.errors import AlcsError, TargetError
from alcs_onnx.ort import Feeds, Samples
from alcs_onnx.target.base import NodeTimes, TensorType

_COMMAND = (sys.executable, "-m", "alcs_onnx.target.agent")
#: Loading a large model takes seconds, a turn of runs too; nothing sane takes longer.
_TIMEOUT_SECONDS = 600.0
_GRACE_SECONDS = 5.0


class Worker:
    """A process that has one model loaded. Use as a context manager, or `close` it.

    Every request raises the agent's own `AlcsError`, or `TargetError` if the process
    died or does not answer.
    """

    def __init__(
        self, command: Sequence[str] = _COMMAND, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self._timeout = timeout_seconds
        # A file and not a pipe: nobody reads it unless the process dies.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        package_root = str(Path(__file__).resolve().parents[2])
        search_path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": search_path},
            )
        except OSError as error:
            self._stderr.close()
            raise TargetError(f"the measuring agent does not start: {error}") from error
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        # Pipes cannot be waited for with a time limit on every system; a thread can.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the agent."""
        return self._process.pid

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request without waiting: `receive` gets the reply."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise TargetError(self._obituary()) from error

    def receive(self) -> dict[str, Any]:
        """The reply to the oldest request not yet answered."""
        try:
            line = self._replies.get(timeout=self._timeout)
        except queue.Empty:
            raise TargetError(
                f"the measuring agent did not answer within {self._timeout:g} s"
            ) from None
        if not line:
            raise TargetError(self._obituary())
        try:
            reply = json.loads(line)
        except ValueError:
            raise TargetError(f"the measuring agent answered with '{line.strip()[:80]}'") from None
        if "error" in reply:
            kind = getattr(alcs_onnx.errors, str(reply["error"]), TargetError)
            raise (kind if issubclass(kind, AlcsError) else TargetError)(str(reply["text"]))
        return dict(reply)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        self.send(request)
        return self.receive()

    def load(
        self,
        model: Path,
        feeds: Feeds | None,
        threads: int,
        *,
        library: bool,
        profile: Path | None,
        lead_in: int,
        pause: float,
    ) -> None:
        """Load the file `model`; the inputs go through a file beside it. None: random ones."""
        stored = model.with_name("feeds.npz")
        if feeds is not None:
            np.savez(stored, *feeds.values())
        self.ask(
            {
                "do": "load",
                "model": str(model),
                "threads": threads,
                "library": library,
                "profile": str(profile) if profile else None,
                "feeds": None if feeds is None else str(stored),
                "inputs": list(feeds or ()),
                "lead_in": lead_in,
                "pause": pause,
            }
        )

    def warm(self, count: int) -> None:
        """Run the model `count` times without recording."""
        self.ask({"do": "warm", "count": count})

    def run(self, count: int) -> Samples:
        """Run the model `count` times; returns the duration of each run (ms)."""
        return np.array(self.ask({"do": "run", "count": count})["ms"])

    def nodes(self) -> NodeTimes:
        """The node times of a model that was loaded with a profile."""
        reply = self.ask({"do": "nodes"})
        reads, writes = (
            {name: TensorType(kind["element"], tuple(kind["shape"])) for name, kind in side.items()}
            for side in (reply["reads"], reply["writes"])
        )
        return NodeTimes(reply["nodes"], reply["op_types"], reads, writes)

    def close(self) -> None:
        """End the process: first by ending its input, then by force. May be repeated."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):  # it died with a request in the pipe
            process.stdin.close()
        for force in (process.terminate, process.kill):
            try:
                process.wait(_GRACE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                force()
        process.wait()
        self._reader.join(_GRACE_SECONDS)
        process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        """Queue the lines of the agent's output, and an empty one at its end."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._replies.put(line)
        self._replies.put("")

    def _obituary(self) -> str:
        """One line about how the process ended, with the last line it wrote."""
        try:
            status = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return "the measuring agent closed its output"
        reason = f"with status {status}"
        if status < 0:
            reason = f"by {signal.Signals(-status).name}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the measuring agent ended {reason}" + (f": {lines[-1][:300]}" if lines else "")
