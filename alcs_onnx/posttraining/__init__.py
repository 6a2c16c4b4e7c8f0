"""Weights refitted from a few hundred pictures, without labels and without back-propagation.

The layer-wise problem is `problem`, its ADMM `admm`; `levels` looks at each layer alone, `in_order`
refits all of them one after the other, to levels of a codebook where that is asked for
(`codebook_fit`), and `round_in_order` rounds them beside activations that are rounded, too.
Networks run in ONNX Runtime, stage by stage.
"""

from alcs_onnx.posttraining.codebook_fit import OnCodebook
from alcs_onnx.posttraining.in_order import Allowed, Refit, refit_in_order
from alcs_onnx.posttraining.layer_levels import LayerLevels
from alcs_onnx.posttraining.layers import (
    fully_connected,
    own_layers,
    refitted_layers,
    rows_first,
    weights_of,
)
from alcs_onnx.posttraining.levels import measure_levels
from alcs_onnx.posttraining.round_in_order import Integers, RoundedLayer, round_in_order
from alcs_onnx.posttraining.rounding import Grid
from alcs_onnx.posttraining.stages import Fed
from alcs_onnx.posttraining.store import LevelStore
from alcs_onnx.posttraining.supports import largest

__all__ = [
    "Allowed",
    "Fed",
    "Grid",
    "Integers",
    "LayerLevels",
    "LevelStore",
    "OnCodebook",
    "Refit",
    "RoundedLayer",
    "fully_connected",
    "largest",
    "measure_levels",
    "own_layers",
    "refit_in_order",
    "refitted_layers",
    "round_in_order",
    "rows_first",
    "weights_of",
]
