"""Importance scores by name: of groups of weights, and of whole channels. A score is one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.registry import Registry, Row

if TYPE_CHECKING:
    from alcs_onnx.importance.channels import ChannelScore
    from alcs_onnx.importance.groups import Score

SCORES: Registry[Score] = Registry(
    "score",
    __name__,
    {
        "l2": Row("groups:l2", "Euclidean norm"),
        "l1": Row("groups:l1", "sum of magnitudes"),
    },
)

CHANNEL_SCORES: Registry[ChannelScore] = Registry(
    "channel score",
    __name__,
    {
        "sp-lamp": Row("channels:sp_lamp", "energy of what computes and what reads it, cumulated"),
        "lamp": Row("channels:lamp", "energy of what computes it, cumulated"),
        "l2": Row("channels:l2", "Euclidean norm"),
        "l1": Row("channels:l1", "sum of magnitudes"),
        "taylor": Row("channels:taylor", "change of the loss, needs --data"),
        "uniform": Row("channels:uniform", "rank, the same in every group"),
    },
)


def needs_gradients(score: str) -> bool:
    """Whether the channel score of that name is taken of gradients of the loss."""
    from alcs_onnx.importance.channels import WITH_GRADIENTS

    return CHANNEL_SCORES[score] in WITH_GRADIENTS
