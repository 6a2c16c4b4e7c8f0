"""What `compress` and `compare-structures` set up alike, and what they return alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import save_model
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.accuracy import runtime_accuracy
from alcs_onnx.pipeline.common.training import Progress, Trainer, Training
from alcs_onnx.pipeline.common.workload import Measuring, Note, Workload, open_workload
from alcs_onnx.pipeline.compress.compressor import Compressed, Compressor, Trial
from alcs_onnx.pipeline.compress.deployment import deploy
from alcs_onnx.pipeline.compress.result import ComparisonResult, Round, StructureResult
from alcs_onnx.storage import FLOAT_BITS
from alcs_onnx.structures import Structure
from alcs_onnx.types import Shape


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
class CompressionRun:
    """A model that is opened, its training, and when (`time.monotonic`) that began."""

    workload: Workload
    trained: Trainer
    options: LayerOptions
    note: Note
    began: float

    @classmethod
    def open(
        cls,
        model: str | Path,
        training: Training,
        options: LayerOptions,
        *,
        input_shapes: Mapping[str, Shape] | None,
        simd_group: int,
        measuring: Measuring | None,
        seed: int,
        progress: Progress | None,
        on_note: Note | None,
    ) -> CompressionRun:
        """Load the model and the data; raises `AlcsError` where there is no layer to prune."""
        began, note = time.monotonic(), on_note or (lambda text: None)
        workload = open_workload(
            Path(model),
            input_shapes=input_shapes or {},
            fully_connected=options.fully_connected,
            simd_group=simd_group,
            measuring=measuring or Measuring(),
            seed=seed,
            on_note=note,
        )
        if not workload.prunable:
            raise AlcsError(f"{model}: there is no layer that can be pruned")
        return cls(
            workload, Trainer(workload, training, seed, progress, note), options, note, began
        )

    def compressor(self, part: str = "", estimator: Estimator | None = None) -> Compressor:
        """What takes the model through its steps; `part` keeps its checkpoints apart."""
        folder = self.trained.training.checkpoint
        return Compressor(
            self.workload.model,
            self.workload.prunable,
            self.trained,
            rule=self.options.rule,
            estimator=estimator,
            checkpoint=None if folder is None else Path(folder) / part,
        )

    def row(
        self,
        compressor: Compressor,
        name: str,
        structures: Sequence[Structure],
        state: Compressed,
        trials: Sequence[Trial],
        output: Path | None,
        *,
        plain: bool = False,
    ) -> StructureResult:
        """Deploy `state` (`plain` as for `deploy`), write it to `output`, and say what it is worth.

        The accuracy is that of the written model in ONNX Runtime where it can be had there.
        """
        deployed = deploy(self.workload, compressor, state, structures, plain=plain)
        if output is not None:
            save_model(deployed.model, output)
        found = runtime_accuracy(deployed.model, self.trained.data)
        levels = next(iter(state.quantized.values()), None)
        total = sum(layer.weight_count for layer in compressor.layers.values())
        return StructureResult.from_storage(
            name,
            deployed.storage,
            accuracy=state.accuracy if found is None else found,
            quantization="float32" if levels is None else levels.level_set.name,
            bits=FLOAT_BITS if levels is None else levels.level_set.bits,
            dense_ms=deployed.dense.median,
            latency_ms=deployed.sparse.median,
            layer_ms=deployed.layer_ms,
            history=[
                Round(total / max(x.kept, 1), x.accuracy, x.accepted, x.step, x.epochs)
                for x in trials
            ],
        )

    def result(
        self, baseline: float, rows: Sequence[StructureResult], tolerance: float | None = None
    ) -> ComparisonResult:
        """The rows with what they share; `baseline` is the dense model's accuracy."""
        workload, training = self.workload, self.trained.training
        return ComparisonResult(
            model=str(workload.path),
            data=training.data,
            measure=self.trained.kind,
            baseline_accuracy=baseline,
            tolerance=tolerance,
            rows=tuple(rows),
            machine=workload.target.machine(workload.measuring.threads),
            settings={
                **asdict(self.options),
                **training.config,
                "seed": workload.seed,
                "simd_group": workload.simd_group,
            },
            seconds=time.monotonic() - self.began,
        )
