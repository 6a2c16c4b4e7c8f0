"""The other engines. Each is a file here and an entry of `ENGINES`, nothing else.

They run in a process of their own (`engine_worker.py`), maybe under another interpreter with
other packages: nothing here imports more than numpy before an engine is asked for.
"""

from __future__ import annotations

from modelbench.engines.api import Engine
from modelbench.engines.deepsparse import DeepSparse
from modelbench.engines.openvino import OpenVino

ENGINES: tuple[Engine, ...] = (OpenVino(), DeepSparse())

__all__ = ["ENGINES", "Engine"]
