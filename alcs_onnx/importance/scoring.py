"""Scores by name, of the layers and channel groups of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.importance.channels import GroupWeights
from alcs_onnx.importance.registry import CHANNEL_SCORES, SCORES
from alcs_onnx.structures import Structure
from alcs_onnx.types import ChannelGroup, ConvLayer, FloatArray


def scores(
    weights: Mapping[str, FloatArray],
    layers: Mapping[str, ConvLayer],
    structure: Structure,
    score: str = SCORES.default,
) -> dict[str, FloatArray]:
    """The score of every group of every layer, in the shape of the structure's keep mask.

    `weights` and `layers` are keyed by layer name. Raises `AlcsError` for an unknown score.
    """
    of_groups = SCORES.named(score)
    return {
        name: of_groups(structure.grouped(weight, layers[name])) for name, weight in weights.items()
    }


def channel_scores(
    weights: Mapping[str, npt.NDArray[Any]],
    group: ChannelGroup,
    score: str = CHANNEL_SCORES.default,
    gradients: Mapping[str, npt.NDArray[Any]] | None = None,
) -> FloatArray:
    """The score of every channel of `group`, float32 [channels], never negative.

    `weights` and `gradients` (of the loss, for "taylor") are keyed by initializer. Of equal
    channels the first counts as the larger. Raises `AlcsError` for an unknown score, and for
    weights or gradients that are missing or not finite.
    """
    of_channels = CHANNEL_SCORES.named(score)
    return of_channels(GroupWeights(group, weights, gradients)).astype(np.float32)
