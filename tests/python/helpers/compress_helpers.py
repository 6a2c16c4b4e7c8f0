"""Short runs of `compress` and `compare-structures` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alcs_onnx.cli import main

QUICK = ["--iterations", "5", "--warmup", "1", "--train-threads", "1"]
#: Too short to learn anything.
SCHEDULE = ["--admm-epochs", "1", "--finetune-epochs", "1"]
SCHEDULE += ["--lr", "0.01", "--finetune-lr", "0.002"]


def compress(network: Path, images: Path, output: Path, *flags: str) -> dict[str, Any]:
    """The result of a run that must succeed, read from its JSON file."""
    result = output.with_suffix(".json")
    arguments = ["compress", network, "--data", images, "-o", output, "--export-json", result]
    assert main([str(x) for x in [*arguments, *QUICK, *SCHEDULE, *flags]]) == 0
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rounds as they are repeated by another run: all but the time that their epochs took."""
    return [
        {**tried, "epochs": [{**epoch, "seconds": 0.0} for epoch in tried["epochs"]]}
        for tried in history
    ]
