"""The near end of the other engines: which are installed, and models loaded in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alcs_onnx.errors import TargetError
from alcs_onnx.ort import Feeds
from alcs_onnx.target.worker import Worker
from modelbench.engines import ENGINES, Engine

_WORKER = Path(__file__).resolve().parents[1] / "engine_worker.py"


@dataclass(frozen=True)
class Rival:
    """An engine that is installed for `interpreter`."""

    engine: Engine
    interpreter: str
    version: str

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.engine.name} {self.version}"

    def load(
        self,
        model: Path,
        feeds: Feeds,
        threads: int,
        scratch: Path,
        lead_in: int,
        pause: float,
    ) -> tuple[Worker, list[np.ndarray]]:
        """A process with `model` loaded, and what the model answers to `feeds`.

        Raises `TargetError` if the engine does not run the model.
        """
        worker = _start(self.interpreter, self.engine.name)
        stored, outputs = scratch / "feeds.npz", scratch / "outputs.npz"
        np.savez(stored, *feeds.values())
        try:
            worker.ask(
                {
                    "do": "load",
                    "model": str(model),
                    "threads": threads,
                    "feeds": str(stored),
                    "inputs": list(feeds),
                    "outputs": str(outputs),
                    "lead_in": lead_in,
                    "pause": pause,
                }
            )
        except TargetError:
            worker.close()
            raise
        with np.load(outputs) as arrays:
            return worker, [arrays[key] for key in arrays.files]


def variable(engine: Engine) -> str:
    """The environment variable that names the interpreter with `engine`."""
    return f"ALCS_BENCH_{engine.name.upper()}_PYTHON"


def find(names: Sequence[str] | None = None) -> tuple[list[Rival], dict[str, str]]:
    """The engines that are installed, and why the others are not used, by name.

    `names` restricts the search; None asks for all.
    """
    found: list[Rival] = []
    absent: dict[str, str] = {}
    for engine in ENGINES:
        if names is not None and engine.name not in names:
            continue
        interpreter = os.environ.get(variable(engine), sys.executable)
        try:
            with _start(interpreter, engine.name) as worker:
                reply = worker.ask({"do": "about"})
        except TargetError as error:
            reply = {"missing": str(error)}
        if "version" in reply:
            found.append(Rival(engine, interpreter, str(reply["version"])))
        else:
            absent[engine.name] = (
                f"not installed ({reply['missing']}): pip install {engine.package}, "
                f"or name another interpreter in {variable(engine)}"
            )
    return found, absent


def _start(interpreter: str, name: str) -> Worker:
    return Worker([interpreter, str(_WORKER), name])
