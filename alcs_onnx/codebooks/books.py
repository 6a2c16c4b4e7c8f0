"""The codebooks: {-1, 1}, {-1, 0, 1}, and k bits with 0 in the middle.

k bits are -(2^(k-1) - 1) ... 2^(k-1) - 1, so that pruned weights are a level too.
"""

from __future__ import annotations

from alcs_onnx.types import Codebook


def _equal_distance(bits: int) -> Codebook:
    highest = 2 ** (bits - 1) - 1
    return Codebook(f"{bits}bit", bits, 2 * highest + 1, -highest, 1)


BINARY = Codebook("binary", 1, 2, -1, 2)
TERNARY = Codebook("ternary", 2, 3, -1, 1)
BITS_3, BITS_4, BITS_5, BITS_6, BITS_7, BITS_8 = map(_equal_distance, range(3, 9))
