"""Solvers by name: of groups of weights, of channels, and rules that share out weights.

Each is one row here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.registry import Registry, Row

if TYPE_CHECKING:
    from alcs_onnx.solve.channel_problem import ChannelSolver
    from alcs_onnx.solve.problem import Solver
    from alcs_onnx.solve.rules import Rule

SOLVERS: Registry[Solver] = Registry(
    "solver",
    __name__,
    {
        "energy-normalised": Row(
            "energy:energy_normalised", "most kept energy, of each layer relative to its own"
        ),
        "energy": Row("energy:energy", "most kept energy"),
        "bisection": Row("bisection:bisection", "the largest norms, as in the ALCS paper"),
    },
)

CHANNEL_SOLVERS: Registry[ChannelSolver] = Registry(
    "channel solver",
    __name__,
    {
        "knapsack": Row("channel_solvers:knapsack", "most score under the budget"),
        "greedy": Row("channel_solvers:greedy", "one threshold on the score"),
        "uniform": Row("channel_solvers:uniform", "the same share of every group"),
    },
)

#: Rules that share a number of weights out over the layers.
RULES: Registry[Rule] = Registry(
    "rule",
    __name__,
    {
        "lamp": Row("rules:lamp", "energy over the sum of all that are not smaller"),
        "energy": Row("rules:energy", "energy"),
        "energy-normalised": Row("rules:energy_normalised", "energy relative to the layer's"),
        "uniform": Row("rules:uniform", "the same share of every layer"),
    },
)
