"""What a model takes beside the samples of a data set: the same values for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class GivenInput:
    """An input whose values are given; `counts_samples`: its first axis, repeated as needed."""

    value: Array
    counts_samples: bool

    @classmethod
    def of(cls, model: Model, name: str, value: Array) -> GivenInput:
        """`value` has the model's own shape of the input."""
        return cls(np.array(value), name in model.sample_inputs)

    def rows(self, samples: IntArray) -> Array:
        """The values of the samples of these numbers."""
        if not self.counts_samples:
            return self.value
        chosen: Array = self.value[samples]
        return chosen

    def repeated(self, samples: int) -> Array:
        """The value for so many samples."""
        if not self.counts_samples:
            return self.value
        return self.rows(np.arange(samples) % self.value.shape[0])


@dataclass(frozen=True, eq=False)
class OtherInputs:
    """The inputs beside the image, in graph order, which has `place` among all of them."""

    inputs: tuple[GivenInput, ...] = ()
    place: int = 0

    @classmethod
    def of(cls, model: Model, image: str, values: Mapping[str, Array]) -> OtherInputs:
        """All but the input `image`; raises `DataError` for one that has no value."""
        names = [info.name for info in model.inputs]
        others = [name for name in names if name != image]
        for name in others:
            if name not in values:
                raise DataError(
                    f"the data gives only input '{image}': give the values of input '{name}', as "
                    f"in --input-values {name}:1, or the data as module:function"
                )
        found = tuple(GivenInput.of(model, name, values[name]) for name in others)
        return cls(found, names.index(image))

    def beside(self, images: Array) -> tuple[Array, ...]:
        """All inputs in graph order, for a batch of images."""
        found = [given.repeated(images.shape[0]) for given in self.inputs]
        return (*found[: self.place], images, *found[self.place :])
