"""Measured latency tables, the estimators made from them, and their files."""

from alcs_onnx.latency.attribution import attribute, break_down
from alcs_onnx.latency.contributions import (
    ChannelEstimator,
    ReducedModels,
    contribution,
    measure_contributions,
    predict_contributions,
    step_counts,
)
from alcs_onnx.latency.estimator import Estimator, LayerEstimate, restricted
from alcs_onnx.latency.overhead import without_overhead
from alcs_onnx.latency.precision import (
    NodeCost,
    PrecisionCosts,
    TensorCost,
    least_disturbed,
    measured_costs,
)
from alcs_onnx.latency.profile import SparseModels, kept_groups, profile
from alcs_onnx.latency.runner import Runner
from alcs_onnx.latency.store import load_channel_table, load_table, save_table

__all__ = [
    "ChannelEstimator",
    "Estimator",
    "LayerEstimate",
    "NodeCost",
    "PrecisionCosts",
    "ReducedModels",
    "Runner",
    "SparseModels",
    "TensorCost",
    "attribute",
    "break_down",
    "contribution",
    "kept_groups",
    "least_disturbed",
    "load_channel_table",
    "load_table",
    "measure_contributions",
    "measured_costs",
    "predict_contributions",
    "profile",
    "restricted",
    "save_table",
    "step_counts",
    "without_overhead",
]
