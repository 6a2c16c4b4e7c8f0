"""How many groups each layer keeps, from targets: per layer or for all of them together.

The sets of ADMM-NN-S section 4.1 are given by a count for each layer (alpha_i, beta_i, gamma_i,
theta_i), "determined in prior" (section 4.4). A `KeepTarget` gives it as a count, as a share, or
by the share of the layer's run time; one target for the whole network is shared out by a rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.latency import Estimator
from alcs_onnx.solve.registry import RULES

Energies = Mapping[str, npt.NDArray[np.float64]]

_TARGET = re.compile(
    r"^(?:(?P<layer>.+)=)?(?P<value>[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)"
    r"(?P<unit>%time|%|x|)$"
)


@dataclass(frozen=True)
class KeepTarget:
    """What is kept of one layer, or of all together (`layer` empty).

    `unit` is "%" (a share of the weights), "x" (weights divided by the value), "" (a count: of
    groups in a layer, of weights in a network) or "%time" (a share of the layer's dense run
    time).
    """

    layer: str
    value: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> KeepTarget:
        """Parse `conv1=20%`, `conv1=12`, `conv1=30%time`, `2%`, `50x` or `4300`."""
        match = _TARGET.match(text.strip())
        if match is None or float(match["value"]) <= 0:
            raise AlcsError(
                f"'{text}' does not say what is kept: write 2% or 50x or 4300 (weights) for the "
                "whole network, LAYER=20%, LAYER=12 (groups) or LAYER=30%time for a layer"
            )
        target = cls(match["layer"] or "", float(match["value"]), match["unit"])
        if (target.unit in ("%", "%time") and target.value > 100) or (
            target.unit == "x" and target.value < 1
        ):
            raise AlcsError(f"'{text}' would keep more than there is")
        if target.unit == "%time" and not target.layer:
            raise AlcsError(f"'{text}': a share of the run time is for one layer, LAYER={text}")
        return target

    def of(self, total: float) -> float:
        """How many of `total` that is, where no run time is involved."""
        if self.unit == "%":
            return total * self.value / 100
        return total / self.value if self.unit == "x" else min(self.value, total)


def kept_counts(
    targets: Sequence[KeepTarget],
    energies: Energies,
    members: Mapping[str, float],
    *,
    rule: str = RULES.default,
    estimator: Estimator | None = None,
    progress: float = 1.0,
    groups: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Groups that each layer keeps, at least one.

    Shares are of `groups[layer]`, by default all groups of the layer: where another structure
    has emptied some before, of those that it left.

    `progress` below 1 gives the targets of an earlier round of progressive pruning: of a target
    that keeps the share s, s ** progress: equal factors (the rounds of ADMM-NN-S section 4.3
    divide by 1.5, then by 2).

    `energies[layer]` holds the sum of squares of each group, `members[layer]` the weights of a
    group, on average where some of them are pruned already. Layers with a target of their own
    take that; a target without a layer is shared by the others, which stay whole where there is
    none. Raises `AlcsError` for unknown layers, layers named twice, or a share of run time
    without an `estimator`.
    """
    own = {target.layer: target for target in targets if target.layer}
    shared = [target for target in targets if not target.layer]
    if len(own) + len(shared) != len(targets) or len(shared) > 1:
        raise AlcsError("a layer, or the whole network, is given two targets")
    unknown = set(own) - set(energies)
    if unknown:
        raise AlcsError(f"'{min(unknown)}' is no layer that can be pruned")
    sizes = groups or {name: energy.size for name, energy in energies.items()}
    counts = dict(sizes)
    for name, target in own.items():
        wanted = _own_count(target, sizes[name], energies[name].size, estimator)
        counts[name] = _earlier(wanted, sizes[name], progress)
    if shared:
        rest = {name: energy for name, energy in energies.items() if name not in own}
        if not rest:
            raise AlcsError("every layer has a target of its own: none is left for the network's")
        total = sum(sizes[name] * members[name] for name in rest)
        shares = total * (shared[0].of(total) / total) ** progress
        counts |= share_out(rest, members, shares, rule)
    return counts


def _earlier(count: int, groups: int, progress: float) -> int:
    """What a round keeps that is `progress` of the way to `count`."""
    return max(1, round(groups * float((count / groups) ** progress)))


def _own_count(target: KeepTarget, groups: int, measured: int, estimator: Estimator | None) -> int:
    if target.unit != "%time":
        return max(1, round(target.of(groups)))
    if estimator is None or target.layer not in estimator.layers:
        raise AlcsError(f"'{target.layer}={target.value:g}%time' needs a latency table")
    layer = estimator.layers[target.layer]
    if layer.groups != measured:
        raise AlcsError(f"layer '{target.layer}': its latency was measured for other groups")
    return max(1, int(layer.groups_within(float(layer.times[-1]) * target.value / 100)))


def share_out(
    energies: Energies, members: Mapping[str, float], weights: float, rule: str
) -> dict[str, int]:
    """Groups of each layer when all layers together keep at most `weights` weights.

    Groups are taken by worth per weight, the best first; those that no longer fit are passed
    over. Each layer's best group comes first of all: a layer without weights would cut the
    network in two.
    """
    worth_of = RULES.named(rule)
    names = list(energies)
    worth, layer, size = [], [], []
    for index, name in enumerate(names):
        of_layer = worth_of(energies[name].reshape(-1), members[name])
        of_layer[int(np.argmax(of_layer))] = np.inf
        worth.append(of_layer)
        layer.append(np.full(of_layer.size, index))
        size.append(np.full(of_layer.size, members[name]))
    order = np.argsort(-np.concatenate(worth), kind="stable")
    owners, costs = np.concatenate(layer)[order], np.concatenate(size)[order]
    fits = np.cumsum(costs) <= weights
    fits[: len(names)] = True
    left = float(weights - costs[fits].sum())
    for place in np.flatnonzero(~fits):
        if left < costs.min():
            break
        if costs[place] <= left:
            fits[place] = True
            left -= float(costs[place])
    kept = np.bincount(owners[fits], minlength=len(names))
    return {name: int(count) for name, count in zip(names, kept, strict=True)}
