"""What a plan makes of a model: zeros at full size, and the sparse model to be written.

With filters more goes than their weights: their biases, and the channels of later layers that
only they made (ADMM-NN-S section 3.2). The plan counts filters alone; what else goes is seen in
the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from alcs_onnx.coupling import analyse
from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.rewrite import (
    RewriteResult,
    filter_masks,
    remove_zero_channels,
    rewrite,
    zero_filters,
)
from alcs_onnx.structures import get_structure
from alcs_onnx.types import BoolArray, InitializerName, LayerName, PruningPlan


def initializer_masks(model: Model, plan: PruningPlan) -> Mapping[InitializerName, BoolArray]:
    """Masks of the initializers that `plan` prunes: weights, and with filters their biases."""
    structure = get_structure(plan.structure, plan.simd_group)
    if structure.removes_filters:
        return filter_masks(model, plan.keep)
    layers = {layer.name: layer for layer in conv_layers(model)}
    return {
        layers[name].weight: structure.weight_mask(keep, layers[name])
        for name, keep in plan.keep.items()
    }


def masked_model(model: Model, plan: PruningPlan) -> Model:
    """`model` at full size with zeros for all that `plan` removes."""
    arrays = model.initializers
    return model.with_initializers(
        {
            name: np.where(mask, arrays[name], np.float32(0))
            for name, mask in initializer_masks(model, plan).items()
        }
    )


def sparse_model(
    model: Model, plan: PruningPlan, excluded: Mapping[LayerName, str], simd_group: int
) -> RewriteResult:
    """`rewrite` with all that the structure of the plan takes along.

    The rows of the result and its `dense_macs` are those of the model without the channels
    that went.
    """
    if get_structure(plan.structure, plan.simd_group).removes_filters:
        model, plan = _without_filters(model, plan)
    return rewrite(model, plan, excluded, simd_group)


def _without_filters(model: Model, plan: PruningPlan) -> tuple[Model, PruningPlan]:
    """The model without redundant channels, and the plan for the filters that it still has."""
    coupling = analyse(model)
    found = remove_zero_channels(zero_filters(model, plan.keep, coupling), coupling)
    groups = {layer.name: layer.group for layer in conv_layers(found.model)}
    keep = {
        name: mask.reshape(-1)[found.rows[name]].reshape(groups[name], -1)
        for name, mask in plan.keep.items()
    }
    return found.model, replace(plan, model_digest=found.model.digest, keep=keep)
