"""Settings of training that are refused."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

from alcs_onnx.errors import AlcsError
from alcs_onnx.train import TrainConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rho": 0}, "rho must be positive"), ({"lr": float("nan")}, "lr must be positive"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\)"),
        ({"distill": 2}, r"distill must be in"), ({"admm_epochs": -1}, "must not be negative"),
        ({"dual_init": "one"}, "'one' is not one of paper, scaled, zero"),
        ({"nesterov": True, "momentum": 0}, "nesterov needs a momentum"),
        ({"batch_size": 0}, "batch_size must be positive"),
    ],
)  # fmt: skip
def test_settings_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AlcsError, match=message):
        TrainConfig(**changes)
