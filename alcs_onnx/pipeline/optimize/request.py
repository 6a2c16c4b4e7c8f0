"""What `optimize` is asked for: one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.importance import SCORES
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize.methods import (
    AUTO,
    METHODS,
    PRECISIONS,
    REFITS,
    has_precision,
    in_precision,
)
from alcs_onnx.solve import SOLVERS
from alcs_onnx.types import Budget


@dataclass(frozen=True)
class ChannelOptions:
    """How channels are scored and chosen.

    `score` and `solver` are names of the registries, `stages` the k of SP-LAMP section 3.3, and
    `contributions` says whether latencies of groups are "measured" or "predicted". Every group
    keeps the share `min_share` of its channels: one that is next to nothing cuts the network in
    two, and cannot be trained back.
    """

    score: str = "sp-lamp"
    solver: str = "knapsack"
    stages: int = 4
    contributions: str = "measured"
    min_share: float = 0.125

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise AlcsError(f"a least share of {self.min_share} is not between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class OptimizeRequest:
    """One run of `optimize`.

    model, budget: the file, and the latency that it is to meet.
    output: the file to write; None is a dry run: everything before training, nothing written.
    method: "auto", the default where there are pictures or data to judge by: those of `CANDIDATES`
        are tried, and the one that loses least is taken; where there is data, one of those that
        remove something after it was trained. Or a name of `METHODS`: SIMD groups of weights
        ("simd"), rows, columns or single weights of the weight matrices ("filter", "shape",
        "unstructured"), whole channels ("channel"), channels and then SIMD groups ("hybrid"), or
        nothing, but nodes that are quicker in int8 are so ("int8").
    inputs: sizes of inputs that the file leaves open, and values where not any will do.
    fully_connected: whether fully connected layers are pruned too, in balance with the
        convolutions (ADAM-ADMM section 5.1); they are convolutions in the written model.
    simd_group: output channels per SIMD group, for the methods that have such groups.
    projection: a name of `solve.SOLVERS`, for the methods that remove groups of weights.
    score: a name of `importance.SCORES`, likewise; channels have scores of their own.
    channels: for the methods that remove channels.
    refit: a name of `REFITS`, where there are pictures or training samples to fit on: by what it is
        decided how much each layer keeps before what is left is refitted, or "off". What becomes
        int8 has its weights rounded to the nearest with "off", else layer by layer.
    closing_epochs: epochs of distillation that follow where nothing is trained, of all layers
        together; None: as many as do not take long, 0: none.
    table: a saved latency table of the method, to use instead of measuring one.
    tables: a folder where tables are kept and those of earlier runs found, unless `remeasure` says
        that they are measured again. What layers lose by pictures is kept there, too.
    plan: a saved pruning plan to apply instead of solving.
    save_plan_to: a file for the plan that was made.
    training: None: weights are removed but none is trained.
    precision: what nodes are: "float32", "int8" or, left to the method, "auto".
    search_minutes: how long "auto" may go on trying methods.
    judging: by what it is judged what was lost, and how much may be.
    """

    model: Path
    budget: Budget
    output: Path | None = None
    method: str | None = None
    precision: str = "auto"
    search_minutes: float = 5.0
    inputs: InputSettings = field(default_factory=InputSettings)
    fully_connected: bool = False
    simd_group: int = 4
    projection: str = SOLVERS.default
    score: str = SCORES.default
    refit: str = "loss"
    closing_epochs: int | None = None
    channels: ChannelOptions = field(default_factory=ChannelOptions)
    table: Path | None = None
    tables: Path | None = None
    remeasure: bool = False
    plan: Path | None = None
    save_plan_to: Path | None = None
    measuring: Measuring = field(default_factory=Measuring)
    training: Training | None = None
    judging: Judging = field(default_factory=Judging)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise AlcsError(f"precision '{self.precision}' is not one of {', '.join(PRECISIONS)}")
        if self.way != AUTO:
            METHODS.check(self.way)
            if not has_precision(self.way, self.precision):
                raise AlcsError(f"--method {self.way} makes no {self.precision} model")
        elif not self._judged:
            raise AlcsError(
                "--method auto needs --calibration PICTURES or --data to compare methods by"
            )
        elif self.plan is not None or self.table is not None:
            raise AlcsError("--method auto measures for itself: leave out --plan and --profile")
        if self.refit not in REFITS:
            raise AlcsError(f"refit '{self.refit}' is not one of {', '.join(REFITS)}")
        if self.closing_epochs is not None and self.closing_epochs < 0:
            raise AlcsError(f"closing epochs must not be negative, got {self.closing_epochs}")
        SOLVERS.check(self.projection)
        SCORES.check(self.score)

    @property
    def way(self) -> str:
        """The method: the given one, or what is meant where none is."""
        if self.method is not None:
            return in_precision(self.method, self.precision)
        if self.precision == "int8":
            return "int8"
        searches = self._judged and self.plan is None and self.table is None
        return AUTO if searches else METHODS.default

    @property
    def _judged(self) -> bool:
        """Whether there is something of the user's to compare methods by."""
        return self.judging.pictures is not None or self.training is not None
