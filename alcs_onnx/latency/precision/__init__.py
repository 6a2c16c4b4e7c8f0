"""What nodes cost in float32 and in int8, measured in context."""

from alcs_onnx.latency.precision.costs import NodeCost, PrecisionCosts, TensorCost

__all__ = ["NodeCost", "PrecisionCosts", "TensorCost"]
