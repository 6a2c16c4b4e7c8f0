"""Rules that share a number of weights out over the layers: the worth of a layer's groups.

A rule is given the energies of the groups of one layer (sums of squares of their weights,
[groups]) and how many weights a group has, and returns what each group is worth per weight. In a
layer, groups of more energy are worth more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.types import DoubleArray

Rule = Callable[[DoubleArray, float], DoubleArray]


def energy(energies: DoubleArray, members: float) -> DoubleArray:
    """Where all groups are equally large, the Euclidean projection.

    Onto the networks with so many weights and a group in every layer.
    """
    return energies / members


def energy_normalised(energies: DoubleArray, members: float) -> DoubleArray:
    """Energies relative to that of the whole layer."""
    total = energies.sum()
    return (energies / total if total > 0 else energies) / members


def lamp(energies: DoubleArray, members: float) -> DoubleArray:
    """Each energy over the sum of all that are not smaller (LAMP, cited in SP-LAMP eq. 1)."""
    order = np.argsort(-energies, kind="stable")
    sums = np.cumsum(energies[order])
    worth = np.empty_like(energies)
    worth[order] = np.divide(energies[order], sums, out=np.zeros_like(sums), where=sums > 0)
    return worth / members


def uniform(energies: DoubleArray, members: float) -> DoubleArray:
    """The rank in the layer, whatever the number of weights: each layer keeps the same share."""
    worth = np.empty_like(energies)
    worth[np.argsort(-energies, kind="stable")] = 1 - np.arange(energies.size) / energies.size
    return worth
