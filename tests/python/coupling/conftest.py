"""Each graph of these tests is pruned at random, and proved against the masked dense model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coupling_helpers import Prove, Proved, prove_graph
from zoo.builder import Builder


@pytest.fixture
def prove(tmp_path: Path, rng: np.random.Generator) -> Prove:
    """Load what a builder has built, with the outputs that are named, and prove it."""

    def proved(b: Builder, *outputs: str, share: float = 0.3) -> Proved:
        return prove_graph(b, tmp_path, rng, *outputs, share=share)

    return proved
