"""What the tests of inspections share."""

from __future__ import annotations

from pathlib import Path

#: Sizes of inputs that files of the shared models leave open.
SHAPES = {"ppocrv4_det": {"x": (1, 3, 224, 224)}}

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
