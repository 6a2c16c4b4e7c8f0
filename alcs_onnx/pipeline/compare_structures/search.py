"""The most pruning and the fewest bits that keep an accuracy (ADMM-NN-S section 6, figure 8).

Pruning goes in rounds: each asks for a factor fewer weights than are left; a round that costs
too much accuracy is undone and the factor reduced to its square root. A combination of
structures is searched one structure after the other. Then levels are tried from the fewest up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from alcs_onnx.codebooks import get_codebook
from alcs_onnx.errors import DivergedError
from alcs_onnx.pipeline.compare_structures.request import SearchOptions
from alcs_onnx.pipeline.compress.compressor import Compressor
from alcs_onnx.pipeline.compress.state import Compressed, Trial
from alcs_onnx.reporter import Reporter
from alcs_onnx.solve import KeepTarget
from alcs_onnx.solve.rounds import Rounds
from alcs_onnx.structures import Structure


def search(
    compressor: Compressor,
    start: Compressed,
    structures: Sequence[Structure],
    floor: float,
    options: SearchOptions,
    reporter: Reporter,
) -> tuple[Compressed, tuple[Trial, ...]]:
    """The smallest state of at least `floor` accuracy (in [0, 1]) that was found from `start`.

    Where no quantization holds it, the round before is quantized instead, and so on; where none
    of them can be, the smallest state stays float32, and a note says so.
    """
    states, trials = [start], []

    def tried(step: str, found: Compressed) -> bool:
        accepted = found.accuracy >= floor
        trials.append(Trial.of(step, found, accepted))
        reporter.note(
            f"{step}: {found.kept} weights left, accuracy {found.accuracy:.2%}"
            + ("" if accepted else f", below {floor:.2%}: undone")
        )
        return accepted

    def attempt(step: Callable[[], Compressed]) -> Compressed | None:
        """The step's result; None where it pruned so far that training diverged."""
        try:
            return step()
        except DivergedError as error:
            reporter.note(f"{error}: undone")
            return None

    for structure in structures:
        rounds = Rounds(options.factor, options.rounds, options.smallest_factor)
        while not rounds.over:
            target = KeepTarget("", states[-1].kept / rounds.factor, "")
            found = attempt(partial(compressor.prune, states[-1], structure, [target]))
            if found is not None and found.kept >= states[-1].kept:
                break  # every layer is down to its last group
            step = f"{structure.name} / {rounds.factor:.3g}"
            accepted = found is not None and tried(step, found)
            if accepted and found is not None:
                states.append(found)
            rounds = rounds.after(accepted=accepted)
    for state in reversed(states) if options.levels else ():
        for name in options.levels:
            levels = get_codebook(name)
            found = attempt(
                partial(compressor.quantize, state, levels, per_channel=options.per_channel)
            )
            if found is not None and tried(name, found):
                return found, tuple(trials)
        reporter.note(f"no quantization keeps the accuracy at {state.kept} weights")
    return states[-1], tuple(trials)
