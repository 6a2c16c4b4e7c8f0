"""Codebooks by name. A quantization is one row here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.registry import Registry, Row

if TYPE_CHECKING:
    from alcs_onnx.types import Codebook

CODEBOOKS: Registry[Codebook] = Registry(
    "quantization",
    __name__,
    {
        "binary": Row("books:BINARY", "two levels, -1 and 1"),
        "ternary": Row("books:TERNARY", "three levels, -1, 0 and 1"),
        **{f"{n}bit": Row(f"books:BITS_{n}", f"{2**n - 1} levels around 0") for n in range(3, 9)},
    },
)


def get_codebook(name: str) -> Codebook:
    """The codebook of that name; raises `AlcsError` for an unknown one."""
    return CODEBOOKS.named(name)
