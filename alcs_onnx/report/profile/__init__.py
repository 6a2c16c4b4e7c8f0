"""What is told of a measured latency table."""

from alcs_onnx.report.profile.tables import print_channel_table, print_table

__all__ = ["print_channel_table", "print_table"]
