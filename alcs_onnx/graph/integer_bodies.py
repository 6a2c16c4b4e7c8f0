"""The ONNX function bodies of our operators on integers.

A convolution is ConvInteger and, each rounded by itself to float32, the steps by which the engine
makes bytes of its sums (`alcs/quantized_conv.h`):

    v = float(sum + bias) * (x_scale * w_scale / y_scale)
    v = v + float(residual - residual_zero_point) * (residual_scale / y_scale)
    v = clip(max(v, slope * v), low / y_scale, high / y_scale)
    y = clip(round(v) + y_zero_point, 0, 255)                       ties to even

which is QLinearConv's rule where there is neither residual nor activation, ties included. ONNX
Runtime's products of signed weights overflow 16 bits on CPUs without dot products, those of
unsigned ones never: the weights are given to it with a zero point of 128.

Channels that only fill the last word are 0 here; no reader may depend on what they are.
"""

from __future__ import annotations

from alcs_onnx.graph.weight_bodies import GEOMETRY, StoredForm

_CONSTANTS = """
  none = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  two = Constant <value_ints = [2]> ()
  three = Constant <value_ints = [3]> ()
  four = Constant <value_ints = [4]> ()
  rest = Constant <value_ints = [-1]> ()
  as_column = Constant <value_ints = [-1, 1]> ()
"""


def _vectors(names: tuple[str, ...]) -> str:
    """Integer attributes as vectors of one."""
    return "".join(
        f"""
  {name}_scalar = Constant <value_int: int = @{name}> ()
  {name} = Reshape ({name}_scalar, one)"""
        for name in names
    )


def _words(name: str, channels: str) -> str:
    """`{name}`: how many words hold `channels`."""
    return f"""
  {name}_above = Add ({channels}, three)
  {name} = Div ({name}_above, four)"""


def _to_planes(y: str, x: str, channels: str) -> str:
    """`y` [N, channels, pixels], and `y`_spatial, its sizes, of `x` [N, words, *spatial, 4]."""
    return f"""
  {y}_shape = Shape ({x})
  {y}_batch = Slice ({y}_shape, none, one)
  {y}_words = Slice ({y}_shape, one, two)
  {y}_spatial = Slice ({y}_shape, two, rest)
  {y}_pixels = ReduceProd ({y}_spatial)
  {y}_word_shape = Concat <axis = 0> ({y}_batch, {y}_words, {y}_pixels, four)
  {y}_by_word = Reshape ({x}, {y}_word_shape)
  {y}_by_channel = Transpose <perm = [0, 1, 3, 2]> ({y}_by_word)
  {y}_filled = Mul ({y}_words, four)
  {y}_plane_shape = Concat <axis = 0> ({y}_batch, {y}_filled, {y}_pixels)
  {y}_planes = Reshape ({y}_by_channel, {y}_plane_shape)
  {y} = Slice ({y}_planes, none, {channels}, one)
"""


def _to_words(x: str, channels: str) -> str:
    """`Y` [N, words, *spatial, 4] of bytes `x` [N, channels, pixels]; sizes by `_sizes`."""
    return f"""{_words("all_words", channels)}
  all_channels = Mul (all_words, four)
  missing = Sub (all_channels, {channels})
  fill_shape = Concat <axis = 0> (batch, missing, pixels)
  fill = ConstantOfShape <value = uint8[1] {{0}}> (fill_shape)
  planes = Concat <axis = 1> ({x}, fill)
  by_channel_shape = Concat <axis = 0> (batch, all_words, four, pixels)
  by_channel = Reshape (planes, by_channel_shape)
  by_word = Transpose <perm = [0, 1, 3, 2]> (by_channel)
  words_shape = Concat <axis = 0> (batch, all_words, spatial, four)
  Y = Reshape (by_word, words_shape)
"""


def _sizes(tensor: str, channels: str) -> str:
    """`batch`, `spatial`, `pixels` of a tensor [N, channels, *spatial], and it as `flat`."""
    return f"""
  shape = Shape ({tensor})
  batch = Slice (shape, none, one)
  rank = Shape (shape)
  spatial = Slice (shape, two, rank)
  pixels = ReduceProd (spatial)
  flat_shape = Concat <axis = 0> (batch, {channels}, pixels)
  flat = Reshape ({tensor}, flat_shape)
"""


PACK_NODES = "".join(
    (_CONSTANTS, _vectors(("channels",)), _sizes("X", "channels"), _to_words("flat", "channels"))
)

UNPACK_NODES = f"""{_CONSTANTS}{_vectors(("channels",))}{_to_planes("x", "X", "channels")}
  plane_shape = Concat <axis = 0> (x_batch, channels, x_spatial)
  Y = Reshape (x, plane_shape)
"""

POOL_NODES = f"""{_CONSTANTS}{_to_planes("x", "X", "x_filled")}
  image_shape = Concat <axis = 0> (x_batch, x_filled, x_spatial)
  image = Reshape (x, image_shape)
  pooled = MaxPool <kernel_shape: ints = @kernel_shape, strides: ints = @strides,
    pads: ints = @pads> (image)
{_sizes("pooled", "x_filled")}{_to_words("flat", "x_filled")}"""

