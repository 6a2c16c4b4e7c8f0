"""What the tests of inspections share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from graph_helpers import conv_weight, model, op, store

#: Sizes of inputs that files of the shared models leave open.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {"ppocrv4_det": {"x": (1, 3, 224, 224)}}

SHARED_MODELS = (
    "FastestDet",
    "efficientnet-lite0",
    "efficientnet-lite0_legacy",
    "mobilenetv2",
    "open-nsfw",
    "ppocrv4_det",
    "resnet20_cifar",
    "superresolution",
    "yolox_common_det",
    "yunet_n_640",
)


def shared_model(shared: Path, name: str) -> tuple[Path, dict[str, tuple[int, ...]]]:
    """A shared file, and the input shapes that it needs."""
    return shared / "models" / f"{name}.onnx", SHAPES.get(name, {})


def hostile_model(tmp_path: Path) -> Path:
    """A file whose nodes have names that a terminal or a page must not act on."""
    names = ["[red]conv[/red]", "a\nb\x1b[31m", "</script>:smile:", '"; drop'] * 3
    nodes, source = [], "x"
    for index, name in enumerate(names):
        nodes.append(op("Conv", f"{source} w{index}", f"t{index}", f"{name}{index}"))
        source = f"t{index}"
    rng = np.random.default_rng(0)
    weights = {f"w{index}": conv_weight(rng, 3, 3, 1, 1) for index in range(len(names))}
    return store(model(nodes, weights, outputs=source), tmp_path)
