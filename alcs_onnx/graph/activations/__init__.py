"""The activations that our convolutions do at their store: one registry, and what follows from it.

`registry.py` says what there is. `writing.py` turns an activation back into operators and says how
reports call it, `body.py` puts all of them into the ONNX function bodies. What finds them in a
graph is beside this package, in `graph/match_activation.py`.
"""

from alcs_onnx.graph.activations.body import FLOAT_ATTRIBUTES, activation_nodes
from alcs_onnx.graph.activations.registry import GATES, OPERATORS, Call, Gate, gate_numbered
from alcs_onnx.graph.activations.writing import activation_calls, activation_names

__all__ = [
    "FLOAT_ATTRIBUTES",
    "GATES",
    "OPERATORS",
    "Call",
    "Gate",
    "activation_calls",
    "activation_names",
    "activation_nodes",
    "gate_numbered",
]
