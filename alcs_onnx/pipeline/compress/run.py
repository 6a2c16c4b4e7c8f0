"""What `compress` and `compare-structures` set up alike, and what they return alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import loadable, save_model
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.evidence import Evidence, Judging, Subject, gather
from alcs_onnx.pipeline.common.training import Trainer, Training, trainer_of
from alcs_onnx.pipeline.common.verification import require_faithful
from alcs_onnx.pipeline.common.workload import Measuring, Workload, open_workload
from alcs_onnx.pipeline.compress.compressor import Compressor
from alcs_onnx.pipeline.compress.deployment import deploy
from alcs_onnx.pipeline.compress.refitted import ByRefitting
from alcs_onnx.pipeline.compress.request import LayerOptions
from alcs_onnx.pipeline.compress.result import CompressionResult, Round, StructureResult
from alcs_onnx.pipeline.compress.state import Compressed, Trial
from alcs_onnx.pipeline.compress.trained import ByTraining
from alcs_onnx.pipeline.compress.way import Way
from alcs_onnx.reporter import Reporter
from alcs_onnx.structures import Structure


class Request(Protocol):
    """What `compress` and `compare-structures` are both asked for."""

    @property
    def model(self) -> Path:
        """The model file."""
        ...

    @property
    def training(self) -> Training | None:
        """Data and schedule; None where pictures are to do."""
        ...

    @property
    def options(self) -> LayerOptions:
        """Which layers take part."""
        ...

    @property
    def inputs(self) -> InputSettings:
        """Sizes and values of inputs that the file leaves open."""
        ...

    @property
    def simd_group(self) -> int:
        """Output channels per SIMD group."""
        ...

    @property
    def measuring(self) -> Measuring:
        """How latency is measured."""
        ...

    @property
    def judging(self) -> Judging:
        """Pictures, and what may be lost."""
        ...

    @property
    def seed(self) -> int:
        """Random seed."""
        ...


@dataclass(frozen=True, eq=False)
class Compression:
    """A model that was taken through steps: by which structures, and what came of it."""

    compressor: Compressor
    name: str
    structures: Sequence[Structure]
    state: Compressed
    trials: Sequence[Trial]


@dataclass(frozen=True)
class CompressionRun:
    """A model that is opened, by what it is judged, and when that began.

    Without a `trainer` layers are refitted. `began` is in seconds of `time.monotonic`.
    """

    workload: Workload
    trainer: Trainer | None
    options: LayerOptions
    judging: Judging
    evidence: Evidence
    reporter: Reporter
    began: float

    def compressor(self, part: str = "", estimator: Estimator | None = None) -> Compressor:
        """What takes the model through its steps; `part` keeps its checkpoints apart."""
        return Compressor(
            self.workload.model,
            self.workload.prunable,
            self._way(part).begun(),
            rule=self.options.rule,
            estimator=estimator,
        )

    def row(
        self, made: Compression, output: Path | None, *, plain: bool = False
    ) -> StructureResult:
        """Deploy what was `made` (`plain` as for `deploy`), write it to `output`, and sum it up.

        The accuracy is that of the written model in ONNX Runtime where it can be had there.
        """
        compressor, state = made.compressor, made.state
        deployed = deploy(
            self.workload,
            compressor,
            state,
            made.structures,
            plain=plain,
            reporter=self.reporter,
        )
        if output is not None:
            save_model(deployed.model, output, self.reporter)
        fidelity = self.evidence.judge.judge(loadable(deployed.model))
        found = self._way().written(deployed.model, fidelity)
        levels = next(iter(state.quantized.values()), None)
        total = sum(layer.weight_count for layer in compressor.layers.values())
        row = StructureResult.from_storage(
            made.name,
            deployed.storage,
            accuracy=state.accuracy if found is None else found,
            codebook=None if levels is None else levels.codebook,
            dense_ms=deployed.dense.median,
            latency_ms=deployed.sparse.median,
            layer_ms=deployed.layer_ms,
            history=[
                Round(total / max(x.kept, 1), x.accuracy, x.accepted, x.step, x.epochs)
                for x in made.trials
            ],
        )
        return row.judged(fidelity, state.errors)

    def result(
        self, start: Compressed, rows: Sequence[StructureResult], tolerance: float | None = None
    ) -> CompressionResult:
        """The rows with what they share; `start` is the dense model."""
        workload, way = self.workload, self._way()
        return CompressionResult(
            model=str(workload.path),
            data=way.source,
            measure=start.measure,
            baseline_accuracy=start.accuracy,
            tolerance=tolerance,
            rows=tuple(rows),
            machine=workload.target.machine(workload.measuring.threads),
            settings={
                **asdict(self.options),
                **way.settings,
                "seed": workload.seed,
                "simd_group": workload.simd_group,
            },
            seconds=time.monotonic() - self.began,
            max_loss=self.evidence.max_loss,
        )

    def _way(self, part: str = "") -> Way:
        if self.trainer is None:
            return ByRefitting(self.judging, self.evidence, self.workload.seed, self.reporter)
        folder = self.trainer.training.checkpoint
        return ByTraining(self.trainer, self.evidence, folder and Path(folder) / part)


def open_run(request: Request, reporter: Reporter) -> CompressionRun:
    """Load the model, the data and what it is judged by.

    Raises `AlcsError` where there is no layer to prune, and where there are neither data nor
    pictures.
    """
    if request.training is None and request.judging.pictures is None:
        raise AlcsError("give --calibration PICTURES to refit layers with, or --data to train")
    began = time.monotonic()
    workload = open_workload(
        request.model,
        inputs=request.inputs,
        fully_connected=request.options.fully_connected,
        simd_group=request.simd_group,
        measuring=request.measuring,
        seed=request.seed,
        reporter=reporter,
    )
    if not workload.prunable:
        raise AlcsError(f"{request.model}: there is no layer that can be pruned")
    require_faithful(workload, reporter)
    training = request.training
    trainer = None if training is None else trainer_of(workload, training, reporter)
    evidence = gather(Subject.of(workload), request.judging, trainer, reporter)
    return CompressionRun(
        workload, trainer, request.options, request.judging, evidence, reporter, began
    )
