"""Which convolutions have an activation that rounding may stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from graph_helpers import conv_weight, op
from rewrite_helpers import load

from alcs_onnx.pipeline.common.mixed import clipped_convs


def test_activations_in_front_of_a_sum_are_known(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        op("Conv", "x w", "a", "activated"),
        op("Relu", "a", "r"),
        op("Conv", "x v", "b", "plain"),
        op("Add", "r b", "s"),
        op("Conv", "s u", "y", "last"),
    ]
    weights = {name: conv_weight(rng, 8, 8, 1, 1) for name in "wvu"}
    assert clipped_convs(load(tmp_path, nodes, weights)) == {"activated"}
