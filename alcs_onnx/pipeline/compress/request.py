"""What `compress` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.codebooks import get_codebook
from alcs_onnx.errors import AlcsError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.solve import KeepTarget
from alcs_onnx.structures import Structure, structure_sequence


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Which layers take part, and how weights are shared out over them.

    fully_connected: whether fully connected layers are pruned as well (balanced pruning:
        ADAM-ADMM section 5.1); they take part as convolutions.
    rule: how a number of weights of the network is shared out over the layers (`solve.RULES`).
    """

    fully_connected: bool = False
    rule: str = "lamp"


@dataclass(frozen=True)
class CompressOptions(LayerOptions):
    """What is kept, and in how many bits.

    structure: a name of `STRUCTURES`, or several joined by "+" that are pruned in turn.
    keep: targets as `KeepTarget.parse` reads them; before a colon may stand the structure of a
        combination that a target is for (`shape:10%`). A target for all structures is reached
        by each of them in equal parts. A target of the network is of the layers that have none
        of their own: beside `conv1=20%`, `10%` is a tenth of the weights of all other layers.
        Empty prunes nothing.
    rounds: progressive rounds towards the targets (ADMM-NN-S section 4.3).
    levels: a name of `CODEBOOKS`; empty leaves float32.
    plain: write ordinary ONNX, quantized weights behind DequantizeLinear, for any runtime; instead
        of the sparse operator with packed weights.
    per_channel, fully_connected, rule: as in `SearchOptions` and `LayerOptions`.
    """

    structure: str = "simd"
    keep: tuple[str, ...] = ()
    rounds: int = 1
    levels: str = ""
    plain: bool = False
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise AlcsError(f"{self.rounds} rounds reach no target")
        if not self.keep and not self.levels:
            raise AlcsError("there is nothing to do: say what to keep, or name a quantization")
        if self.levels:
            get_codebook(self.levels)
        elif self.per_channel:
            raise AlcsError("per-channel levels need a quantization")
        if self.rounds > 1 and not self.keep:
            raise AlcsError("rounds need a target: say what to keep")
        structure_sequence(self.structure, 1)
        self.named_targets()

    def named_targets(self) -> list[tuple[str, KeepTarget]]:
        """The targets with the structure that each is for, empty where it is for all of them.

        Raises `AlcsError` for what is no target, or is for a structure that is not there.
        """
        names = self.structure.split("+")
        found = []
        for text in self.keep:
            own = next((name for name in names if text.startswith(f"{name}:")), "")
            if own:
                found.append((own, KeepTarget.parse(text[len(own) + 1 :])))
                continue
            prefix, colon, rest = text.partition(":")
            # Names of layers may hold colons, but then there is an equals sign.
            if colon and "=" not in rest:
                raise AlcsError(
                    f"'{text}' is for '{prefix}', which is no structure of '{self.structure}': "
                    f"write {' or '.join(f'{name}:{rest}' for name in names)}"
                )
            found.append(("", KeepTarget.parse(text)))
        return found

    def targets(self, structures: Sequence[Structure]) -> list[list[KeepTarget]]:
        """The targets of each structure.

        Raises `AlcsError` for a target of all structures that cannot be divided among them.
        """
        names = [structure.name for structure in structures]
        found: list[list[KeepTarget]] = [[] for _ in structures]
        for own, target in self.named_targets():
            for name, targets in zip(names, found, strict=True):
                if own == name:
                    targets.append(target)
                elif not own:
                    targets.append(_part(target, len(names)))
        return found


@dataclass(frozen=True, kw_only=True)
class CompressRequest:
    """A model to prune and quantize to given targets.

    training: data and schedule of ADMM and retraining; None: the pictures of `judging` are to do,
        layers are refitted to the dense model's outputs.
    table: a latency table of the structure, needed where targets are shares of run time.
    simd_group: output channels per SIMD group, for the structure "simd".
    judging: by what it is judged what was lost, the test data where nothing is said, and how much
        may be.
    """

    model: Path
    output: Path
    options: CompressOptions
    training: Training | None = None
    inputs: InputSettings = field(default_factory=InputSettings)
    table: Path | None = None
    simd_group: int = 4
    measuring: Measuring = field(default_factory=Measuring)
    judging: Judging = field(default_factory=Judging)
    seed: int = 0


def _part(target: KeepTarget, structures: int) -> KeepTarget:
    """The target of one structure of several that reach it together."""
    if structures == 1:
        return target
    if target.unit == "x":
        return KeepTarget(target.layer, target.value ** (1 / structures), "x")
    if target.unit == "%":
        return KeepTarget(target.layer, 100 * (target.value / 100) ** (1 / structures), "%")
    raise AlcsError(
        "a count or a share of the run time is for one structure of a combination: "
        "write STRUCTURE:TARGET"
    )
