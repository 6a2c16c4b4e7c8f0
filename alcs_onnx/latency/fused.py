"""Finds the layers of a dense model among the nodes that the runtime really runs.

The runtime fuses a Conv with what follows and renames it. On x86 it moves it to a blocked
layout and names the node after its output tensor plus `_nchwc`, which after fusion with an
activation is the activation's output; elsewhere it keeps the name of the Conv.
"""

from __future__ import annotations

import re
from math import nan

from alcs_onnx.graph import Model
from alcs_onnx.target import NodeTimes

#: What the runtime fuses into a preceding Conv (its element-wise sum included).
_FUSIBLE = frozenset({"Add", "Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid"})
#: What the runtime appends to a name, and to one that is taken.
_SUFFIX = re.compile(r"(_nchwc(_token_\d+|_\d+)?|_token_\d+)$")


def dense_times(model: Model, profile: NodeTimes) -> dict[str, float]:
    """Time (ms) of each convolution of `model` in its own profile; NaN where not found."""
    times = dict(profile.nodes)
    by_stem: dict[str, list[str]] = {}
    for node, op_type in profile.op_types.items():
        if "Conv" in op_type:
            by_stem.setdefault(_SUFFIX.sub("", node), []).append(node)
    found: dict[str, float] = {}
    for layer in model.conv_layers:
        found[layer.name] = nan
        for alias in _aliases(model, layer.name):
            nodes = [alias] if alias in times else by_stem.get(alias, [])
            if len(nodes) == 1 and "Conv" in profile.op_types[nodes[0]]:
                found[layer.name] = times[nodes[0]]
                break
    return found


def _aliases(model: Model, layer: str) -> list[str]:
    """Names under which the runtime may run `layer`: its own, then its output tensors'."""
    node = next(node for node in model.nodes if node.name == layer)
    aliases = [layer]
    while True:
        tensor = node.outputs[0]
        aliases.append(tensor)
        consumers = model.consumers(tensor)
        if len(consumers) != 1 or consumers[0].op_type not in _FUSIBLE:
            return aliases
        node = consumers[0]
