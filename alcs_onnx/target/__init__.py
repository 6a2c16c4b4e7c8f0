"""Where a model is timed. A target is named by text: `local`, later `ssh://user@host`."""

from __future__ import annotations

from collections.abc import Callable

from alcs_onnx.errors import TargetError
from alcs_onnx.target.base import ModelTimes, NodeTimes, Target
from alcs_onnx.target.local import LocalTarget

__all__ = ["SCHEMES", "ModelTimes", "NodeTimes", "Target", "get_target"]

#: URL scheme -> what makes a target from the whole text. THE registration of targets.
SCHEMES: dict[str, Callable[[str], Target]] = {"local": LocalTarget.from_url}


def get_target(url: str) -> Target:
    """The target that `url` names; raises `TargetError` for one that does not exist."""
    scheme = url.split("://", 1)[0]
    known = ", ".join(sorted(SCHEMES))
    if scheme == "ssh":
        raise TargetError(f"target '{url}': measuring over ssh is not supported yet, use {known}")
    if scheme not in SCHEMES:
        raise TargetError(f"target '{url}' is not known: use {known}")
    return SCHEMES[scheme](url)
