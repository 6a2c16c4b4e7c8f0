"""What an adapter of another engine offers, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
#: Inputs by name.
Feeds = dict[str, Array]
Outputs = list[Array]
#: Runs the model once on the inputs it was loaded for.
Run = Callable[[], Outputs]


class Engine(Protocol):
    """Another engine; made without importing it."""

    @property
    def name(self) -> str:
        """As in the tables, and in ALCS_BENCH_<NAME>_PYTHON."""
        ...

    @property
    def package(self) -> str:
        """What pip installs it from."""
        ...

    @property
    def uses_zeros(self) -> bool:
        """Whether zeros among the weights make it faster: it then gets pruned files too."""
        ...

    def version(self) -> str:
        """Its version; raises ImportError where it is not installed."""
        ...

    def load(self, path: str, feeds: Feeds, threads: int) -> Run:
        """Load an ONNX file, to be run on these inputs."""
        ...
