"""`inspect`: what there is to know about a model file, as plain values."""

from alcs_onnx.pipeline.inspect.result import (
    SCHEMA,
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
    "SCHEMA",
    "CouplingFacts",
    "CurveFacts",
    "GroupFacts",
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
