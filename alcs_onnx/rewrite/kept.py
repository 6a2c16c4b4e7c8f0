"""What is left of every tensor of a model when channels are removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from alcs_onnx.coupling import Coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, values_of_sizes
from alcs_onnx.graph.model import Array
from alcs_onnx.types import BoolArray, ChannelMask, Shape


@dataclass(frozen=True, eq=False)
class KeptChannels:
    """See `alcs_onnx.coupling.rules.Kept`; `classes` are those of `coupling` that stay."""

    model: Model
    coupling: Coupling
    classes: BoolArray

    @classmethod
    def of(cls, model: Model, coupling: Coupling, keep: Mapping[str, ChannelMask]) -> KeptChannels:
        """What is left by `keep[group]`, [channels], True where one stays.

        Raises `AlcsError` for masks that do not fit, and for a coupling of another model.
        """
        if coupling.topology_digest != model.topology_digest:
            raise AlcsError("the channel groups are those of another model: analyse this one")
        return cls(model, coupling, coupling.kept_classes(keep))

    def along(self, tensor: str) -> tuple[int, BoolArray] | None:
        """Axis of an activation and which of its positions stay; None when all do."""
        found = self.coupling.activations.get(tensor)
        if found is None:
            return None
        mask = self.classes[found[1]]
        return None if mask.all() else (found[0], mask)

    def masks(self, constant: str, reader: str = "") -> dict[int, BoolArray]:
        """Which positions of a constant stay for a node that reads it, by axis that loses some."""
        own = self.coupling.copies.get((constant, reader))
        axes = self.coupling.constants.get(constant, {}) if own is None else own
        masks = {axis: self.classes[found] for axis, found in axes.items()}
        return {axis: mask for axis, mask in masks.items() if not mask.all()}

    def shape(self, tensor: str) -> Shape:
        """The shape of an activation afterwards."""
        before = self.model.shapes[tensor]
        found = self.along(tensor)
        if found is None:
            return before
        axis, mask = found
        return (*before[:axis], int(mask.sum()), *before[axis + 1 :])

    def value(self, tensor: str) -> Array | None:
        """A constant, or what comes of sizes alone at the measured sizes; None for all else."""
        return self.model.initializers.get(tensor, self._sizes.get(tensor))

    @cached_property
    def _sizes(self) -> Mapping[str, Array]:
        return values_of_sizes(self.model, self.model.shapes)


def taken(array: Array, masks: Mapping[int, BoolArray]) -> Array:
    """The positions of `array` that stay, by axis."""
    for axis, mask in masks.items():
        array = np.compress(mask, array, axis=axis)
    return array
