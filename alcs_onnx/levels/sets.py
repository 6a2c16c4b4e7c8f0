"""The level sets: {-1, 1}, {-1, 0, 1}, and k bits with 0 in the middle.

k bits are -(2^(k-1) - 1) ... 2^(k-1) - 1, so that pruned weights are a level too.
"""

from __future__ import annotations

from alcs_onnx.types import LevelSet


def _equal_distance(bits: int) -> LevelSet:
    highest = 2 ** (bits - 1) - 1
    return LevelSet(f"{bits}bit", bits, 2 * highest + 1, -highest, 1)


BINARY = LevelSet("binary", 1, 2, -1, 2)
TERNARY = LevelSet("ternary", 2, 3, -1, 1)
BITS_3, BITS_4, BITS_5, BITS_6, BITS_7, BITS_8 = map(_equal_distance, range(3, 9))
