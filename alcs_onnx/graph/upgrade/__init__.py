"""Opset upgrades that keep the meaning of every node, one rule for each change of an operator."""

from alcs_onnx.graph.upgrade import rules
from alcs_onnx.graph.upgrade.driver import NEWEST, OLDEST, TARGET, upgrade
from alcs_onnx.graph.upgrade.scope import default_opset

__all__ = ["NEWEST", "OLDEST", "TARGET", "default_opset", "rules", "upgrade"]
