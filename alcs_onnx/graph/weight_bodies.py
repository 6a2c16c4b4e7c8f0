"""How function bodies rebuild a dense weight [M, C/group, *kernel] from its stored forms.

What the nodes read is constant in a file, so that a runtime computes it once, when it loads the
file; the packed form is expanded to one byte for each bit of it. They mean the same in every opset
from 12 on: ReduceProd is without axes, and Reshape does the work of Squeeze and Unsqueeze. It does
so where nothing is stored, too: -1 stands beside sizes that are never 0, and a 0 among them means
the 0 that there is.
"""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.packed_format import MAX_BITS, MAX_INDEX_BITS

GEOMETRY = ("out_channels", "in_channels", "simd_group", "group")
PACKING = ("bits", "index_bits", "stored", "first_level", "level_step")

_CONSTANTS = """
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  rest = Constant <value_ints = [-1]> ()
  as_column = Constant <value_ints = [-1, 1]> ()
  kernel = Constant <value_ints: ints = @kernel_shape> ()
"""

#: `indices` from `positions`.
_POSITIONS = """
  wide_positions = Cast <to = 7> (positions)
  indices = Reshape (wide_positions, as_column)
"""


def _powers(count: int) -> str:
    """A tensor of the powers of 2 from 1 on, as a column."""
    return f"[{count}, 1] {{{', '.join(str(2**bit) for bit in range(count))}}}"


#: `count` numbers of `width` bits (at least 1) out of a stream of bytes, as uint8 bits
#: [count, width], the lowest first.
_BIT_ROWS = """
  {stream}_bytes = Reshape ({stream}, as_column)
  {stream}_shifted = BitShift <direction = "RIGHT"> ({stream}_bytes, bit_places)
  {stream}_bits = Mod ({stream}_shifted, two)
  {stream}_all = Reshape ({stream}_bits, rest)
  {stream}_end = Mul ({count}, {width})
  {stream}_kept = Slice ({stream}_all, zero, {stream}_end)
  {stream}_shape = Concat <axis = 0> ({count}, {width})
  {stream}_rows = Reshape ({stream}_kept, {stream}_shape)
"""

#: `indices` from `gaps`. Gaps of no bits are read as gaps of one bit, from zeros behind the
#: empty stream.
_GAPS = f"""
  bit_places = Constant <value = uint8[8] {{0, 1, 2, 3, 4, 5, 6, 7}}> ()
  two = Constant <value = uint8 {{2}}> ()
  gap_bits = Max (index_bits, one)
  bits_missing = Sub (gap_bits, index_bits)
  missing = Mul (stored, bits_missing)
  zero_bytes = ConstantOfShape <value = uint8[1] {{0}}> (missing)
  padded_gaps = Concat <axis = 0> (gaps, zero_bytes)
{_BIT_ROWS.format(stream="padded_gaps", count="stored", width="gap_bits")}
  gap_rows = Cast <to = 7> (padded_gaps_rows)
  all_gap_powers = Constant <value = int64{_powers(MAX_INDEX_BITS)}> ()
  gap_powers = Slice (all_gap_powers, zero, gap_bits)
  left_out = MatMul (gap_rows, gap_powers)
  steps = Add (left_out, one)
  first_axis = Constant <value_int = 0> ()
  ends = CumSum (steps, first_axis)
  indices = Sub (ends, one)
"""

#: `values` from `codes`.
_CODES = f"""
  code_count = Mul (stored, simd_group)
{_BIT_ROWS.format(stream="codes", count="code_count", width="bits")}
  all_code_powers = Constant <value = uint8{_powers(MAX_BITS)}> ()
  code_powers = Slice (all_code_powers, zero, bits)
  small_numbers = MatMulInteger (codes_rows, code_powers)
  numbers = Cast <to = 1> (small_numbers)
  step = Cast <to = 1> (level_step)
  first = Cast <to = 1> (first_level)
  stepped = Mul (numbers, step)
  levels = Add (stepped, first)
  values_shape = Concat <axis = 0> (stored, simd_group)
  values = Reshape (levels, values_shape)
"""

#: `unpadded` [group, M/group, columns] from the `values` [nnz, g] at the `indices` [nnz, 1].
_SPREAD = """
  channels = Div (in_channels, group)
  taps = ReduceProd (kernel)
  columns = Mul (channels, taps)
  rows = Div (out_channels, group)
  above = Sub (simd_group, one)
  rows_above = Add (rows, above)
  blocks = Div (rows_above, simd_group)
  all_blocks = Mul (blocks, group)
  all_groups = Mul (all_blocks, columns)
  groups_shape = Concat <axis = 0> (all_groups, simd_group)
  empty = ConstantOfShape (groups_shape)
  groups = ScatterND (empty, indices, values)
  blocks_shape = Concat <axis = 0> (all_blocks, columns, simd_group)
  across = Reshape (groups, blocks_shape)
  down = Transpose <perm = [0, 2, 1]> (across)
  padded_shape = Concat <axis = 0> (group, rest, columns)
  padded = Reshape (down, padded_shape)
  unpadded = Slice (padded, zero, rows, one)
  weight_shape = Concat <axis = 0> (out_channels, rest, kernel)
"""

#: Each of `scales` is that of an output channel, or the only one is that of all.
_SCALED = """
  matrix_shape = Concat <axis = 0> (out_channels, columns)
  matrix = Reshape (unpadded, matrix_shape)
  scale_column = Reshape (scales, as_column)
  scaled = Mul (matrix, scale_column)
  weight = Reshape (scaled, weight_shape)
"""

_UNSCALED = """
  weight = Reshape (unpadded, weight_shape)
"""


@dataclass(frozen=True)
class StoredForm:
    """How weights are stored: inputs between X and the bias, and integer attributes.

    `rebuild` are nodes that make `weight` of the inputs and of each attribute as a vector of one.
    """

    inputs: tuple[str, ...]
    attributes: tuple[str, ...]
    rebuild: str

    @property
    def nodes(self) -> str:
        """The nodes for `weight` [M, C/group, *kernel]."""
        vectors = (
            f"""
  {name}_scalar = Constant <value_int: int = @{name}> ()
  {name} = Reshape ({name}_scalar, one)"""
            for name in self.attributes
        )
        return "".join((_CONSTANTS, *vectors, self.rebuild))


PLAIN = StoredForm(("values", "positions"), GEOMETRY, _POSITIONS + _SPREAD + _UNSCALED)
PACKED = StoredForm(
    ("codes", "gaps", "scales"), (*GEOMETRY, *PACKING), _GAPS + _CODES + _SPREAD + _SCALED
)
