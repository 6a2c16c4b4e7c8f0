"""Finds the layers of a dense model among the nodes that the runtime really runs.

The runtime fuses a Conv with what follows and renames it. On x86 it moves it to a blocked
layout and names the node after its output tensor plus `_nchwc`, which after fusion with an
activation is the activation's output; elsewhere it keeps the name of the Conv.

A gate (HardSwish, Silu) that the runtime does not fuse stays nodes of its own. As our op does it
within the layer, their time counts as the layer's here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import nan, prod

from alcs_onnx.graph import FoundActivation, GraphEditor, Model, conv_layers, match_activation
from alcs_onnx.graph.activations import GATES
from alcs_onnx.op_traits import ops_with
from alcs_onnx.target import NodeTimes

#: What the runtime fuses into a preceding Conv (its element-wise sum included) or folds into it.
FUSIBLE = ops_with(lambda op: op.in_conv)
#: Activations that it fuses into a preceding Gemm.
FUSIBLE_IN_GEMM = ops_with(lambda op: op.in_gemm)
#: What the runtime appends to a name, and to one that is taken.
_SUFFIX = re.compile(r"(_nchwc(_token_\d+|_\d+)?|_token_\d+|_new_reshape)$")
#: What it appends to the name of a node that it makes of several: the last or the main one's.
_PRODUCT_SUFFIX = re.compile(
    r"/((QuickGelu|MatmulTranspose)Fusion/.*|MatMulAddFusion|Gather(Slice)?ToSplitFusion)$"
)
#: What it puts before the name of a Gemm or Conv that an activation was fused into, and before the
#: tensor of a float16 node that it runs in float32.
_PREFIX = re.compile(r"^(fused |InsertedPrecisionFreeCast_)")
#: Operators that are a gate, and what the runtime may replace them by.
GATE_PARTS = {gate.operator: gate.parts for gate in GATES.values() if gate.operator}


def dense_times(model: Model, profile: NodeTimes) -> dict[str, float]:
    """Time (ms) of each convolution of `model` in its own profile; NaN where not found."""
    gates = _gate_times(model, profile)
    ran = find_convs(model, [layer.name for layer in conv_layers(model)], profile)
    return {
        layer.name: profile.nodes[ran[layer.name]] + gates.get(layer.name, 0.0)
        if layer.name in ran
        else nan
        for layer in conv_layers(model)
    }


def find_convs(model: Model, layers: Iterable[str], profile: NodeTimes) -> dict[str, str]:
    """Under which name the runtime ran each of these convolutions, where it can be told."""
    by_stem: dict[str, list[str]] = {}
    for node, op_type in profile.op_types.items():
        if "Conv" in op_type:
            by_stem.setdefault(stem(node), []).append(node)
    found: dict[str, str] = {}
    for layer in layers:
        for alias in aliases(model, layer):
            nodes = [alias] if alias in profile.nodes else by_stem.get(alias, [])
            if len(nodes) == 1 and "Conv" in profile.op_types[nodes[0]]:
                found[layer] = nodes[0]
                break
    return found


def stem(name: str) -> str:
    """The name of a node or tensor of the model that the runtime made the name of a node from."""
    return _PREFIX.sub("", _SUFFIX.sub("", _PRODUCT_SUFFIX.sub("", name)))


def _gate_times(model: Model, profile: NodeTimes) -> dict[str, float]:
    """Time (ms) of the unfused gate behind each layer, or behind its sum with a residual."""
    times: dict[str, float] = {}
    for node, time in profile.nodes.items():
        name = _PRODUCT_SUFFIX.sub("", node)
        times[name] = times.get(name, 0.0) + time
    times |= replaced_times(model, profile)
    editor = GraphEditor(model)
    behind: dict[str, float] = {}
    for layer in conv_layers(model):
        tensor = editor.tensor(model.node(layer.name).outputs[0])
        following = editor.only_consumer(tensor)
        if following is not None and following.is_op("Add"):
            tensor = following.outputs[0]
        found = match_activation(editor, tensor)
        if isinstance(found, FoundActivation) and found.activation.gate != 0:
            behind[layer.name] = sum(times.get(node.name, 0.0) for node in found.nodes)
    return behind


def replaced_times(model: Model, profile: NodeTimes) -> dict[str, float]:
    """Time (ms) of gates that are one node, which the runtime may replace by nodes of its own.

    Those have other names. What they take together is shared out by the sizes of the tensors.
    """
    known = {node.name for node in model.nodes}
    replaced = [
        node for node in model.nodes if node.is_op(*GATE_PARTS) and node.name not in profile.nodes
    ]
    parts = {part for node in replaced for part in GATE_PARTS[node.op_type]}
    nameless = sum(
        time
        for node, time in profile.nodes.items()
        if profile.op_types[node] in parts and node not in known
    )
    sizes = {node.name: prod(model.shapes.get(node.outputs[0], ())) for node in replaced}
    total = sum(sizes.values())
    return {name: nameless * size / total for name, size in sizes.items()}


def aliases(model: Model, layer: str) -> list[str]:
    """Names under which the runtime may run `layer`: its own, then its output tensors'."""
    node = model.node(layer)
    aliases = [layer]
    while True:
        tensor = node.outputs[0]
        aliases.append(tensor)
        consumers = model.consumers(tensor)
        if len(consumers) != 1 or consumers[0].op_type not in FUSIBLE:
            return aliases
        node = consumers[0]
