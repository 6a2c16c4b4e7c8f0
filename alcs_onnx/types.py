"""The values that travel between stages: frozen, plain, and each saveable as a file.

Times are milliseconds throughout. Densities are kept weights / all weights, in [0, 1].
A *group* here is what ALCS section III-B calls a SIMD group: `simd_group` vertically
adjacent weights, one per output channel of a block, at one column of the weight matrix.

All masks are bool and True where something stays. What one is over, and by what names a mapping
goes, is in its type: a layer and the initializer with its weights have names of their own, and
equal names need not mean the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.formats import CHANNEL_LATENCY_TABLE, LATENCY_TABLE, Format

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
#: A mask over the groups of a structure: `Structure.mask_shape`, for "simd" [blocks, columns].
GroupMask = BoolArray
#: A mask over single weights, [M, C/group, *kernel].
WeightMask = BoolArray
#: A mask over the channels of a group, or the filters of a layer: [channels].
ChannelMask = BoolArray
#: Name of a node with constant weights, unique in its model.
LayerName = str
NodeName = str
#: Name of a constant tensor; two nodes may share one.
InitializerName = str
Shape = tuple[int, ...]
#: A shape of known rank; None for sizes that are not known.
PartialShape = tuple[int | None, ...]

#: Densities at which every layer is measured (ALCS section III-C: 0, 0.1, ..., 1).
DENSITIES: tuple[float, ...] = tuple(i / 10 for i in range(11))


@dataclass(frozen=True)
class ConvLayer:
    """One convolution with constant weights, of one or two spatial dimensions.

    `pads` follows ONNX: all begins, then all ends. Shapes are static, N first.
    """

    name: LayerName
    weight: InitializerName
    bias: InitializerName | None
    out_channels: int
    in_channels: int
    group: int
    kernel_shape: Shape
    strides: Shape
    pads: Shape
    dilations: Shape
    input_shape: Shape
    output_shape: Shape

    @property
    def columns(self) -> int:
        """Columns of the weight matrix of one conv group: C/group * prod(kernel)."""
        return self.in_channels // self.group * prod(self.kernel_shape)

    @property
    def rows_per_group(self) -> int:
        """Output channels of one conv group."""
        return self.out_channels // self.group

    @property
    def weight_shape(self) -> Shape:
        """[M, C/group, *kernel]."""
        return (self.out_channels, self.in_channels // self.group, *self.kernel_shape)

    @property
    def weight_count(self) -> int:
        """Number of weights, bias excluded."""
        return prod(self.weight_shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense layer at its input shape, batch included."""
        return prod(self.output_shape) * self.columns

    @property
    def depthwise(self) -> bool:
        """Whether every input channel is a conv group of its own."""
        return self.group == self.in_channels and self.group > 1

    def blocks_per_group(self, simd_group: int) -> int:
        """Blocks of `simd_group` output channels in one conv group, the last one padded."""
        return -(-self.rows_per_group // simd_group)

    def group_count(self, simd_group: int) -> int:
        """SIMD groups of the layer: blocks of all conv groups times columns."""
        return self.group * self.blocks_per_group(simd_group) * self.columns


@dataclass(frozen=True)
class Activation:
    """The fused activation y = clip(max(x, slope * x), low, high), or the gate of x.

    Covers the identity, Relu (low = 0), Clip and LeakyRelu (slope < 1). A gate, by its number
    in `graph.activations.GATES`, takes the place of the rest, which must then be the identity;
    0 is none. The fields are attributes of the op, under these names.
    """

    slope: float = 1.0
    low: float = -float(np.finfo(np.float32).max)
    high: float = float(np.finfo(np.float32).max)
    gate: int = 0

    @property
    def is_identity(self) -> bool:
        """Whether y = x, within float32's range."""
        return self == Activation()


@dataclass(frozen=True)
class Machine:
    """Where latencies were measured; two tables are comparable only if these agree."""

    cpu: str
    isa: str
    threads: int
    onnxruntime: str
    library: str
    governor: str
    load: float


@dataclass(frozen=True)
class Timing:
    """Latency of one model over repeated runs, in milliseconds."""

    median: float
    p90: float
    p99: float
    mean: float
    stddev: float
    runs: int

    @classmethod
    def from_samples(cls, samples_ms: npt.ArrayLike) -> Timing:
        """Summarise samples in milliseconds; raises `AlcsError` on an empty sequence."""
        samples = np.asarray(samples_ms, dtype=np.float64)
        if samples.size == 0:
            raise AlcsError("no latency samples to summarise")
        median, p90, p99 = np.percentile(samples, (50, 90, 99))
        return cls(
            float(median),
            float(p90),
            float(p99),
            float(samples.mean()),
            float(samples.std()),
            int(samples.size),
        )


@dataclass(frozen=True)
class LayerCurve:
    """Measured run time of one layer against its number of stored groups (ALCS eq. 3).

    `groups` increases strictly from 0 to the layer's group count; `times` in ms.
    `dense_time` is what the runtime's own Conv takes in the dense model.
    """

    layer: LayerName
    groups: tuple[int, ...]
    times: tuple[float, ...]
    dense_time: float


@dataclass(frozen=True)
class LatencyTable:
    """Per-layer curves of one model on one machine, and the constant rest tau (eq. 2).

    `structure` names what a group is: one of `alcs_onnx.structures.STRUCTURES`.
    """

    format: ClassVar[Format] = LATENCY_TABLE

    model_digest: str
    simd_group: int
    machine: Machine
    tau: float
    dense: Timing
    curves: tuple[LayerCurve, ...]
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    #: Layers that measured faster as the runtime's own Conv, with the reason.
    left_alone: Mapping[LayerName, str] = field(default_factory=dict)
    structure: str = "simd"

    def curve(self, layer: LayerName) -> LayerCurve:
        """The curve of `layer`; raises `KeyError` when it was not measured."""
        for curve in self.curves:
            if curve.layer == layer:
                return curve
        raise KeyError(layer)


@dataclass(frozen=True)
class PruningPlan:
    """Which groups of weights each layer keeps.

    `keep[layer]` is a group mask of the structure called `structure`. For "simd" it has shape
    [group * blocks_per_group, columns]: True where the group of `simd_group` weights stays. A
    layer whose conv groups have fewer rows uses the largest group that fits them
    (`sparse_format.largest_fitting`). Layers absent from `keep` stay dense, and `reasons` says
    why.
    """

    model_digest: str
    simd_group: int
    keep: Mapping[LayerName, GroupMask]
    reasons: Mapping[LayerName, str]
    predicted_ms: float
    structure: str = "simd"

    def density(self, layer: LayerName) -> float:
        """Kept groups / all groups of `layer`; 1.0 for a layer that was left dense."""
        mask = self.keep.get(layer)
        return 1.0 if mask is None else float(mask.mean())


@dataclass(frozen=True, eq=False)
class ChannelSlot:
    """Where the channels of a group lie along one axis of one initializer.

    Channel c takes the positions `indices[c]` along `axis`; `indices` is [channels, width].
    The role is "out" where the axis counts what a layer computes, "in" where it counts what a
    layer reads, "scale" where each channel is multiplied by its own values (a depthwise
    weight, the scale of a normalisation), and "vector" for all else that goes channel by
    channel (a bias, a mean). `node` is the first node that uses the initializer so.
    """

    tensor: InitializerName
    axis: int
    role: str
    node: str
    indices: IntArray


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that are alike: any of them can be removed, with all that its slots name.

    Named after the node that first produces them. `frozen` tells why none can be removed and
    is empty when they can. `mixed_by` are nodes that take one value of several of them (a mean
    over channels, a norm, a product of activations): it is then taken of those that are left.
    """

    name: str
    channels: int
    slots: tuple[ChannelSlot, ...]
    frozen: str = ""
    mixed_by: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ChannelPlan:
    """Which channels each group keeps: `keep[group]` is [channels], True where one stays.

    At least one of each group does. Groups absent from `keep` stay whole, and `reasons` says
    why.
    """

    model_digest: str
    keep: Mapping[str, ChannelMask]
    reasons: Mapping[str, str]
    predicted_ms: float


@dataclass(frozen=True, eq=False)
class PrecisionPlan:
    """Which nodes stay float32: `keep[node]` is [1], False where the node is int8.

    Nodes that cannot be int8 are absent, and `reasons` says why.
    """

    model_digest: str
    keep: Mapping[NodeName, BoolArray]
    reasons: Mapping[NodeName, str]
    predicted_ms: float

    @property
    def int8(self) -> frozenset[NodeName]:
        """The nodes that are int8."""
        return frozenset(name for name, mask in self.keep.items() if not mask[0])


@dataclass(frozen=True)
class ChannelCurve:
    """Latency of the whole model against the channels that one group keeps (SP-LAMP eq. 7).

    `kept` increases strictly, from the fewest channels that were tried to all of the group's.
    `times_ms` are medians, corrected for the machine's drift; `mean` and `stddev` (ms) describe
    the same runs. A predicted curve has its times as means and no deviation.
    """

    group: str
    kept: tuple[int, ...]
    times_ms: tuple[float, ...]
    mean: tuple[float, ...]
    stddev: tuple[float, ...]

    @property
    def channels(self) -> int:
        """All channels of the group."""
        return self.kept[-1]


@dataclass(frozen=True)
class ChannelTable:
    """Latency contributions of the channel groups of one model on one machine.

    `predicted` curves come from the times of the dense model's nodes; `error` is then their
    error where it was measured, relative to what was saved, and None otherwise.
    """

    format: ClassVar[Format] = CHANNEL_LATENCY_TABLE

    model_digest: str
    machine: Machine
    dense: Timing
    curves: tuple[ChannelCurve, ...]
    predicted: bool = False
    error: float | None = None
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)

    def curve(self, group: str) -> ChannelCurve:
        """The curve of `group`; raises `KeyError` when it has none."""
        for curve in self.curves:
            if curve.group == group:
                return curve
        raise KeyError(group)


@dataclass(frozen=True)
class Codebook:
    """Equal-distance quantization levels: level = first + step * code, code in [0, count).

    The real value of a level is level * scale. `bits` are what a code takes in a file.
    """

    name: str
    bits: int
    count: int
    first: int
    step: int

    @property
    def levels(self) -> tuple[int, ...]:
        """All levels, rising."""
        return tuple(range(self.first, self.first + self.step * self.count, self.step))


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight [M, C/group, *kernel] as integer levels (int8) times scales.

    `scale` is float32, [1] for the whole layer or [M] for each output channel. Levels are of
    `codebook`, or 0 where a weight was pruned.
    """

    levels: npt.NDArray[np.int8]
    scale: FloatArray
    codebook: Codebook

    def values(self) -> FloatArray:
        """The weights that the levels stand for, float32."""
        scale = self.scale.reshape(-1, *(1 for _ in self.levels.shape[1:]))
        return np.asarray(self.levels.astype(np.float32) * scale, dtype=np.float32)


_BUDGET = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*(ms|us|s|%|x)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Budget:
    """A latency budget, absolute or relative to the dense model.

    Accepted texts: `62ms`, `800us`, `0.1s`, `40%` (of the dense latency), `2x` (faster).
    """

    text: str
    milliseconds: float | None
    fraction: float | None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Parse a budget; raises `AlcsError` for anything but the forms above."""
        match = _BUDGET.match(text)
        value = float(match.group(1)) if match else 0.0
        if match is None or not isfinite(value) or value <= 0:
            raise AlcsError(
                f"budget '{text}' is not understood: write a latency (62ms), "
                "a share of the dense latency (40%) or a speed-up (2x)"
            )
        unit = match.group(2).lower()
        if unit in ("ms", "us", "s"):
            return cls(text.strip(), value * {"ms": 1.0, "us": 1e-3, "s": 1e3}[unit], None)
        return cls(text.strip(), None, value / 100 if unit == "%" else 1 / value)

    @property
    def relative(self) -> bool:
        """Whether it is a fraction of the dense latency."""
        return self.fraction is not None

    def resolve(self, dense_ms: float) -> float:
        """The budget in milliseconds for a model whose dense latency is `dense_ms`."""
        if self.milliseconds is not None:
            return self.milliseconds
        assert self.fraction is not None
        return self.fraction * dense_ms