#: `weight` uint8 [M, C/group, *kernel] with the zero point `weight_zero`, from `values` [nnz, g,
#: bytes] at `positions` [nnz]. `bytes` are 1 in a depthwise convolution, whose groups are words.
_WEIGHT = f"""
  kernel = Constant <value_ints: ints = @kernel_shape> ()
  taps = ReduceProd (kernel)
  values_shape = Shape (values)
  bytes = Slice (values_shape, two, three)
  group_bytes = Mul (group, bytes)
{_words("word_groups", "group_bytes")}
{_words("out_words", "out_channels")}
{_words("in_words", "in_channels")}
  filled = Mul (out_words, four)
  rows = Div (filled, word_groups)
  rows_less = Sub (rows, one)
  rows_above = Add (rows_less, simd_group)
  blocks_each = Div (rows_above, simd_group)
  blocks = Mul (blocks_each, word_groups)
  words_each = Div (in_words, word_groups)
  columns = Mul (words_each, taps)
  all_cells = Mul (blocks, columns)
  cells_shape = Concat <axis = 0> (all_cells, simd_group, bytes)
  empty = ConstantOfShape <value = int8[1] {{0}}> (cells_shape)
  wide_positions = Cast <to = 7> (positions)
  indices = Reshape (wide_positions, as_column)
  cells = ScatterND (empty, indices, values)
  across_shape = Concat <axis = 0> (blocks, words_each, taps, simd_group, bytes)
  across = Reshape (cells, across_shape)
  down = Transpose <perm = [0, 3, 1, 4, 2]> (across)
  each = Mul (words_each, bytes)
  all_rows = Mul (blocks_each, simd_group)
  padded_shape = Concat <axis = 0> (word_groups, all_rows, each, taps)
  padded = Reshape (down, padded_shape)
  unpadded = Slice (padded, none, rows, one)
  matrix_shape = Concat <axis = 0> (filled, each, taps)
  matrix = Reshape (unpadded, matrix_shape)
  channels_each = Div (in_channels, group)
  from = Concat <axis = 0> (none, none)
  until = Concat <axis = 0> (out_channels, channels_each)
  whole = Slice (matrix, from, until)
  weight_shape = Concat <axis = 0> (out_channels, channels_each, kernel)
  signed = Reshape (whole, weight_shape)
  wide = Cast <to = 6> (signed)
  offset = Constant <value = int32 {{128}}> ()
  shifted = Add (wide, offset)
  weight = Cast <to = 2> (shifted)
  weight_zero = Constant <value = uint8 {{128}}> ()
"""

#: `sum` int32 [N, M, pixels], bias included.
_CONVOLVED = f"""
{_to_planes("x", "X", "in_channels")}
  x_image_shape = Concat <axis = 0> (x_batch, in_channels, x_spatial)
  x_image = Reshape (x, x_image_shape)
  convolved = ConvInteger <kernel_shape: ints = @kernel_shape, strides: ints = @strides,
    pads: ints = @pads, dilations: ints = @dilations, group: int = @group>
    (x_image, weight, x_zero_point, weight_zero)
{_sizes("convolved", "out_channels")}
  bias_column = Reshape (bias, as_column)
  sum = Add (flat, bias_column)
"""

_SCALED = """
  float_sum = Cast <to = 1> (sum)
  products_scale = Mul (x_scale, w_scale)
  scale = Div (products_scale, y_scale)
  scale_column = Reshape (scale, as_column)
  scaled = Mul (float_sum, scale_column)
"""

_ADDED = f"""
{_to_planes("r", "residual", "out_channels")}
  wide_r = Cast <to = 6> (r)
  wide_r_zero = Cast <to = 6> (residual_zero_point)
  r_steps = Sub (wide_r, wide_r_zero)
  float_r = Cast <to = 1> (r_steps)
  r_scale = Div (residual_scale, y_scale)
  scaled_r = Mul (float_r, r_scale)
  added = Add (scaled, scaled_r)
"""


def _requantized(v: str) -> str:
    """`Y` from steps `v` [N, M, pixels]."""
    return f"""
  slope = Constant <value_float: float = @slope> ()
  low = Constant <value_float: float = @low> ()
  high = Constant <value_float: float = @high> ()
  sloped = Mul ({v}, slope)
  steep = Max ({v}, sloped)
  low_steps = Div (low, y_scale)
  high_steps = Div (high, y_scale)
  clipped = Clip (steep, low_steps, high_steps)
  rounded = Round (clipped)
  float_zero = Cast <to = 1> (y_zero_point)
  moved = Add (rounded, float_zero)
  least = Constant <value = float {{0}}> ()
  most = Constant <value = float {{255}}> ()
  bounded = Clip (moved, least, most)
  y = Cast <to = 2> (bounded)
{_to_words("y", "out_channels")}"""


#: Inputs behind the bias, and behind the residual.
SCALES = ("x_scale", "x_zero_point", "y_scale", "y_zero_point")
RESIDUAL_SCALES = ("residual_scale", "residual_zero_point")
#: Attributes of the activation.
FLOATS = ("slope", "low", "high")

INTEGERS = StoredForm(("values", "positions", "w_scale"), GEOMETRY, _WEIGHT)


def integer_nodes(residual: bool) -> str:
    """The nodes for Y of X, `INTEGERS.inputs`, bias, `SCALES`, residual, `RESIDUAL_SCALES`."""
    return "".join(
        (
            _CONSTANTS,
            _vectors(GEOMETRY),
            _WEIGHT,
            _CONVOLVED,
            _SCALED,
            _ADDED if residual else "",
            _requantized("added" if residual else "scaled"),
        )
    )
