"""Targets by the scheme of their text: `local`, or `SCHEME://ADDRESS`. A target is one row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alcs_onnx.errors import TargetError
from alcs_onnx.registry import Registry, Row

if TYPE_CHECKING:
    from alcs_onnx.target.base import Target

#: Scheme -> what makes a target from the whole text, or raises `TargetError`.
SCHEMES: Registry[Callable[[str], Target]] = Registry(
    "target",
    __name__,
    {
        "local": Row("local:LocalTarget.from_url", "this machine"),
    },
    error=TargetError,
)


def get_target(url: str) -> Target:
    """The target that `url` names; raises `TargetError` for one that does not exist."""
    scheme = url.split("://", 1)[0]
    SCHEMES.check(scheme, given=url)
    return SCHEMES[scheme](url)
