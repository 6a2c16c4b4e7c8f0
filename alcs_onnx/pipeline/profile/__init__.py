"""`profile`: measure a latency table."""

from alcs_onnx.pipeline.profile.command import profile, profile_channels

__all__ = ["profile", "profile_channels"]
