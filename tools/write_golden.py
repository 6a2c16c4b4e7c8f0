"""Write tests/golden/{sparse,packed}_weights.txt, the weight formats' contract in numbers.

Both the Python and the C++ tests read them. Everything is spelled out by plain loops here,
independently of `alcs_onnx.sparse_format` and `packed_format`, and all numbers are small
integers, so that every result is exact. Per case of the first: the dense weight, its stored
form, one input and the convolution's output with bias. Per case of the second: the dense levels,
four times the scales, the streams of bytes, and what they stand for, the positions and four times
the values. A case is a line `case NAME`, then lines `key number ...`;
cases are separated by an empty line.

    python tools/write_golden.py
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

Ints = list[int]
#: What a case holds, by key.
Case = dict[str, Any]

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"


def stored_form(dense: Ints, shape: Ints, group: int, g: int, keep_all: bool) -> tuple[Ints, Ints]:
    """Positions and values, group by group: block*K + column, strictly increasing."""
    rows, columns = shape[0] // group, prod(shape[1:])
    positions: Ints = []
    values: Ints = []
    block = 0
    for conv_group in range(group):
        for first in range(0, rows, g):
            for column in range(columns):
                lanes = [
                    dense[(conv_group * rows + first + lane) * columns + column]
                    if first + lane < rows
                    else 0
                    for lane in range(g)
                ]
                if keep_all or any(lanes):
                    positions.append(block * columns + column)
                    values += lanes
            block += 1
    return positions, values


def convolve(
    x: Ints,
    x_shape: Ints,
    dense: Ints,
    shape: Ints,
    bias: Ints,
    group: int,
    strides: Ints,
    pads: Ints,
    dilations: Ints,
) -> tuple[Ints, Ints]:
    """Plain convolution of one image, any number of spatial dimensions."""
    spatial, kernel = x_shape[2:], shape[2:]
    n = len(kernel)
    out = [
        (spatial[d] + pads[d] + pads[d + n] - dilations[d] * (kernel[d] - 1) - 1) // strides[d] + 1
        for d in range(n)
    ]
    rows, inner, columns = shape[0] // group, shape[1], prod(shape[1:])
    result = []
    for m in range(shape[0]):
        for place in itertools.product(*map(range, out)):
            total = bias[m]
            for c in range(inner):
                for tap in itertools.product(*map(range, kernel)):
                    at = [place[d] * strides[d] + tap[d] * dilations[d] - pads[d] for d in range(n)]
                    if not all(0 <= at[d] < spatial[d] for d in range(n)):
                        continue
                    index = (m // rows) * inner + c
                    tap_index = c
                    for d in range(n):
                        index = index * spatial[d] + at[d]
                        tap_index = tap_index * kernel[d] + tap[d]
                    total += x[index] * dense[m * columns + tap_index]
            result.append(total)
    return [1, shape[0], *out], result


def case(
    name: str,
    shape: Ints,
    group: int,
    g: int,
    x_spatial: Ints,
    zeros: float,
    *,
    strides: Ints | None = None,
    pads: Ints | None = None,
    dilations: Ints | None = None,
    keep_all: bool = False,
) -> Case:
    rng = random.Random(name)
    n = len(x_spatial)
    strides, dilations = strides or [1] * n, dilations or [1] * n
    pads = pads or [0] * 2 * n
    columns, rows = prod(shape[1:]), shape[0] // group
    dense = [rng.choice([-3, -2, -1, 1, 2, 3]) for _ in range(prod(shape))]
    for m in range(shape[0]):
        for column in range(columns):
            block = ((m // rows) * 31 + (m % rows) // g) * 1009 + column
            if random.Random(f"{name} {block}").random() < zeros:
                dense[m * columns + column] = 0
    positions, values = stored_form(dense, shape, group, g, keep_all)
    x_shape = [1, shape[1] * group, *x_spatial]
    x = [rng.randint(-4, 4) for _ in range(prod(x_shape))]
    bias = [rng.randint(-5, 5) for _ in range(shape[0])]
    y_shape, y = convolve(x, x_shape, dense, shape, bias, group, strides, pads, dilations)
    return {
        "name": name, "weight_shape": shape, "group": group, "simd_group": g,
        "strides": strides, "pads": pads, "dilations": dilations,
        "all_zero_groups_dropped": not keep_all,
        "positions": positions, "values": values, "dense": dense, "bias": bias,
        "x_shape": x_shape, "x": x, "y_shape": y_shape, "y": y,
    }  # fmt: skip


def packed_case(
    name: str,
    shape: Ints,
    group: int,
    g: int,
    kept: Ints,
    codebook: tuple[int, int, int, int],
    *,
    per_channel: bool = False,
) -> Case:
    """Levels in the groups at positions `kept`, and their packed form at the best index bits."""
    rng = random.Random(name)
    bits, count, first, step = codebook
    zero = -first // step if first % step == 0 else None
    rows, columns = shape[0] // group, prod(shape[1:])
    levels = [0] * prod(shape)
    scales = [rng.randint(1, 9) for _ in range(shape[0] if per_channel else 1)]
    codes_of: dict[int, Ints] = {}
    values = []
    for position in kept:
        block, column = divmod(position, columns)
        conv_group, inner = divmod(block, -(-rows // g))
        codes_of[position] = []
        for row in range(inner * g, inner * g + g):
            code = zero or 0
            if row < rows:
                channel = conv_group * rows + row
                code = rng.choice([c for c in range(count) if c != zero])
                levels[channel * columns + column] = first + step * code
                values.append((first + step * code) * scales[channel if per_channel else 0])
            else:
                values.append(0)
            codes_of[position].append(code)
    best: tuple[int, int, int, Ints, Ints] | None = None
    for index_bits in range(12):
        gaps: Ints = []
        codes: list[int | None] = []
        at = -1
        for position in kept:
            while position - at - 1 >= 2**index_bits:
                at += 2**index_bits
                gaps.append(2**index_bits - 1)
                codes += [zero] * g
            gaps.append(position - at - 1)
            codes += codes_of[position]
            at = position
        size = len(codes) * bits + len(gaps) * index_bits
        known = [code for code in codes if code is not None]
        if len(known) == len(codes) and (best is None or (size, len(gaps)) < best[:2]):
            best = (size, len(gaps), index_bits, gaps, known)
    assert best is not None
    _, stored, index_bits, gaps, stored_codes = best
    return {
        "name": name, "weight_shape": shape, "group": group, "simd_group": g,
        "bits": bits, "count": count, "first_level": first, "level_step": step,
        "index_bits": index_bits, "stored": stored,
        "codes": stream(stored_codes, bits), "gaps": stream(gaps, index_bits),
        "levels": levels, "scales_times_4": scales, "positions": list(kept),
        "values_times_4": values,
    }  # fmt: skip


def stream(numbers: Ints, bits: int) -> Ints:
    """Number i in bits [i * bits, (i + 1) * bits), bit b of the stream in byte b // 8."""
    found = [0] * -(-len(numbers) * bits // 8)
    for i, number in enumerate(numbers):
        for bit in range(bits):
            place = i * bits + bit
            found[place // 8] |= (number >> bit & 1) << place % 8
    return found


def main() -> None:
    write("sparse_weights.txt", convolutions())
    write("packed_weights.txt", packings())


def write(name: str, cases: Sequence[Case]) -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / name).write_text("\n".join(text(row) for row in cases))


def packings() -> list[Case]:
    binary, ternary, three, five, eight = (
        (1, 2, -1, 2), (2, 3, -1, 1), (3, 7, -3, 1), (5, 31, -15, 1), (8, 255, -127, 1),
    )  # fmt: skip
    return [
        packed_case("dummies bridge a far gap", [2, 128, 1, 1], 1, 2, [*range(1, 60, 2), 63, 127],
                    three),
        packed_case("binary has no dummies", [4, 9, 1], 1, 4, [1, 2, 8], binary),
        packed_case("every group, no index", [4, 3, 1, 1], 1, 4, [0, 1, 2], binary),
        packed_case("last block padded, scale of each channel", [6, 4, 1, 1], 1, 4,
                    [0, 2, 3, 5, 7], ternary, per_channel=True),
        packed_case("binary, padded", [3, 4, 1], 1, 2, [0, 5, 6], binary, per_channel=True),
        packed_case("two conv groups, each padded", [10, 2, 3, 1], 2, 4,
                    [0, 1, 4, 7, 9, 11, 12, 17, 20, 22], five, per_channel=True),
        packed_case("one weight to a group, 8 bits", [3, 2, 3, 3], 1, 1,
                    [5, 6, 17, 30, 31, 53], eight),
        packed_case("nothing stored", [4, 2, 1, 1], 1, 4, [], three),
    ]  # fmt: skip


def convolutions() -> list[Case]:
    return [
        case("plain 3x3, groups of 4", [8, 3, 3, 3], 1, 4, [5, 5], 0.5, pads=[1, 1, 1, 1]),
        case("last block padded", [6, 4, 1, 1], 1, 4, [3, 4], 0.4),
        case("two conv groups, each padded", [10, 2, 3, 1], 2, 4, [6, 3], 0.5, pads=[1, 0, 1, 0]),
        case("depthwise, all stored", [4, 1, 3, 3], 4, 1, [6, 5], 0.3, strides=[2, 2],
             pads=[1, 1, 1, 1], keep_all=True),
        case("one-dimensional, dilated", [8, 2, 3], 1, 8, [9], 0.5, pads=[2, 1], dilations=[2]),
        case("asymmetric strides and pads", [8, 2, 2, 3], 1, 2, [6, 7], 0.6, strides=[2, 1],
             pads=[0, 1, 1, 2]),
        case("nothing stored", [4, 2, 1, 1], 1, 4, [2, 2], 1.0),
    ]  # fmt: skip


def text(row: Case) -> str:
    """One case: its name, then a line `key number number ...` for everything else."""
    lines = [f"case {row.pop('name')}\n"]
    for key, value in row.items():
        numbers = value if isinstance(value, list) else [int(value)]
        lines.append(" ".join([key, *map(str, numbers)]) + "\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
