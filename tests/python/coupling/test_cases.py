"""Small models of kinds that used to be frozen without need, or that stopped the analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coupling_helpers import assert_shrinks, conv_share

from alcs_onnx.graph import load_model

#: The beginning of a file's name, and the least share of channels of convolutions that can go.
CASES = {
    "frozen_CBAM": 0.95,
    "frozen_attention": 1.0,
    "frozen_because_four_convs_share": 0.7,
    "frozen_einsum": 1.0,
    "frozen_groupnorm": 1.0,
    "frozen_layernorm2d": 1.0,
    "k01_nms": 0.5,
    "k02_slice_int32": 1.0,
    "k09_bn_beta": 1.0,
    "silently_static_batch_times_groups": 0.5,
}


@pytest.mark.parametrize("name", CASES)
def test_case(shared: Path, name: str, rng: np.random.Generator) -> None:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no shared models at {folder}; set ALCS_SHARED")
    (path,) = folder.glob(f"{name}*.onnx")
    model = load_model(path)
    analysed, _ = assert_shrinks(model, rng)
    share, reasons = conv_share(model, analysed)
    assert share >= CASES[name], reasons
    assert all("'" in reason for reason in reasons.values())
