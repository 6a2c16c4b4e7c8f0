"""Names that flags offer: copies of the registries', so that `--help` need not import them.

A test holds each against its registry.
"""

#: Methods that remove groups of weights, by the structure of the groups.
GROUP_METHODS = ("simd", "filter", "shape", "unstructured")
#: The methods of `alcs_onnx.optimize`.
METHODS = (*GROUP_METHODS, "channel", "hybrid")
#: `solve.SOLVERS`, the default first.
PROJECTIONS = ("energy-normalised", "energy", "bisection")
#: `channel_importance.CHANNEL_SCORES` and `solve.CHANNEL_SOLVERS`.
CHANNEL_SCORES = ("sp-lamp", "lamp", "l2", "l1", "taylor", "uniform")
CHANNEL_SOLVERS = ("knapsack", "greedy", "uniform")
#: `structures.STRUCTURES`, and what `compare-structures` compares where nothing is named.
STRUCTURES = ("unstructured", "simd", "filter", "channel", "shape")
DEFAULT_STRUCTURES = ("unstructured", "simd", "filter", "shape", "shape+filter")
#: `solve.RULES`.
RULES = ("lamp", "energy", "energy-normalised", "uniform")
#: `levels.LEVEL_SETS`, and those that `compare-structures` tries.
LEVELS = ("binary", "ternary", "3bit", "4bit", "5bit", "6bit", "7bit", "8bit")
DEFAULT_LEVELS = ("3bit", "4bit", "5bit", "8bit")
