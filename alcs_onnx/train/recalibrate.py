"""Repair of a pruned network's activations before it is retrained.

Batch normalisation is folded into the convolutions, so nothing brings the activations of a
pruned network back to the range the next layer expects, and they fade layer by layer. In the
order of the graph, every convolution's output channel is scaled and shifted back to the mean
and deviation it has in the dense model on the same samples; both go into weights and bias.
An output of the graph gets the scale of least squared error instead: nothing after it needs
the deviation. Scaling a channel leaves every zero a zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.train.module import OnnxModule

#: A channel is not scaled beyond these factors: one that has lost nearly all of its weights
#: carries noise that is not worth amplifying.
LIMITS = (0.25, 4.0)


def _channels(value: Tensor) -> Tensor:
    """[N, C, ...] as one row of float64 per channel."""
    return value.transpose(0, 1).flatten(1).double()


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each row."""
    return rows.mean(1), rows.std(1, correction=0)


@torch.no_grad()
def match_moments(
    model: Model, module: OnnxModule, teacher: OnnxModule, inputs: Sequence[Tensor]
) -> None:
    """Match the channel moments of `module`'s convolutions to those of `teacher`, in place.

    `inputs` is one batch of samples, of a size the graph takes. Convolutions that share a
    weight with another node are left as they are.
    """
    layers = {}
    for layer in conv_layers(model):
        names = [name for name in (layer.weight, layer.bias) if name]
        if all(len(model.consumers(n)) == 1 and n in module.trained_names for n in names):
            layers[model.node(layer.name).outputs[0]] = layer
    wanted: dict[str, tuple[Tensor, Tensor]] = {}
    results: dict[str, Tensor] = {}

    def note(name: str, value: Tensor) -> Tensor:
        if name in layers:
            wanted[name] = _moments(_channels(value))
            if model.is_output(name):
                results[name] = _channels(value)
        return value

    def match(name: str, value: Tensor) -> Tensor:
        if name not in layers:
            return value
        layer, rows = layers[name], _channels(value)
        (mean, deviation), (old_mean, old_deviation) = wanted[name], _moments(rows)
        alive = old_deviation > 1e-3 * deviation
        scale = deviation / old_deviation.clamp_min(1e-12)
        if name in results:
            covariance = ((results[name] - mean[:, None]) * (rows - old_mean[:, None])).mean(1)
            scale *= (covariance / (deviation * old_deviation).clamp_min(1e-12)).clamp_min(0)
        scale = torch.where(alive, scale, 1.0).clamp(*LIMITS)
        shift = mean - scale * old_mean if layer.bias else torch.zeros_like(mean)
        weight = module.parameter(layer.weight)
        weight.mul_(_along(scale.to(weight), 0, weight.dim()))
        if layer.bias:
            bias = module.parameter(layer.bias)
            bias.copy_(bias * scale.to(bias) + shift.to(bias))
        return value * _along(scale.to(value), 1, value.dim()) + _along(
            shift.to(value), 1, value.dim()
        )

    teacher.visit(inputs, note)
    module.visit(inputs, match)


def _along(values: Tensor, axis: int, rank: int) -> Tensor:
    """A vector shaped to broadcast along `axis` of a tensor of `rank`."""
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])
