"""What nodes cost in float32 and in int8, measured in context."""

from alcs_onnx.latency.precision.costs import NodeCost, PrecisionCosts, TensorCost
from alcs_onnx.latency.precision.measured import least_disturbed, measured_costs

__all__ = ["NodeCost", "PrecisionCosts", "TensorCost", "least_disturbed", "measured_costs"]
