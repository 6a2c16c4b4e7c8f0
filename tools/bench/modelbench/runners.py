"""Models ready to be timed in turns, and the multiply-add peak timed as one of them."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from alcs_onnx.errors import TargetError
from alcs_onnx.graph import Model, save_model, serialize
from alcs_onnx.ort import Feeds, Samples, SessionRunner, create_session
from alcs_onnx.target import NodeTimes
from alcs_onnx.target.profile_log import read_profile
from alcs_onnx.target.worker import Worker

#: Recorded runs in a row, after unrecorded ones that bring a model's data back into the caches.
TURN = 4
LEAD_IN = 1
#: Thread pools go on spinning after a run, on cores that the next model needs.
SPIN_SECONDS = 0.06

_ROOT = Path(__file__).resolve().parents[3]
_PEAK_SECONDS = 0.02


class ProfiledSession(SessionRunner):
    """A session of this process that records node times."""

    def nodes(self) -> NodeTimes:
        """Node times over the recorded runs so far; ends the profile."""
        return read_profile(self.session.end_profiling(), self.turns)


class Loader:
    """Loads models in ONNX Runtime: in this process, or each in one of its own.

    Sessions with several threads disturb one another in one process: their pools spin.
    """

    def __init__(self, stack: ExitStack, scratch: Path, own_process: bool, pause: float) -> None:
        self._stack = stack
        self._scratch = scratch
        self._own_process = own_process
        self._pause = pause
        self._count = 0

    def load(
        self, model: Model, feeds: Feeds, threads: int, *, library: bool, profiled: bool = False
    ) -> ProfiledSession | Worker:
        """`model`, ready to run on `feeds`."""
        self._count += 1
        prefix = self._scratch / f"profile{self._count}" if profiled else None
        if not self._own_process:
            session = create_session(serialize(model), threads, library, prefix)
            return ProfiledSession(session, feeds, LEAD_IN, self._pause)
        path = self._scratch / "model.onnx"
        save_model(model, path)
        worker = self._stack.enter_context(Worker())
        worker.load(
            path,
            feeds,
            threads,
            library=library,
            profile=prefix,
            lead_in=LEAD_IN,
            pause=self._pause,
        )
        return worker


class PeakRunner:
    """The multiply-add peak of `threads` threads, measured between the models' turns."""

    def __init__(self, tool: Path, isa: str, threads: int) -> None:
        self._command = [str(tool), isa, str(_PEAK_SECONDS), str(threads)]
        self.rates: list[tuple[float, float]] = []
        self.warm(1)

    def warm(self, count: int) -> None:
        """Nothing needs to be warm; finds out whether the tool runs."""
        self._measure()

    def run(self, count: int) -> Samples:
        """Milliseconds for 1e9 multiply-adds, measured once."""
        self.rates.append(self._measure())
        return np.full(count, 1e3 / self.rates[-1][0])

    def median(self) -> float:
        """1e9 multiply-adds of floats per second."""
        return float(np.median([rate for rate, _ in self.rates]))

    def median_of_bytes(self) -> float:
        """The same of bytes; 0 where the instruction set has no kernels for them."""
        return float(np.median([rate for _, rate in self.rates]))

    def _measure(self) -> tuple[float, float]:
        try:
            done = subprocess.run(self._command, capture_output=True, text=True, check=True)
            floats, integers = map(float, done.stdout.split())
            return floats, integers
        except subprocess.CalledProcessError as error:
            raise TargetError(f"fma_peak: {error.stderr.strip()}") from error
        except (OSError, ValueError) as error:
            raise TargetError(f"fma_peak: {error}") from error


def find_peak_tool() -> Path | None:
    """The newest `fma_peak` that was built in this repository."""
    built = [*_ROOT.glob("build/*/runtime/bench/fma_peak")]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)
