"""The operators that work sample by sample, and when. See `registry`."""

from __future__ import annotations

from math import prod

from alcs_onnx.graph.batching.registry import Call, by_sample
from alcs_onnx.op_traits import BROADCAST, UNARY

_STANDARD = tuple(name for name in (*UNARY, *BROADCAST) if "." not in name)
_FAR = 2**31 - 1  #: an end of a Slice that no size reaches


@by_sample(*_STANDARD)
def elementwise(call: Call) -> str:
    """Number by number: whatever is broadcast, rows must stay in the first axis."""
    rank = max(len(call.shape(index)) for index in call.positions)
    for index in call.positions:
        shape, name = call.shape(index), call.node.input(index)
        if call.is_batched(index) and len(shape) != rank:
            return f"an axis is put in front of the samples of '{name}'"
        if not call.is_batched(index) and len(shape) == rank and shape[0] != 1:
            return f"'{name}' has {shape[0]} rows, whatever the batch"
    return ""


@by_sample(
    "AveragePool", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool", "GlobalLpPool",
    "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN", "LpPool",
    "SpaceToDepth",
)  # fmt: skip
def row_by_row(call: Call) -> str:
    """Each row of the first input by itself, by the same constants."""
    return call.only_data()


@by_sample("Flatten", "Reshape")
def row_major(call: Call) -> str:
    """Numbers stay in their order, in which those of a sample follow one another."""
    return call.only_data()


@by_sample("MaxPool")
def max_pool(call: Call) -> str:
    """The positions of the maxima count through the whole batch."""
    return "its indices count through all samples" if call.node.outputs[1:] else call.only_data()


@by_sample("BatchNormalization")
def batch_normalization(call: Call) -> str:
    """By stored statistics, not by those of the batch."""
    if call.node.int_attribute("training_mode", 0):
        return "it takes the statistics of the batch"
    return call.only_data()


@by_sample("ArgMax", "ArgMin", "Split")
def along_first(call: Call) -> str:
    """Along one axis, by default the first."""
    return call.only_data() or call.along(call.node.int_attribute("axis", 0))


@by_sample("LayerNormalization", "LpNormalization", "TopK")
def along_last(call: Call) -> str:
    """Along an axis, or all from it on, by default the last."""
    return call.only_data() or call.along(call.node.int_attribute("axis", -1))


@by_sample("Hardmax", "LogSoftmax", "Softmax")
def softmax(call: Call) -> str:
    """Along one axis; before opset 13 over all from it on."""
    return call.along(call.node.int_attribute("axis", -1 if call.model.opset >= 13 else 1))


@by_sample("DequantizeLinear", "QuantizeLinear")
def rounding(call: Call) -> str:
    """By one scale for all, or one for each index of an axis."""
    one = prod(call.shape(1)) == 1
    if len(call.shape(1)) > 1:
        return "its scales are those of blocks"
    return call.only_data() or ("" if one else call.along(call.node.int_attribute("axis", 1)))


@by_sample("CumSum")
def cumulate(call: Call) -> str:
    """Along the axis that is the second input."""
    axis = call.ints(1, "axis")
    return call.only_data() or (call.along(axis[0]) if axis else "its axis is computed")


