"""How function bodies rebuild a dense weight [M, C/group, *kernel] from its stored forms.

Only operators of opset 13. What is here is constant in a file, so that a runtime computes it
once, when it loads the file; the packed form is expanded to one byte for each bit of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from alcs_onnx.graph.function_body import FunctionBody
from alcs_onnx.packed_format import MAX_BITS, MAX_INDEX_BITS

GEOMETRY = ("out_channels", "in_channels", "simd_group", "group")
PACKING = ("bits", "index_bits", "stored", "first_level", "level_step")


@dataclass(frozen=True)
class StoredForm:
    """Inputs between X and the bias, integer attributes, and the nodes that rebuild a weight."""

    inputs: tuple[str, ...]
    attributes: tuple[str, ...]
    rebuild: Callable[[FunctionBody], str]


def _spread(body: FunctionBody, groups: Callable[[str], tuple[str, str]], scales: str = "") -> str:
    """The dense weight from its stored groups.

    `groups` gets the name of g as a vector, and gives those of the positions [nnz] and of the
    values [nnz, g]. `scales` [1] or [M] are multiplied with the dense rows.
    """
    m, c, g, group = (body.int_vector(name) for name in GEOMETRY)
    kernel = body.referred("kernel_shape", "value_ints", onnx.AttributeProto.INTS)
    one = body.constant(1)
    channels = body.op("Div", c, group)
    # ReduceProd without axes means the same in every opset, axes attribute or axes input.
    taps = body.op("Reshape", body.op("ReduceProd", kernel, keepdims=1), one)
    columns = body.op("Mul", channels, taps)
    rows = body.op("Div", m, group)
    blocks = body.op("Div", body.op("Add", rows, body.op("Sub", g, one)), g)
    all_blocks = body.op("Mul", blocks, group)
    shape = body.op("Concat", body.op("Mul", all_blocks, columns), g, axis=0)
    empty = body.zeros(shape, np.float32)
    positions, values = groups(g)
    stored = body.op("ScatterND", empty, body.op("Unsqueeze", positions, one), values)
    stored = body.op("Reshape", stored, body.op("Concat", all_blocks, columns, g, axis=0))
    stored = body.op("Transpose", stored, perm=[0, 2, 1])
    padded = body.op("Mul", blocks, g)
    stored = body.op("Reshape", stored, body.op("Concat", group, padded, columns, axis=0))
    stored = body.op("Slice", stored, body.constant(0), rows, one)
    if scales:
        stored = body.op("Reshape", stored, body.op("Concat", m, columns, axis=0))
        stored = body.op("Mul", stored, body.op("Reshape", scales, body.constant(-1, 1)))
    return body.op("Reshape", stored, body.op("Concat", m, channels, kernel, axis=0))


def _plain(body: FunctionBody) -> str:
    """From `values` and `positions`."""

    def groups(g: str) -> tuple[str, str]:
        return body.op("Cast", "positions", to=onnx.TensorProto.INT64), "values"

    return _spread(body, groups)


def _bit_rows(body: FunctionBody, stream: str, count: str, bits: str) -> str:
    """`count` numbers of `bits` bits (at least 1) as uint8 bits [count, bits], the lowest first."""
    column = body.op("Reshape", stream, body.constant(-1, 1))
    places = body.array(np.arange(8, dtype=np.uint8))
    spread = body.op("BitShift", column, places, direction="RIGHT")
    spread = body.op("Mod", spread, body.array(np.array(2, dtype=np.uint8)))
    # Flatten into one column, because a stream of no bytes has no size that the -1 of Reshape could
    # stand for, and because the 0 of a shape then means the 0 rows that there are.
    spread = body.op("Flatten", spread, axis=2)
    end = body.op("Mul", count, bits)
    spread = body.op("Slice", spread, body.constant(0), end, body.constant(0))
    return body.op("Reshape", spread, body.op("Concat", count, bits, axis=0))


def _powers(body: FunctionBody, dtype: type[np.integer], most: int, width: str) -> str:
    """The powers of 2 from 1 on, as a column of `width` rows."""
    powers = body.array(np.array([[2**bit] for bit in range(most)], dtype=dtype))
    return body.op("Slice", powers, body.constant(0), width, body.constant(0))


def _packed(body: FunctionBody) -> str:
    """From `codes`, `gaps` and `scales`."""

    def groups(g: str) -> tuple[str, str]:
        bits, index_bits, stored, first, step = (body.int_vector(name) for name in PACKING)
        one = body.constant(1)
        # Gaps of no bits are read as gaps of one bit, from zeros behind the empty stream.
        width = body.op("Max", index_bits, one)
        missing = body.op("Mul", stored, body.op("Sub", width, index_bits))
        stream = body.op("Concat", "gaps", body.zeros(missing, np.uint8), axis=0)
        rows = body.op("Cast", _bit_rows(body, stream, stored, width), to=onnx.TensorProto.INT64)
        gaps = body.op("MatMul", rows, _powers(body, np.int64, MAX_INDEX_BITS, width))
        steps = body.op("Add", body.op("Reshape", gaps, stored), one)
        ends = body.op("CumSum", steps, body.array(np.array(0, dtype=np.int64)))
        positions = body.op("Sub", ends, one)

        rows = _bit_rows(body, "codes", body.op("Mul", stored, g), bits)
        codes = body.op("MatMulInteger", rows, _powers(body, np.uint8, MAX_BITS, bits))
        codes = body.op("Cast", codes, to=onnx.TensorProto.FLOAT)
        first, step = (body.op("Cast", v, to=onnx.TensorProto.FLOAT) for v in (first, step))
        levels = body.op("Add", body.op("Mul", codes, step), first)
        return positions, body.op("Reshape", levels, body.op("Concat", stored, g, axis=0))

    return _spread(body, groups, scales="scales")


PLAIN = StoredForm(("values", "positions"), GEOMETRY, _plain)
PACKED = StoredForm(("codes", "gaps", "scales"), (*GEOMETRY, *PACKING), _packed)
