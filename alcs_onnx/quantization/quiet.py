"""The runtime's quantizer prints, logs and warns; what is of use of that is raised instead."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import numpy as np


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing written to the console, and the root logger as it was afterwards."""
    root = logging.getLogger()
    handler = logging.NullHandler()  # without any, the first message would install one for good
    disabled = logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(handler)
