"""What `sweep` is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from math import isclose
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError
from alcs_onnx.importance import SCORES
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize import METHODS, ChannelOptions, OptimizeRequest
from alcs_onnx.pipeline.optimize.methods import AUTO, default_methods, precision_of
from alcs_onnx.solve import SOLVERS
from alcs_onnx.types import Budget


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """Runs of `optimize` for each of `budgets` with each of `methods`.

    methods: by default all that "auto" tries, where there are pictures or data to judge by what is
        left, else the default one.
    output: a folder that gets the models, `MODEL-METHOD-BUDGET.onnx`, and all that is needed to go
        on after an interruption.
    resume: finished points are taken over and the one in progress continues from its last
        checkpoint. Without it the folder has to be new or empty.
    tables: a folder where latency tables are kept (by default in `output`), and those of an
        earlier sweep of the same model are found.

    The other fields are those of `OptimizeRequest`; a checkpoint folder in `training` is not used.
    """

    model: Path
    budgets: tuple[Budget, ...]
    output: Path
    methods: tuple[str, ...] | None = None
    resume: bool = False
    tables: Path | None = None
    inputs: InputSettings = field(default_factory=InputSettings)
    fully_connected: bool = False
    simd_group: int = 4
    projection: str = SOLVERS.default
    refit: str = "loss"
    closing_epochs: int | None = None
    score: str = SCORES.default
    channels: ChannelOptions = field(default_factory=ChannelOptions)
    measuring: Measuring = field(default_factory=Measuring)
    training: Training | None = None
    judging: Judging = field(default_factory=Judging)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.ways:
            raise AlcsError(f"a sweep needs methods: {', '.join(METHODS)}")
        for index, method in enumerate(self.ways):
            if method != AUTO:
                METHODS.check(method)
            calibrated = method == AUTO or precision_of(method) != "float32"
            if calibrated and self.judging.pictures is None and self.training is None:
                raise AlcsError(
                    f"the method {method} needs pictures to calibrate with: --calibration PICTURES "
                    "(labels are not needed) or --data"
                )
            if method in self.ways[:index]:
                raise AlcsError(f"the method {method} is there twice")

    @property
    def ways(self) -> tuple[str, ...]:
        """The methods: the given ones, or what is meant where none are."""
        if self.methods is not None:
            return self.methods
        judged = self.judging.pictures is not None or self.training is not None
        return default_methods(judged=judged)

    def opening(self) -> OptimizeRequest:
        """What all points open in common: a run that is planned and writes nothing."""
        return self._run(self.ways[0], self.budgets[0], tables=self.tables, training=self.training)

    def point(
        self,
        method: str,
        budget: Budget,
        *,
        output: Path,
        plan: Path,
        tables: Path,
        training: Training | None,
    ) -> OptimizeRequest:
        """The run of one point, which writes `output` and `plan`."""
        return self._run(
            method, budget, output=output, save_plan_to=plan, tables=tables, training=training
        )

    def _run(self, method: str, budget: Budget, **own: Any) -> OptimizeRequest:
        shared = {f.name for f in fields(OptimizeRequest)} & {f.name for f in fields(self)}
        given = {name: getattr(self, name) for name in shared}
        return OptimizeRequest(**{**given, "output": None, **own}, budget=budget, method=method)


def parse_budgets(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Budgets from texts with commas or spaces between; `AlcsError` for nonsense and duplicates."""
    parts = [part for text in texts for part in re.split(r"[,\s]+", text) if part]
    if not parts:
        raise AlcsError("a sweep needs budgets: 80%,60%,40%")
    budgets: list[Budget] = []
    for part in parts:
        budget = Budget.parse(part)
        for other in budgets:
            if _same(budget, other):
                also = "" if other.text == budget.text else f", as {other.text}"
                raise AlcsError(f"the budget {budget.text} is there twice{also}")
        budgets.append(budget)
    return tuple(budgets)


def _same(one: Budget, other: Budget) -> bool:
    pairs = ((one.milliseconds, other.milliseconds), (one.fraction, other.fraction))
    return any(a is not None and b is not None and isclose(a, b) for a, b in pairs)
