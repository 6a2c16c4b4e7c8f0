"""Where models run while a latency table is measured."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.ort import Feeds
from alcs_onnx.target import Target


@dataclass(frozen=True, eq=False)
class Runner:
    """A target with the threads and the inputs that every model runs with there.

    `threads` are those within an operator; `feeds` of None are reproducible random inputs.
    """

    target: Target
    threads: int = 1
    feeds: Feeds | None = None
