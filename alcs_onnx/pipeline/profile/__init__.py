"""`profile`: measure a latency table."""

from alcs_onnx.pipeline.profile.command import profile
from alcs_onnx.pipeline.profile.request import ProfileRequest

__all__ = ["ProfileRequest", "profile"]