@by_sample(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
def reduction(call: Call) -> str:
    """Over the given axes, over all where none is given."""
    axes = call.ints(1, "axes")
    if axes is None:
        return "its axes are computed"
    if not axes and not call.node.int_attribute("noop_with_empty_axes", 0):
        return "it reduces all axes, that of the samples included"
    return next((why for axis in axes if (why := call.along(axis))), "")


@by_sample("Transpose")
def transpose(call: Call) -> str:
    """Axes move, the first one does not."""
    perm = call.node.ints_attribute("perm")
    moved = perm[0] != 0 if perm else len(call.shape(0)) > 1
    return "it moves the axis of the samples" if moved else ""


@by_sample("Squeeze")
def squeeze(call: Call) -> str:
    """Other axes than the first."""
    axes = call.ints(1, "axes")
    if not axes:
        return "it removes whichever axes have size 1"
    return next((why for axis in axes if (why := call.along(axis))), "")


@by_sample("Unsqueeze")
def unsqueeze(call: Call) -> str:
    """New axes behind the first."""
    axes = call.ints(1, "axes") or ()
    rank = len(call.shape(0)) + len(axes)
    front = any(axis % rank == 0 for axis in axes)
    return "it puts an axis in front of the samples" if front or not axes else ""


@by_sample("Concat")
def concat(call: Call) -> str:
    """Along another axis than the first."""
    return call.along(call.node.int_attribute("axis", 0))


@by_sample("Slice")
def cut(call: Call) -> str:
    """Ranges of other axes, or all of the first."""
    starts, ends = call.ints(1, "starts"), call.ints(2, "ends")
    axes, steps = call.ints(3, "axes"), call.ints(4, "steps")
    if starts is None or ends is None or axes is None or steps is None:
        return "its ranges are computed"
    axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if (start, step) != (0, 1) or end < _FAR:
            why = call.along(axis)
            if why:
                return "it takes some of the samples"
    return ""


@by_sample("Pad")
def pad(call: Call) -> str:
    """Nothing before or behind the samples."""
    pads, axes = call.ints(1, "pads"), call.ints(3, "axes")
    if pads is None or axes is None:
        return "its amounts are computed"
    axes = axes or tuple(range(len(pads) // 2))
    rank = len(call.shape(0))
    amounts = zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True)
    padded = any(axis % rank == 0 and (begin or end) for axis, begin, end in amounts)
    return "it pads the axis of the samples" if padded else call.only_data()


@by_sample("Expand", "Tile")
def repeated(call: Call) -> str:
    """Repeats along other axes; constants may be repeated for every sample."""
    name = call.node.input(0)
    shape, result = call.shape(0), call.model.shapes.get(call.node.outputs[0], ())
    if call.is_batched(0):
        same = len(shape) == len(result) and shape[0] == result[0]
        return "" if same else f"the samples of '{name}' are repeated or moved"
    alike = len(shape) < len(result) or prod(shape[:1]) == 1
    return "" if alike else f"'{name}' has {shape[0]} rows, whatever the batch"


@by_sample("ConstantOfShape")
def filled(call: Call) -> str:
    """One value in all rows."""
    return ""


@by_sample("Resize")
def resize(call: Call) -> str:
    """Along other axes than the first."""
    if call.node.str_attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        return "it crops before it resizes"
    result = call.model.shapes.get(call.node.outputs[0], ())
    same = result[:1] == call.shape(0)[:1]
    return call.only_data() if same else "it resizes the axis of the samples"


@by_sample("Gemm")
def gemm(call: Call) -> str:
    """Rows of the first matrix; the second is the same for all."""
    if call.node.int_attribute("transA", 0):
        return "it transposes the axis of the samples"
    if call.is_batched(1) or not call.is_batched(0):
        return "it multiplies by the samples, not each of them"
    if not call.node.input(2) or call.is_batched(2):
        return ""
    rows = call.shape(2)
    fixed = len(rows) == 2 and rows[0] != 1
    return f"'{call.node.input(2)}' has {rows[0]} rows, whatever the batch" if fixed else ""


@by_sample("MatMul")
def matmul(call: Call) -> str:
    """Rows of the first matrix, or matrices of stacks whose first axis counts the samples."""
    ranks = len(call.shape(0)), len(call.shape(1))
    if ranks[1] == 1 and ranks[0] > 1 and not call.is_batched(1):
        return ""
    for index in (0, 1):
        shape, name = call.shape(index), call.node.input(index)
        if call.is_batched(index):
            if len(shape) != max(ranks) or len(shape) < (2, 3)[index]:
                return f"the samples of '{name}' are not its stack of matrices, nor rows of one"
        elif len(shape) == max(ranks) > 2 and shape[0] != 1:
            return f"'{name}' has {shape[0]} matrices, whatever the batch"
    return ""


@by_sample("Gather")
def gather(call: Call) -> str:
    """Of each sample by the same indices, or of one table by the indices of each sample."""
    axis = call.node.int_attribute("axis", 0)
    if call.is_batched(0) and call.is_batched(1):
        return "data and indices are other ones for each sample"
    if call.is_batched(0):
        return "it takes some of the samples" if call.along(axis) else ""
    return "" if call.along(axis) else "the samples of its indices become an inner axis"


@by_sample("GatherElements")
def gather_elements(call: Call) -> str:
    """Along another axis than the first, of each sample by its own indices."""
    if not (call.is_batched(0) and call.is_batched(1)):
        return "data or indices are the same for all samples"
    return call.along(call.node.int_attribute("axis", 0))


@by_sample("GatherND")
def gather_nd(call: Call) -> str:
    """Of each sample by its own indices, or of one table."""
    if not call.is_batched(0):
        return ""
    own = call.is_batched(1) and call.node.int_attribute("batch_dims", 0) > 0
    return "" if own else "it takes some of the samples"
