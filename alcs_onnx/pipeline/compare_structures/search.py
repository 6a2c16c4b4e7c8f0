"""The most pruning and the fewest bits that keep an accuracy (ADMM-NN-S section 6, figure 8).

Pruning goes in rounds: each asks for a factor fewer weights than are left; a round that costs
too much accuracy is undone and the factor reduced to its square root. A combination of
structures is searched one structure after the other. Then levels are tried from the fewest up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from alcs_onnx.errors import AlcsError, DivergedError
from alcs_onnx.levels import get_level_set
from alcs_onnx.pipeline.common.workload import Note
from alcs_onnx.pipeline.compare_structures import defaults
from alcs_onnx.pipeline.compress.compressor import Compressed, Compressor, Trial
from alcs_onnx.solve import KeepTarget
from alcs_onnx.structures import Structure


@dataclass(frozen=True)
class SearchOptions:
    """How hard to search.

    rounds: pruning rounds of each structure, failed ones included.
    factor: what a round divides the number of weights by, its square root after a round that
        failed (ADMM-NN-S section 4.3 divides by 1.5, then by 2).
    smallest_factor: a structure is done when the factor has fallen below.
    levels: quantizations to try, fewest levels first; empty leaves float32.
    per_channel: distances of levels for each output channel instead of each layer.
    """

    rounds: int = 8
    factor: float = 2.0
    smallest_factor: float = 1.15
    levels: tuple[str, ...] = defaults.LEVELS
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise AlcsError(f"a search of {self.rounds} rounds finds nothing")
        if not self.factor >= self.smallest_factor > 1:
            raise AlcsError(
                f"the factor {self.factor:g} must be at least the smallest, "
                f"{self.smallest_factor:g}, and that above 1"
            )
        for name in self.levels:
            get_level_set(name)
        if self.per_channel and not self.levels:
            raise AlcsError("per-channel levels need a quantization")


def search(
    compressor: Compressor,
    start: Compressed,
    structures: Sequence[Structure],
    floor: float,
    options: SearchOptions,
    note: Note,
) -> tuple[Compressed, tuple[Trial, ...]]:
    """The smallest state of at least `floor` accuracy (in [0, 1]) that was found from `start`.

    Where no quantization holds it, the round before is quantized instead, and so on; where none
    of them can be, the smallest state stays float32, and a note says so.
    """
    states, trials = [start], []

    def tried(step: str, found: Compressed) -> bool:
        accepted = found.accuracy >= floor
        trials.append(Trial.of(step, found, accepted))
        note(
            f"{step}: {found.kept} weights left, accuracy {found.accuracy:.2%}"
            + ("" if accepted else f", below {floor:.2%}: undone")
        )
        return accepted

    def attempt(step: Callable[[], Compressed]) -> Compressed | None:
        """The step's result; None where it pruned so far that training diverged."""
        try:
            return step()
        except DivergedError as error:
            note(f"{error}: undone")
            return None

    for structure in structures:
        factor = options.factor
        for _ in range(options.rounds):
            target = KeepTarget("", states[-1].kept / factor, "")
            found = attempt(partial(compressor.prune, states[-1], structure, [target]))
            if found is not None and found.kept >= states[-1].kept:
                break  # every layer is down to its last group
            if found is not None and tried(f"{structure.name} / {factor:.3g}", found):
                states.append(found)
                continue
            factor = factor**0.5
            if factor < options.smallest_factor:
                break
    for state in reversed(states) if options.levels else ():
        for name in options.levels:
            levels = get_level_set(name)
            found = attempt(
                partial(compressor.quantize, state, levels, per_channel=options.per_channel)
            )
            if found is not None and tried(name, found):
                return found, tuple(trials)
        note(f"no quantization keeps the accuracy at {state.kept} weights")
    return states[-1], tuple(trials)
