"""What an inspection finds: frozen values, one per thing that a person looks at.

They are written as JSON field by field (`schema.json` beside this file), so a field that is
added, renamed or removed is a new version of `formats.INSPECTION`. Times are milliseconds, shares
are in [0, 1], and None means that something is not known or does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from alcs_onnx.formats import INSPECTION, Format
from alcs_onnx.types import Machine, PartialShape, Shape, Timing


@dataclass(frozen=True)
class TensorFacts:
    """An input or output of the graph.

    `shape` has None for each size that is not known, and is None where not even the rank is.
    """

    name: str
    dtype: str
    shape: PartialShape | None


@dataclass(frozen=True)
class NodeFacts:
    """One node of the file, in topological order; Constant nodes count as initializers.

    `inputs` and `outputs` are the activations that connect the nodes; constants are in
    `parameters` only, the number of values in initializers that this node is the first to read,
    without integers that are sizes or indices; of this package's convolutions those of the dense
    layer. `weight_bytes` is what they take in the file, stored indices included. `input_shapes`
    and `output_shapes` go with the activations, None and sizes of None as in `TensorFacts`.
    `weight_shape` is that of a layer's constant weights, None for all other nodes. `macs` is None
    where a shape is missing, for an unknown operator, for one whose products are not counted
    (Attention, say) and for control flow around layers, and 0 for operators without multiply-
    accumulates. `kept_macs` is what is left of `macs` when weights that are zero do not count.
    `attributes` are short texts for display.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_shapes: tuple[PartialShape | None, ...]
    output_shapes: tuple[PartialShape | None, ...]
    weight_shape: Shape | None
    macs: int | None
    kept_macs: int | None
    parameters: int
    weight_bytes: int
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class LayerFacts:
    """What `optimize` would do with one layer, or has done.

    Layers are convolutions and other nodes with constant weights. `layer` is the name in the
    normalised model. `prunable` says whether its weights compete for a budget, and `reason` why
    not. `op` is the operator it would become (`SimdSparseConv`, ...) or already is, or its own
    where it would be left alone; `op_reason` says why that, or else what stopped the fusing or
    how much is stored. `simd_group` is the group size it would be stored in, 0 where it is left
    alone. `fused` names what the node would do besides convolving. `node` is the node of the
    file it is in.
    """

    layer: str
    node: str
    prunable: bool
    reason: str
    op: str
    op_reason: str
    simd_group: int
    fused: tuple[str, ...]


@dataclass(frozen=True)
class ModelFacts:
    """The file as a whole and all its nodes.

    `file_bytes` counts external data, too. `operators` counts nodes by operator, the domain and
    `::` before those that are not ONNX's own. `macs` and `parameters` are sums over nodes (None
    nodes as 0, then `unknown_macs` counts them). `kept_macs` and `kept_parameters` do not count
    weights that are zero. `optimized` says whether the file holds operators of this package.
    `notes` are what was told while loading. `problem` says why the model cannot be optimized at
    all, and is empty where it can; `layers` is then empty where it cannot even be normalised.
    """

    file: str
    file_bytes: int
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: Mapping[str, int]
    nodes: tuple[NodeFacts, ...]
    layers: tuple[LayerFacts, ...]
    macs: int
    kept_macs: int
    unknown_macs: int
    parameters: int
    kept_parameters: int
    weight_bytes: int
    optimized: bool
    problem: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SlotFacts:
    """A member of a coupling group: an axis of a weight that counts the group's channels.

    `role` is as in `ChannelSlot` ("out", "in", "scale", "vector"); `positions` are those that a
    channel takes along `axis`; `node` is the node of the file that has the weight.
    """

    node: str
    tensor: str
    axis: int
    role: str
    positions: int


@dataclass(frozen=True)
class GroupFacts:
    """Channels that live and die together (SP-LAMP section 3); `frozen` says why they cannot die.

    `nodes` are all nodes of the file that the channels run through, in their order, those without
    weights too. `parameters` are the values that go with all of the group's channels. `mixed_by`
    are nodes of the file that take one value of several of the channels: when some are removed,
    that value is taken of those that are left.
    """

    name: str
    channels: int
    frozen: str
    members: tuple[SlotFacts, ...]
    nodes: tuple[str, ...]
    parameters: int
    mixed_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class CouplingFacts:
    """All groups, and how many channels of the model can be removed at all."""

    groups: tuple[GroupFacts, ...]
    prunable_groups: int
    prunable_channels: int
    channels: int


@dataclass(frozen=True)
class LayerSparsity:
    """How a layer's zeros lie.

    `zeros[structure]` is the share of the structure's groups that are zero throughout, for every
    structure that is a method of `optimize`, and "2:4" (the share of whole aligned runs of four
    weights along the input channels with two zeros or more). `weight_shape` is [M, C/group,
    *kernel] for every kind of layer. `simd_group` is the group size of "simd", in an optimized
    file the stored one. `stored` is the share of groups that an optimized file stores, None in
    any other. `bits` are those of a stored weight, 32 unless quantized. `stored_bytes` are those
    of the weights and their indices in the file.
    """

    layer: str
    node: str
    weight_shape: Shape
    weights: int
    nonzero: int
    zeros: Mapping[str, float]
    stored: float | None
    simd_group: int
    bits: int
    stored_bytes: int

    @property
    def density(self) -> float:
        """Weights that are not zero / all weights."""
        return self.nonzero / self.weights if self.weights else 1.0


@dataclass(frozen=True)
class SparsityFacts:
    """All layers with constant weights, and the network: `zeros` are weighted by weights."""

    layers: tuple[LayerSparsity, ...]
    simd_group: int
    weights: int
    nonzero: int
    zeros: Mapping[str, float]


@dataclass(frozen=True)
class NodeLatency:
    """Time of one node of the file in the runtime.

    `ran_as` is the operator that the runtime made of it. A node that was fused into another has
    `ms` 0, `ran_as` empty and `into` that node's name; one that was folded away has `into` empty,
    too. `node` is empty for what the runtime added itself, such as reorders of the memory layout:
    one row for each such operator.
    """

    node: str
    ms: float
    share: float
    ran_as: str
    into: str = ""


@dataclass(frozen=True)
class CurveFacts:
    """A layer's measured run time at 11 densities (ALCS section III-C).

    `densities` and `times_ms` have equal length; `conv_ms` is the runtime's own Conv on the
    dense layer, None where the runtime fused it away.
    """

    layer: str
    densities: tuple[float, ...]
    times_ms: tuple[float, ...]
    conv_ms: float | None
    left_alone: str


@dataclass(frozen=True)
class LatencyFacts:
    """Measured times: of the whole model, by node, and each layer's curve where asked for.

    `overhead_ms` is what the profiler had added to each node, taken out of `nodes`. Where there
    was any, the nodes account for the whole run; else `rest_ms` is what it takes beyond them.
    `warnings` are about noise.
    """

    machine: Machine
    timing: Timing
    nodes: tuple[NodeLatency, ...]
    rest_ms: float
    curves: tuple[CurveFacts, ...]
    structure: str
    simd_group: int
    warnings: tuple[str, ...]
    overhead_ms: float = 0.0


@dataclass(frozen=True)
class Inspection:
    """One inspected file. The model's facts are always there, the rest where asked for.

    `coupling` needs a model that can be normalised, and is None for others: see `model.problem`.
    """

    format: ClassVar[Format] = INSPECTION

    model: ModelFacts
    coupling: CouplingFacts | None = None
    sparsity: SparsityFacts | None = None
    latency: LatencyFacts | None = None
