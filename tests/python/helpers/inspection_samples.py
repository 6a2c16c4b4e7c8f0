"""Inspections with every part filled in, of graphs of any size: residual blocks in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alcs_onnx.pipeline.inspect.result import (
    CouplingFacts,
    CurveFacts,
    GroupFacts,
    Inspection,
    LatencyFacts,
    LayerFacts,
    LayerSparsity,
    ModelFacts,
    NodeFacts,
    NodeLatency,
    SlotFacts,
    SparsityFacts,
    TensorFacts,
)
from alcs_onnx.types import DENSITIES, Machine, Timing

_SHAPE = (1, 16, 32, 32)
_MACS = 16 * 9 * 16 * 32 * 32
_MACHINE = Machine("Some CPU", "avx2", 1, "1.30.0", "alcs 1", "performance", 0.25)


def residual(blocks: int, rename: Callable[[str], str] = str) -> Inspection:
    """A stem and `blocks` of Conv, Relu, Conv, Add: 2 + 4 * blocks nodes, all times measured.

    `rename` is applied to every name of a node, tensor or layer.
    """
    nodes = [_node(rename, "stem", "Conv", ("x",))]
    for i in range(blocks):
        before = f"add{i - 1}" if i else "stem"
        nodes += [
            _node(rename, f"a{i}", "Conv", (before,)),
            _node(rename, f"relu{i}", "Relu", (f"a{i}",)),
            _node(rename, f"b{i}", "Conv", (f"relu{i}",)),
            _node(rename, f"add{i}", "Add", (f"b{i}", before)),
        ]
    nodes.append(_node(rename, "y", "Sigmoid", (f"add{blocks - 1}" if blocks else "stem",)))
    convs = [node for node in nodes if node.op == "Conv"]
    return Inspection(
        model=_model(rename, nodes, convs),
        coupling=_coupling(rename, blocks, nodes),
        sparsity=_sparsity(convs),
        latency=_latency(nodes, convs),
    )


def empty() -> Inspection:
    """A file without any node, and without any part that can be left out."""
    found = residual(0)
    model = replace(found.model, nodes=(), layers=(), operators={}, inputs=(), outputs=())
    model = replace(model, macs=0, kept_macs=0, parameters=0, kept_parameters=0, notes=())
    return Inspection(replace(model, problem="it has no convolution"))


def _node(rename: Callable[[str], str], name: str, op: str, inputs: tuple[str, ...]) -> NodeFacts:
    weighty = op == "Conv"
    return NodeFacts(
        name=rename(name),
        op=op,
        domain="",
        inputs=tuple(map(rename, inputs)),
        outputs=(rename(name),),
        input_shapes=(_SHAPE,) * len(inputs),
        output_shapes=(_SHAPE,),
        weight_shape=(16, 16, 3, 3) if weighty else None,
        macs=_MACS * (4 if name == "stem" else 1) if weighty else 0,
        kept_macs=_MACS // 2 if weighty else 0,
        parameters=16 * 16 * 9 + 16 if weighty else 0,
        weight_bytes=4 * (16 * 16 * 9 + 16) if weighty else 0,
        attributes={"kernel_shape": "3,3", "note": rename("attribute")} if weighty else {},
    )


def _model(
    rename: Callable[[str], str], nodes: list[NodeFacts], convs: list[NodeFacts]
) -> ModelFacts:
    counts = {op: sum(node.op == op for node in nodes) for op in ("Conv", "Relu", "Add", "Sigmoid")}
    parameters = sum(node.parameters for node in nodes)
    return ModelFacts(
        file=rename("net.onnx"),
        file_bytes=123456,
        ir_version=8,
        opsets={"ai.onnx": 17},
        producer=rename("a producer"),
        inputs=(TensorFacts(rename("x"), "float32", _SHAPE),),
        outputs=(TensorFacts(rename("y"), "float32", _SHAPE),),
        operators=counts,
        nodes=tuple(nodes),
        layers=tuple(_layer(rename, i, node) for i, node in enumerate(convs)),
        macs=sum(node.macs or 0 for node in nodes),
        kept_macs=sum(node.kept_macs or 0 for node in nodes),
        unknown_macs=0,
        parameters=parameters,
        kept_parameters=parameters // 2,
        weight_bytes=4 * parameters,
        optimized=False,
        problem="",
        notes=(rename("a note"),),
    )


def _layer(rename: Callable[[str], str], index: int, node: NodeFacts) -> LayerFacts:
    """The first layer is left alone, the second stays dense, the others are pruned."""
    return LayerFacts(
        layer=node.name,
        node=node.name,
        prunable=index > 1,
        reason=rename("a reason") if index <= 1 else "",
        op="SimdSparseConv" if index else "Conv",
        op_reason="" if index else rename("faster as it is"),
        simd_group=8 if index else 0,
        fused=("Relu",) if index % 2 else (),
    )


def _coupling(rename: Callable[[str], str], blocks: int, nodes: list[NodeFacts]) -> CouplingFacts:
    """The sums of all blocks are one frozen group, the inside of each block one of its own."""
    inside = {rename(f"{kind}{i}") for kind in ("a", "relu") for i in range(blocks)}
    trunk = tuple(node.name for node in nodes if node.name not in inside)
    groups = [
        GroupFacts(
            name=rename("stem"),
            channels=16,
            frozen=rename("graph output 'y'"),
            members=(SlotFacts(rename("stem"), rename("stem.w"), 0, "out", 1),),
            nodes=trunk,
            parameters=16 * 9 * 16,
        )
    ]
    for i in range(blocks):
        a, relu, b = (rename(f"{name}{i}") for name in ("a", "relu", "b"))
        members = (SlotFacts(a, f"{a}.w", 0, "out", 1), SlotFacts(b, f"{b}.w", 1, "in", 4))
        groups.append(GroupFacts(a, 16, "", members, (a, relu, b), 2 * 16 * 9 * 16))
    return CouplingFacts(tuple(groups), blocks, 16 * blocks, 16 * (blocks + 1))


def _sparsity(convs: list[NodeFacts]) -> SparsityFacts:
    weights = 16 * 16 * 9
    layers = tuple(
        LayerSparsity(
            layer=node.name,
            node=node.name,
            weight_shape=(16, 16, 3, 3),
            weights=weights,
            nonzero=weights * (10 - i % 10) // 10,
            zeros={"simd": i % 10 / 10, "filter": 0.0, "2:4": i % 5 / 10},
            stored=None,
            simd_group=8,
            bits=32,
            stored_bytes=4 * weights,
        )
        for i, node in enumerate(convs)
    )
    zeros = {"simd": 0.4, "filter": 0.0, "2:4": 0.2}
    return SparsityFacts(
        layers, 8, weights * len(layers), sum(layer.nonzero for layer in layers), zeros
    )


def _latency(nodes: list[NodeFacts], convs: list[NodeFacts]) -> LatencyFacts:
    """Every Relu is fused into the Conv before it; later layers are slower."""
    total = float(len(nodes) * (len(nodes) + 1) / 2)
    measured, before = [], ""
    for i, node in enumerate(nodes, 1):
        measured.append(
            NodeLatency(node.name, 0.0, 0.0, "", into=before)
            if node.op == "Relu"
            else NodeLatency(node.name, float(i), i / total, node.op)
        )
        before = node.name
    curves = tuple(
        CurveFacts(
            layer=node.name,
            densities=DENSITIES,
            times_ms=tuple(0.1 + density * (1 + i) for density in DENSITIES),
            conv_ms=None if i % 2 else 1.5 + i,
            left_alone="" if i else "faster as it is",
        )
        for i, node in enumerate(convs)
    )
    timing = Timing(total, total * 1.1, total * 1.2, total, 0.5, 50)
    return LatencyFacts(
        _MACHINE, timing, tuple(measured), 0.25, curves, "simd", 8, ("the machine was busy",)
    )
