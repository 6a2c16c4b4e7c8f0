"""What `optimize` would do with each layer, or has done, and why it would leave some alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alcs_onnx.graph import Model, Node, conv_layers, reason_no_convolution
from alcs_onnx.graph.activations import activation_names
from alcs_onnx.graph.functions import SPARSE_CONVS
from alcs_onnx.graph.sparse_conv import read_activation
from alcs_onnx.pipeline.inspect.result import LayerFacts
from alcs_onnx.pipeline.inspect.subject import Subject
from alcs_onnx.rewrite import LayerRewrite, compile_sparse
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.structures import reason_dense


def layer_facts(subject: Subject, simd_group: int) -> tuple[LayerFacts, ...]:
    """The layers of the file in its order; none where the model cannot be optimized at all."""
    model = subject.model
    if model is None:
        return ()
    rows = [
        *_convolutions(subject, model, simd_group),
        *_others(subject, model),
    ]
    place = {node.name: index for index, node in enumerate(subject.nodes)}
    return tuple(sorted(rows, key=lambda row: place.get(row.node, len(place))))


def _convolutions(subject: Subject, model: Model, simd_group: int) -> Iterator[LayerFacts]:
    layers = {layer.name: layer for layer in conv_layers(model)}
    nodes = {node.name: node for node in subject.nodes}
    for row in _planned(model, simd_group):
        layer = layers.get(row.layer)
        reason = row.reason if layer is None else reason_dense(model, layer)
        place = subject.file_node(row.layer)
        node = nodes.get(place)
        if node is not None and node.is_ours(*SPARSE_CONVS):
            yield _optimized(subject, node, row.layer, reason)
        else:
            yield _would_become(row, place, reason)


def _planned(model: Model, simd_group: int) -> tuple[LayerRewrite, ...]:
    """What each layer becomes, with all of its weights kept.

    Zeros that take no memory stand in for the weights, so that nothing large is packed: neither
    the operator nor what is fused depends on their values.
    """
    hollow = {
        layer.weight: np.broadcast_to(model.dtypes[layer.weight].type(0), layer.weight_shape)
        for layer in conv_layers(model)
    }
    stand_in = replace(model, initializers={**model.initializers, **hollow})
    return compile_sparse(stand_in, simd_group).layers


def _would_become(row: LayerRewrite, place: str, reason: str) -> LayerFacts:
    stopped = f"nothing more is fused: {row.unfused}" if row.unfused else ""
    return LayerFacts(
        layer=row.layer,
        node=place,
        prunable=not reason,
        reason=reason,
        op=row.op,
        op_reason=row.reason or stopped,
        simd_group=row.simd_group,
        fused=row.fused,
    )


def _optimized(subject: Subject, node: Node, layer: str, reason: str) -> LayerFacts:
    weight = subject.weights.get(node.name)
    stored = weight.stored if weight is not None else None
    residual = ("residual",) if SPARSE_CONVS[node.op_type].residual else ()
    return LayerFacts(
        layer=layer,
        node=node.name,
        prunable=not reason,
        reason=reason,
        op=node.op_type,
        op_reason="" if stored is None else f"stores {100 * stored:.1f} % of its groups",
        simd_group=node.int_attribute("simd_group", 0),
        fused=(*residual, *activation_names(read_activation(node))),
    )


def _others(subject: Subject, model: Model) -> Iterator[LayerFacts]:
    """Layers with constant weights that are no convolutions of the normalised model."""
    here = {node.name: node for node in model.nodes}
    for name, weight in subject.weights.items():
        found = here.get(name)
        if weight.node.domain == OP_DOMAIN or (found is not None and found.is_op("Conv")):
            continue
        if found is None and weight.node.is_op("Conv"):
            continue  # under another name among the convolutions
        reason = f"{weight.node.op_type} is left as it is"
        if found is not None and found.is_op("Gemm", "MatMul"):
            stays = reason_no_convolution(model, found)
            reason = stays or "fully connected: pruned with --fully-connected only"
        yield LayerFacts(
            layer=name,
            node=name,
            prunable=False,
            reason=reason,
            op=weight.node.op_type,
            op_reason=reason,
            simd_group=0,
            fused=(),
        )
