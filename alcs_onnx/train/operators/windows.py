"""Padding arithmetic that convolutions and pooling share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alcs_onnx.train.operators.registry import Build
from alcs_onnx.types import Shape

#: (begin, end) padding of each spatial axis.
Pads = tuple[tuple[int, int], ...]


def padding(
    build: Build, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Callable[[Shape], Pads]:
    """Padding of a window operator as a function of the input's spatial shape.

    `auto_pad` SAME_* makes the output ceil(input / stride) (ONNX operator reference).
    """
    mode = build.text("auto_pad", "NOTSET")
    rank = len(kernel)
    if mode in ("NOTSET", "VALID"):
        flat = build.ints("pads", (0,) * (2 * rank)) if mode == "NOTSET" else (0,) * (2 * rank)
        fixed = tuple(zip(flat[:rank], flat[rank:], strict=True))
        return lambda _shape: fixed
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise build.unsupported(f"auto_pad '{mode}'")

    def same(shape: Shape) -> Pads:
        pads = []
        for size, k, s, d in zip(shape, kernel, strides, dilations, strict=True):
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if mode == "SAME_UPPER" else (large, small))
        return tuple(pads)

    return same


def is_symmetric(pads: Pads) -> bool:
    """Whether every axis is padded alike on both sides."""
    return all(begin == end for begin, end in pads)


def torch_order(pads: Pads) -> list[int]:
    """Padding as `torch.nn.functional.pad` wants it: last axis first."""
    return [amount for pair in reversed(pads) for amount in pair]
