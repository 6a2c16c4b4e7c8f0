"""Level sets by name. A quantization is one row here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.registry import Registry, Row

if TYPE_CHECKING:
    from alcs_onnx.types import LevelSet

LEVEL_SETS: Registry[LevelSet] = Registry(
    "quantization",
    __name__,
    {
        "binary": Row("sets:BINARY", "two levels, -1 and 1"),
        "ternary": Row("sets:TERNARY", "three levels, -1, 0 and 1"),
        **{f"{n}bit": Row(f"sets:BITS_{n}", f"{2**n - 1} levels around 0") for n in range(3, 9)},
    },
)


def get_level_set(name: str) -> LevelSet:
    """The levels of that name; raises `AlcsError` for an unknown one."""
    return LEVEL_SETS.named(name)
