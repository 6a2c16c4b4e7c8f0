"""`inspect`: what there is to know about a model file, as plain values."""

from alcs_onnx.pipeline.inspect.request import VIEWS, InspectRequest
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

__all__ = [
    "VIEWS",
    "CouplingFacts",
    "CurveFacts",
    "GroupFacts",
    "InspectRequest",
    "Inspection",
    "LatencyFacts",
    "LayerFacts",
    "LayerSparsity",
    "ModelFacts",
    "NodeFacts",
    "NodeLatency",
    "SlotFacts",
    "SparsityFacts",
    "TensorFacts",
]
