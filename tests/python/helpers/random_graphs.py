"""Random valid graphs from the operators whose coupling is known, drawn by Hypothesis.

A graph grows from one or two inputs. Every step takes a tensor that is there (late ones more
often) and adds an operator or a small pattern, so that channels get linked in ways that no
real network would think of. Images are 8×8 or smaller; tensors of three other layouts
(flattened, channels last, sequences) come and go within a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx
from hypothesis import strategies as st
from zoo.builder import Builder

T = TypeVar("T")


@dataclass(frozen=True)
class Image:
    """A tensor [1, channels, side, side]."""

    name: str
    channels: int
    side: int


class Grower:
    """The graph so far, and one method for each thing that a step may add."""

    #: The first size of every input.
    batch: int | str = 1
    #: The same as a number in the target of a Reshape or Resize.
    batch_target = 1

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.b = Builder(self.pick(range(1000)))
        self._layers = 0
        self.inputs: list[Image] = []
        for index in range(self.pick((1, 1, 2))):
            channels = self.pick((1, 3, 4))
            name = self.b.input((self.batch, channels, 8, 8), f"x{index}")
            self.inputs.append(Image(name, channels, 8))
        # What steps may take: everything that comes from a convolution.
        self.images = [self.conv(image) for image in self.inputs]

    def pick(self, choices: Iterable[T]) -> T:
        """One of `choices`; the first is the simplest."""
        return self._draw(st.sampled_from(list(choices)))

    def take(self) -> Image:
        """An image of the graph, the latest being the simplest choice."""
        return self.pick(self.images[::-1][:6])

    def grow(self, steps: int) -> None:
        for _ in range(steps):
            step = self.pick(STEPS)
            made = step(self, self.take())
            self.images += [made] if isinstance(made, Image) else made

    def finish(self) -> onnx.ModelProto:
        """A head on the latest image, perhaps another, and one on all that nothing reads."""
        outputs = [self.pick(HEADS)(self, self.images[-1])]
        if self.pick((False, True)):
            outputs.append(self.pick(HEADS)(self, self.pick(self.images)))
        loose = [image for image in self.images if self.b.is_unread(image.name)]
        if loose:
            means = [self.b.op("GlobalAveragePool", image.name) for image in loose]
            channels = sum(image.channels for image in loose)
            mean = self.b.op("Concat", *means, axis=1) if len(means) > 1 else means[0]
            outputs.append(self.b.conv("loose", mean, channels, 3, 1))
        return self.b.proto(*dict.fromkeys(outputs))

    # -- layers ----------------------------------------------------------------------------

    def _name(self, kind: str) -> str:
        self._layers += 1
        return f"{kind}{self._layers}"

    def conv(self, x: Image, outputs: int | None = None) -> Image:
        outputs = outputs or self.pick((4, 6, 8, 12))
        kernel = self.pick((1, 3))
        stride = 2 if x.side > 2 and self.pick((False, False, True)) else 1
        bias = self.pick((True, False))
        name = self.b.conv(
            self._name("conv"), x.name, x.channels, outputs, kernel, stride=stride, bias=bias
        )
        return Image(name, outputs, -(-x.side // stride))

    def grouped(self, x: Image) -> Image:
        divisors = [g for g in (2, 3, 4) if x.channels % g == 0] or [1]
        group = self.pick(divisors)
        outputs = group * self.pick((1, 2, 3))
        name = self.b.conv(self._name("grouped"), x.name, x.channels, outputs, 3, group=group)
        return Image(name, outputs, x.side)

    def depthwise(self, x: Image) -> Image:
        times = self.pick((1, 1, 2))
        name = self._name("depthwise")
        made = self.b.conv(name, x.name, x.channels, times * x.channels, 3, group=x.channels)
        return Image(made, times * x.channels, x.side)

    def transposed(self, x: Image) -> Image:
        if x.side > 4:
            x = self.pool(x)
        groups = [g for g in (1, 2, x.channels) if x.channels % g == 0]
        group = self.pick(groups)
        per_group = self.pick((1, 2, 4))
        name = self._name("transposed")
        weights = [self.b.normal(f"{name}.w", x.channels, per_group, 2, 2)]
        if self.pick((True, False)):
            weights.append(self.b.uniform(f"{name}.b", per_group * group, low=-0.3, high=0.3))
        made = self.b.op("ConvTranspose", x.name, *weights, name=name, group=group, strides=[2, 2])
        return Image(made, per_group * group, 2 * x.side)

    def quantized(self, x: Image) -> Image:
        """A conv whose weights are 8-bit integers."""
        name, outputs = self._name("quantized"), self.pick((4, 6))
        axis = self.pick((None, 0, 1))
        shape = (outputs, x.channels, 3, 3)
        step = (2 / (9 * x.channels)) ** 0.5 / 60
        zero = np.int8(self.pick((0, 3))) if axis is None else np.zeros(shape[axis], np.int8)
        scale = np.float32(step) if axis is None else np.full(shape[axis], step, np.float32)
        parts = [
            self.b.const(self.b.rng.integers(-100, 101, shape).astype(np.int8), f"{name}.q"),
            self.b.const(scale, f"{name}.scale"),
            self.b.const(zero, f"{name}.zero"),
        ]
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        weight = self.b.op("DequantizeLinear", *parts, **attributes)
        return Image(self.b.op("Conv", x.name, weight, name=name, pads=[1] * 4), outputs, x.side)

    # -- channel by channel ----------------------------------------------------------------

    def same(self, x: Image, op_type: str, *more: str, **attributes: Any) -> Image:
        return Image(self.b.op(op_type, x.name, *more, **attributes), x.channels, x.side)

    def unary(self, x: Image) -> Image:
        return self.same(x, self.pick(("Relu", "Sigmoid", "HardSwish", "LeakyRelu", "Tanh")))

    def clip(self, x: Image) -> Image:
        bounds = [self.b.const(np.float32(v)) for v in (-1, 2)]
        return self.same(x, "Clip", *bounds)

    def norm(self, x: Image) -> Image:
        return Image(self.b.norm(self._name("norm"), x.name, x.channels), x.channels, x.side)

    def instance_norm(self, x: Image) -> Image:
        parts = [self.b.uniform(self._name(kind), x.channels) for kind in ("scale", "shift")]
        return self.same(x, "InstanceNormalization", *parts, epsilon=0.1)

    def prelu(self, x: Image) -> Image:
        shape = self.pick(((x.channels, 1, 1), (1,), (1, x.channels, 1, 1)))
        return self.same(x, "PRelu", self.b.uniform(self._name("slope"), *shape, low=-0.5))

    def affine(self, x: Image) -> Image:
        shape = self.pick(((x.channels, 1, 1), (1, x.channels, 1, 1), (), (x.side,)))
        constant = self.b.uniform(self._name("constant"), *shape)
        pair = self.pick(((x.name, constant), (constant, x.name)))
        return Image(self.b.op(self.pick(("Mul", "Add", "Sub")), *pair), x.channels, x.side)

    def across(self, x: Image) -> Image:
        """Something that mixes channels, or seems to."""
        kind = self.pick(("row softmax", "softmax", "lrn", "mean"))
        if kind == "lrn":
            return self.same(x, "LRN", size=3, alpha=0.5, beta=0.75, bias=1.0)
        if kind == "mean":
            return Image(self.b.op("ReduceMean", x.name, axes=[1], keepdims=1), 1, x.side)
        return self.same(x, "Softmax", axis=1 if kind == "softmax" else -1)

    # -- pixels ----------------------------------------------------------------------------

    def pool(self, x: Image) -> Image:
        if x.side < 2:
            return x
        kind = self.pick(("MaxPool", "AveragePool"))
        made = self.b.op(kind, x.name, kernel_shape=[2, 2], strides=[2, 2])
        return Image(made, x.channels, x.side // 2)

    def resize(self, x: Image) -> Image:
        if x.side > 4:
            x = self.pool(x)
        side = 2 * x.side
        if self.pick((True, False)):
            how = ["", self.b.const(np.array([1, 1, 2, 2], np.float32))]
        else:
            how = ["", "", self.b.const([1, x.channels, side, side])]
        made = self.b.op("Resize", x.name, *how, mode=self.pick(("nearest", "linear")))
        return Image(made, x.channels, side)

    def pad(self, x: Image) -> Image:
        before, after = self.pick((0, 1, 2)), self.pick((1, 2, 4))
        pads = self.b.const([0, before, 0, 0, 0, after, 0, 0])
        return Image(self.b.op("Pad", x.name, pads), before + x.channels + after, x.side)

    # -- several tensors -------------------------------------------------------------------

    def partner(self, x: Image) -> Image:
        """Another image of the shape of `x`: one that is there, or a new layer's."""
        same = [i for i in self.images if (i.channels, i.side) == (x.channels, x.side)]
        reuse = bool(same) and self.pick((True, False))
        if reuse:
            return self.pick(same)
        name = self.b.conv(self._name("side"), x.name, x.channels, x.channels, 3)
        return Image(name, x.channels, x.side)

    def join(self, x: Image) -> Image:
        kind = self.pick(("Add", "Mul", "Sub", "Max"))
        made = Image(self.b.op(kind, x.name, self.partner(x).name), x.channels, x.side)
        # Keeps products of products small.
        return self.same(made, "Tanh") if kind == "Mul" else made

    def concat(self, x: Image) -> Image:
        fitting = [i for i in (*self.images, *self.inputs) if i.side == x.side]
        others = [self.pick(fitting) for _ in range(self.pick((1, 2)))]
        parts = [x, *others]
        if sum(p.channels for p in parts) > 40:
            return x
        made = self.b.op("Concat", *(p.name for p in parts), axis=1)
        return Image(made, sum(p.channels for p in parts), x.side)

    def gate(self, x: Image) -> Image:
        """Squeeze and excitation, by convolutions or by Gemms."""
        squeezed = self.pick((2, 4))
        mean = self.b.op("GlobalAveragePool", x.name)
        if self.pick((True, False)):
            y = self.b.relu(self.b.conv(self._name("squeeze"), mean, x.channels, squeezed, 1))
            y = self.b.conv(self._name("expand"), y, squeezed, x.channels, 1)
        else:
            y = self.b.gemm(self._name("squeeze"), self.b.op("Flatten", mean), x.channels, squeezed)
            y = self.b.gemm(self._name("expand"), self.b.relu(y), squeezed, x.channels)
            y = self.b.op("Reshape", y, self.b.const([self.batch_target, x.channels, 1, 1]))
        return Image(self.b.op("Mul", x.name, self.b.op("Sigmoid", y)), x.channels, x.side)

    def attention(self, x: Image) -> Image:
        """One channel that scales all."""
        y = self.b.op("Sigmoid", self.b.conv(self._name("attend"), x.name, x.channels, 1, 3))
        return Image(self.b.op("Mul", x.name, y), x.channels, x.side)

    # -- channels moved about --------------------------------------------------------------

    def split(self, x: Image) -> list[Image]:
        if x.channels < 2:
            return [x]
        first = self.pick(range(1, x.channels))
        sizes = [first, x.channels - first]
        names = self.b.ops("Split", x.name, self.b.const(sizes), count=2, axis=1)
        return [Image(n, c, x.side) for n, c in zip(names, sizes, strict=True)]

    def cut(self, x: Image) -> Image:
        start = self.pick(range(x.channels))
        end = self.pick(range(start + 1, x.channels + 1))
        step = self.pick((1, 1, 2))
        bounds = [self.b.const([v]) for v in (start, end, 1, step)]
        made = self.b.op("Slice", x.name, *bounds)
        return Image(made, len(range(start, end, step)), x.side)

    def crop(self, x: Image) -> Image:
        """Every second pixel."""
        bounds = [self.b.const(v) for v in ([0, 0], [99, 99], [2, 3], [2, 2])]
        return Image(self.b.op("Slice", x.name, *bounds), x.channels, -(-x.side // 2))

    def gather(self, x: Image) -> Image:
        count = self.pick((x.channels, 2, 4))
        if count == x.channels:
            chosen = self.b.rng.permutation(count)
        else:
            chosen = self.b.rng.integers(0, x.channels, count)
        return Image(self.b.op("Gather", x.name, self.b.const(chosen), axis=1), count, x.side)

    def shuffle(self, x: Image) -> Image:
        groups = [g for g in (2, 3, 4) if x.channels % g == 0] or [1]
        group, side = self.pick(groups), x.side
        y = self.b.op("Reshape", x.name, self.b.const([self.batch_target, group, -1, side, side]))
        y = self.b.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        y = self.b.op("Reshape", y, self.b.const([self.batch_target, x.channels, side, side]))
        return Image(y, x.channels, side)

    def deep_to_wide(self, x: Image) -> Image:
        if x.channels % 4:
            x = self.conv(x, 12)
        x = self.pool(x) if x.side > 4 else x
        made = self.b.op("DepthToSpace", x.name, blocksize=2, mode=self.pick(("DCR", "CRD")))
        return Image(made, x.channels // 4, 2 * x.side)

    def swap(self, x: Image) -> Image:
        """Two halves in the other order, by Slice and Concat."""
        middle = self.pick(range(1, x.channels)) if x.channels > 1 else 1
        parts = []
        for start, end in ((middle, x.channels), (0, middle)):
            bounds = [self.b.const([v]) for v in (start, end, 1)]
            parts.append(self.b.op("Slice", x.name, *bounds))
        made = self.b.op("Concat", *(parts if middle < x.channels else parts[1:]), axis=1)
        return Image(made, x.channels, x.side)

    def wide_to_deep(self, x: Image) -> Image:
        if x.side % 2 or x.channels > 12:
            return x
        made = self.b.op("SpaceToDepth", x.name, blocksize=2)
        return Image(made, 4 * x.channels, x.side // 2)

    # -- other layouts ---------------------------------------------------------------------

    def last(self, x: Image) -> Image:
        """Channels last, a MatMul or not, and back."""
        y = self.b.op("Transpose", x.name, perm=[0, 2, 3, 1])
        outputs = x.channels
        if self.pick((True, False)):
            outputs, name = self.pick((4, 6)), self._name("matmul")
            y = self.b.op("MatMul", y, self.b.normal(f"{name}.w", x.channels, outputs), name=name)
            y = self.b.op("Add", y, self.b.uniform(f"{name}.b", outputs))
        return Image(self.b.op("Transpose", y, perm=[0, 3, 1, 2]), outputs, x.side)

    def sequence(self, x: Image) -> Image:
        """A 1-D convolution over all pixels in a row."""
        y = self.b.op("Reshape", x.name, self.b.const([self.batch_target, x.channels, -1]))
        outputs = self.pick((4, 6))
        y = self.b.conv(self._name("row"), y, x.channels, outputs, 3, rank=1)
        y = self.b.op("Reshape", y, self.b.const([self.batch_target, outputs, x.side, x.side]))
        return Image(y, outputs, x.side)

    # -- heads -----------------------------------------------------------------------------

    def pooled(self, x: Image) -> str:
        return self.b.head(x.name, x.channels, 3, self._name("head"))

    def flattened(self, x: Image) -> str:
        inputs = x.channels * x.side**2
        name = self._name("head")
        if self.pick((True, False)):
            flat = self.b.op("Flatten", x.name)
            return self.b.gemm(name, flat, inputs, 3, self.pick((1, 0)))
        flat = self.b.op("Reshape", x.name, self.b.const([self.batch_target, -1]))
        return self.b.op("MatMul", flat, self.b.normal(f"{name}.w", inputs, 3), name=name)

    def bare(self, x: Image) -> str:
        """The image itself, which ties its channels."""
        return self.b.op("Identity", x.name)


STEPS: tuple[Callable[[Grower, Image], Image | list[Image]], ...] = (
    Grower.conv,
    Grower.unary,
    Grower.norm,
    Grower.join,
    Grower.concat,
    Grower.depthwise,
    Grower.grouped,
    Grower.pool,
    Grower.gate,
    Grower.split,
    Grower.cut,
    Grower.shuffle,
    Grower.transposed,
    Grower.prelu,
    Grower.affine,
    Grower.clip,
    Grower.instance_norm,
    Grower.attention,
    Grower.resize,
    Grower.pad,
    Grower.crop,
    Grower.swap,
    Grower.quantized,
    Grower.gather,
    Grower.deep_to_wide,
    Grower.wide_to_deep,
    Grower.last,
    Grower.sequence,
    Grower.across,
)
HEADS = (Grower.pooled, Grower.flattened, Grower.bare)


@st.composite
def graphs(draw: st.DrawFn, steps: int = 14) -> onnx.ModelProto:
    """A model of up to `steps` steps."""
    grower = Grower(draw)
    grower.grow(draw(st.integers(3, steps)))
    return grower.finish()
