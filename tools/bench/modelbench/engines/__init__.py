"""The other engines. Each is a file here and a row in `ENGINES`, nothing else.

They run in a process of their own (`engine_worker.py`), maybe under another interpreter with
other packages: nothing here imports more than numpy before an engine is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from modelbench.engines.deepsparse import DeepSparse
from modelbench.engines.litert import LiteRt
from modelbench.engines.openvino import OpenVino

Feeds = dict[str, np.ndarray]
#: Runs the model once and returns its outputs.
Run = Callable[[], list[np.ndarray]]


class Engine(Protocol):
    """What an adapter offers."""

    #: As in the table, and in ALCS_BENCH_<NAME>_PYTHON.
    name: str
    #: What pip installs it from.
    package: str
    #: Whether zeros among the weights make it faster: it is then timed on pruned files too.
    uses_zeros: bool

    def version(self) -> str:
        """Its version; raises ImportError where it is not installed."""
        ...

    def load(self, path: str, feeds: Feeds, threads: int) -> Run:
        """Load an ONNX file, for these inputs."""
        ...


ENGINES: tuple[Engine, ...] = (OpenVino(), DeepSparse(), LiteRt())
