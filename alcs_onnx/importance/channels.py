"""Importance of whole channels: larger is kept first.

The weights that a channel stands for are named by the slots of its group. An "out" slot holds
what computes the channel (the filter W[u] of SP-LAMP), an "in" slot what reads it (the slice
of the next layer's weights), a "scale" slot what multiplies it on the way. So a group of a
residual sum has several "out" slots, a channel with several consumers several "in" slots, and
a channel that goes through a concatenation slots that are parts of larger weights; energies
of one role add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import ChannelGroup, ChannelSlot, DoubleArray

#: Weights that are multiplied by their own channel's values, not summed over others.
_ROLES = ("out", "in", "scale")


@dataclass(frozen=True)
class GroupWeights:
    """The weights of one group, summed up channel by channel."""

    group: ChannelGroup
    weights: Mapping[str, npt.NDArray[Any]]
    gradients: Mapping[str, npt.NDArray[Any]] | None = None

    def slots(self, role: str) -> tuple[ChannelSlot, ...]:
        """The slots with that role."""
        return tuple(slot for slot in self.group.slots if slot.role == role)

    @property
    def own(self) -> tuple[ChannelSlot, ...]:
        """The slots that a magnitude is taken of: those of the first role that there is."""
        return next((slots for role in _ROLES if (slots := self.slots(role))), ())

    def energy(self, slots: Iterable[ChannelSlot]) -> DoubleArray:
        """Sum of the squares of each channel's weights, [channels]."""
        return self.sum(slots, lambda slot: np.square(self.values(slot), dtype=np.float64))

    def sum(
        self, slots: Iterable[ChannelSlot], values: Callable[[ChannelSlot], npt.NDArray[Any]]
    ) -> DoubleArray:
        """Sum over the slots of `values`, shaped as the slot's tensor, by channel."""
        total = np.zeros(self.group.channels)
        for slot in slots:
            array = values(slot)
            axis = slot.axis % array.ndim
            others = tuple(other for other in range(array.ndim) if other != axis)
            # Summed over the other axes first: a gather of whole slices would copy the tensor.
            along = array.sum(axis=others, dtype=np.float64)
            total += np.take(along, slot.indices).reshape(self.group.channels, -1).sum(axis=1)
        return total

    def values(self, slot: ChannelSlot) -> npt.NDArray[Any]:
        """The slot's tensor; raises `AlcsError` if it is absent or not finite."""
        return self._find(self.weights, slot, "weights")

    def gradient(self, slot: ChannelSlot) -> npt.NDArray[Any]:
        """The gradient of the loss by the slot's tensor; raises `AlcsError` as `values` does."""
        return self._find(self.gradients or {}, slot, "gradients")

    def _find(
        self, arrays: Mapping[str, npt.NDArray[Any]], slot: ChannelSlot, what: str
    ) -> npt.NDArray[Any]:
        where = f"channel group '{self.group.name}': the {what} of '{slot.tensor}'"
        if slot.tensor not in arrays:
            raise AlcsError(f"{where} are missing")
        array = np.asarray(arrays[slot.tensor])
        if not np.isfinite(array).all():
            raise AlcsError(f"{where} are not finite numbers")
        return array


#: One score per channel, [channels], never negative.
ChannelScore = Callable[[GroupWeights], DoubleArray]


def sp_lamp(group: GroupWeights) -> DoubleArray:
    """SP-LAMP eq. 2 (eq. 23 of its appendix), and eq. 3 where nothing reads the channel.

    The energy of a channel is ||W_l,u||^2 * ||W^_l+1,u||^2: that of its "out" slots times
    that of its "in" slots. Beyond the paper's chain of layers:

    - A channel with several producers (a residual sum) or several consumers has the sum over
      them: its removal takes all of them away.
    - A depthwise weight, the scale of a normalisation and the like multiply what passes, so
      each such slot is a factor of its own: the mean square of the channel's values, a mean so
      that a 5x5 kernel counts no more than a 1x1.
    - Grouped convolutions and concatenations need nothing special: a channel's slices are
      positions of a slot, or more slots.
    - Without an "in" slot, as in the last layer, eq. 3: the "out" slots alone. Without an
      "out" slot (what is computed without weights) the "in" slots alone.

    Every factor is divided by its mean over the group, which no score depends on and which
    keeps products in range. The score of a channel is its energy over the sum of all that
    are not smaller: exactly 1 for the largest.
    """
    energy = np.ones(group.group.channels)
    for slots in (group.slots("out"), group.slots("in")):
        if slots:
            energy *= _relative(group.energy(slots))
    for slot in group.slots("scale"):
        # Slots of one tensor have the same number of values for each channel: the mean and
        # the sum differ by a factor that falls out.
        energy *= _relative(group.energy([slot]))
    return _cumulative(energy)


def lamp(group: GroupWeights) -> DoubleArray:
    """LAMP (SP-LAMP eq. 1) with channels for weights: the energy of the "out" slots alone."""
    return _cumulative(group.energy(group.own))


def l2(group: GroupWeights) -> DoubleArray:
    """L2 norm of what computes the channel, relative to the group's mean."""
    return _relative(np.sqrt(group.energy(group.own)))


def l1(group: GroupWeights) -> DoubleArray:
    """L1 norm of what computes the channel, relative to the group's mean."""
    return _relative(group.sum(group.own, lambda slot: np.abs(group.values(slot))))


def taylor(group: GroupWeights) -> DoubleArray:
    """Square of the first-order change of the loss when the channel is removed.

    (sum of gradient * weight over what computes it)^2: Molchanov et al., "Importance
    estimation for neural network pruning", 2019, eq. 8.
    """
    if group.gradients is None:
        raise AlcsError(
            "channel score 'taylor' needs gradients of the loss: give labelled data, "
            "or use another score"
        )
    change = group.sum(
        group.own,
        lambda slot: np.multiply(group.values(slot), group.gradient(slot), dtype=np.float64),
    )
    return np.square(change)


def uniform(group: GroupWeights) -> DoubleArray:
    """Rank by L2 norm over the number of channels: (0, 1], evenly spread in every group.

    So one threshold over all groups keeps the same share of each.
    """
    ranks = np.empty(group.group.channels)
    ranks[_ascending(group.energy(group.own))] = np.arange(1, ranks.size + 1)
    return ranks / ranks.size


def _relative(values: DoubleArray) -> DoubleArray:
    """`values` over their mean; zeros stay zeros."""
    mean = float(values.mean())
    return values / mean if mean > 0 else values


def _ascending(values: DoubleArray) -> npt.NDArray[np.intp]:
    """The order of `values`; of equal ones the last comes first."""
    return np.argsort(values[::-1], kind="stable").astype(np.intp) * -1 + (values.size - 1)


def _cumulative(energy: DoubleArray) -> DoubleArray:
    """score(u) = e_u / (sum of e_v over the v from u on), in ascending order of energy.

    The largest has exactly 1, also where all are zero.
    """
    order = _ascending(energy)
    ascending = energy[order]
    rest = np.cumsum(ascending[::-1])[::-1]  # from the largest down: small terms are not lost
    scores = np.zeros_like(energy)
    scores[order] = np.divide(ascending, rest, out=np.zeros_like(rest), where=rest > 0)
    scores[order[-1]] = 1.0
    return scores


#: The scores that need gradients of the loss.
WITH_GRADIENTS: frozenset[ChannelScore] = frozenset({taylor})
