"""Entries of parameters that training leaves as they are: pruned zeros, quantized weights.

ADMM-NN-S section 4.2: masked weights stay 0 while the others are retrained, and quantized
weights stay at their level while the unquantized ones are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from alcs_onnx.errors import AlcsError
from alcs_onnx.train.loop import Trainer, gradient
from alcs_onnx.types import BoolArray, InitializerName


class Frozen:
    """Keeps entries of a trainer's parameters from changing.

    `trainable` is by initializer, bool in the parameter's shape, False where the entry keeps
    the value that it has now. Gradients are masked before a step, and the values restored
    after it: an optimizer's weight decay moves entries without a gradient, too.
    """

    @torch.no_grad()
    def __init__(self, trainer: Trainer, trainable: Mapping[InitializerName, BoolArray]) -> None:
        self._entries: list[tuple[torch.nn.Parameter, Tensor, Tensor]] = []
        for name, array in trainable.items():
            parameter = trainer.module.parameter(name)
            if array.shape != tuple(parameter.shape):
                raise AlcsError(
                    f"the mask of '{name}' has shape {list(array.shape)}, "
                    f"the tensor {list(parameter.shape)}"
                )
            mask = trainer.tensor(array, parameter.detach())
            self._entries.append((parameter, mask, parameter.detach().clone()))

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zero the gradients of frozen entries."""
        for parameter, mask, _ in self._entries:
            gradient(parameter).mul_(mask)

    @torch.no_grad()
    def restore(self) -> None:
        """Give frozen entries their values again."""
        for parameter, mask, values in self._entries:
            parameter.copy_(torch.where(mask, parameter, values))


@torch.no_grad()
def set_zeros(trainer: Trainer, keep: Mapping[InitializerName, BoolArray]) -> None:
    """Zero the initializers' entries where `keep` is False; `AlcsError` for a wrong shape."""
    layers = {name: layer for layer, name in trainer.initializers.items()}
    for name, mask in keep.items():
        parameter = trainer.module.parameter(name)
        if mask.shape != tuple(parameter.shape):
            what = f"layer '{layers[name]}'" if name in layers else f"'{name}'"
            raise AlcsError(
                f"the mask of {what} has shape {list(mask.shape)}, its weight "
                f"{list(parameter.shape)}"
            )
        parameter.mul_(trainer.tensor(mask, parameter.detach()))
