"""`optimize`: a model and a latency budget in, a model within the budget out.

Load, measure, solve and measure until the budget is met, train towards the constraint set
(ADMM) and within it (masked fine-tuning), rewrite, check, measure again, write.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from alcs_onnx import latency
from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.files import check_writable
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.accuracy import runtime_accuracy
from alcs_onnx.pipeline.budget import HIGHEST, LOWEST, BudgetLoop, Candidate
from alcs_onnx.pipeline.checks import numeric_check, written_form
from alcs_onnx.pipeline.layers import layer_reports
from alcs_onnx.pipeline.profiling import measure_table
from alcs_onnx.pipeline.results import Accuracy, OptimizeResult
from alcs_onnx.pipeline.scene import Measuring, Note, Scene, open_scene
from alcs_onnx.rewrite import rewrite
from alcs_onnx.types import BoolArray, Budget, FloatArray, LatencyTable, Shape, Timing

if TYPE_CHECKING:
    from alcs_onnx.train import Data, Evaluation, Projection, TrainConfig

#: Times that the final model is measured; odd, because the middle one counts.
_REPEATS = 3


class Progress(Protocol):
    """What `optimize` reports to: stages of measuring, and epochs of training."""

    def stage(self, name: str, share: float) -> None:
        """The share of a stage that is done, in [0, 1]."""
        ...

    def start(self, title: str, total: int | None) -> None:
        """An epoch of `total` batches begins."""
        ...

    def advance(self, loss: float) -> None:
        """A batch is done."""
        ...

    def finish(self, line: str) -> None:
        """The epoch is done; `line` sums it up."""
        ...


@dataclass(frozen=True)
class Training:
    """Data and schedule of the training stages, and where they are saved on the way.

    `data` is a folder of images, an .npz file or `module:function`. `preprocess` and
    `augment` are texts that `alcs_onnx.train.Preprocess` and `Augment` parse, and `config`
    holds fields of `alcs_onnx.train.TrainConfig` that differ from their defaults: plain
    values, so that torch is needed only where something is trained.
    """

    data: str
    preprocess: str = "none"
    augment: str = "none"
    config: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    resume: bool = False


class _Trained:
    """The training side of a run: data, schedule, and the accuracies measured so far."""

    def __init__(
        self, scene: Scene, training: Training, seed: int, progress: Progress | None, note: Note
    ) -> None:
        from alcs_onnx import train

        self._train = train
        self.scene, self.training, self.progress = scene, training, progress
        self.config: TrainConfig = train.TrainConfig(**{"seed": seed, **training.config})
        options = train.DataOptions(
            preprocess=train.Preprocess.parse(training.preprocess),
            augment=train.Augment.parse(training.augment),
            seed=seed,
        )
        self.data: Data = train.load_data(training.data, scene.model, options)
        for text in self.data.notes:
            note(text)
        train.verify(scene.model, seed=seed)
        self.stages: dict[str, float] = {}
        self.kind, self.samples = "", 0
        self.history: list[Mapping[str, float | str]] = []

    def evaluate(self, stage: str, weights: Mapping[str, FloatArray] | None) -> None:
        """Measure the model with `weights` (by initializer) on the test samples."""
        if self.data.test is None:
            return
        found: Evaluation = self._train.evaluate(self.scene.model, self.data, weights, self.config)
        self.kind, self.samples = found.kind, found.samples
        self.stages[stage] = 100 * found.value

    def run(self, loop: BudgetLoop, first: Candidate) -> tuple[Candidate, Model]:
        """ADMM, the budget again with what it kept, fine-tuning; the plan and trained model."""
        initializers = {name: layer.weight for name, layer in loop.layers.items()}
        common: dict[str, Any] = {
            "progress": self.progress,
            "checkpoint": self.training.checkpoint,
            "resume": self.training.resume,
            "fingerprint": f"{loop.budget.text} {self.training.data}",
        }

        def project(weights: Mapping[str, FloatArray]) -> Projection:
            plan = loop.project(weights)
            found: Projection = self._train.Projection(loop.weight_masks(plan), plan.predicted_ms)
            return found

        candidate, weights = first, None
        saved = self._saved_masks()
        if self.config.admm_epochs:
            result = self._train.admm(
                self.scene.model, initializers, project, self.data, self.config, **common
            )
            self._remember(result.history)
            weights = result.weights
            self.evaluate("ADMM", weights)
            if saved is None:
                layers = {name: weights[w] for name, w in initializers.items()}
                candidate = loop.meet(layers, first=loop.plan_of(result.keep))
        if saved is not None:
            # Fine-tuning had begun: it goes on with its masks, whatever is measured now.
            candidate = loop.measure(loop.plan_of(saved))
        masks = loop.weight_masks(candidate.plan)
        result = self._train.finetune(
            self.scene.model, weights, masks, initializers, self.data, self.config, **common
        )
        self._remember(result.history)
        self.evaluate("fine-tuned", result.weights)
        return candidate, self.scene.model.with_initializers(result.weights)

    def _saved_masks(self) -> Mapping[str, BoolArray] | None:
        """The masks of an interrupted fine-tuning that is to be resumed."""
        if not self.training.resume or self.training.checkpoint is None:
            return None
        found: Mapping[str, BoolArray] | None = self._train.saved_keep(self.training.checkpoint)
        return found

    def _remember(self, history: Any) -> None:
        self.history += [asdict(record) for record in history.records]

    def accuracy(self) -> Accuracy | None:
        """What was measured, for the report."""
        return Accuracy(self.kind, self.samples, dict(self.stages)) if self.stages else None


def optimize(
    model: str | Path,
    budget: Budget | str,
    output: str | Path | None,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    method: str = "simd",
    simd_group: int = 4,
    projection: str = "energy-normalised",
    table: str | Path | None = None,
    measuring: Measuring | None = None,
    training: Training | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_note: Note | None = None,
) -> OptimizeResult:
    """Make the model file `model` meet `budget`, and write it to `output`.

    `output` None is a dry run: everything before training, nothing written. Without
    `training` weights are removed but none is trained. `table` is a saved latency table to
    use instead of measuring one. The result says whether the measured model is within
    [0.95, 1] x budget, and `status` "missed" when it is above.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained, and
    another child of `AlcsError` for bad input; no file is written or changed then.
    """
    began, note = time.monotonic(), on_note or (lambda text: None)
    wanted = Budget.parse(budget) if isinstance(budget, str) else budget
    if output is not None:
        check_writable(Path(output), Path(model), *([Path(table)] if table else []))
    scene = open_scene(
        Path(model),
        input_shapes=input_shapes or {},
        simd_group=simd_group,
        measuring=measuring or Measuring(),
        seed=seed,
        on_note=note,
    )
    trained = _Trained(scene, training, seed, progress, note) if training else None
    measured_table = _table(scene, table, progress)
    loop = BudgetLoop(scene, measured_table, wanted, method, projection, note)
    low, high = loop.range_ms()
    note(
        f"dense {measured_table.dense.median:.3f} ms, budget {loop.budget_ms:.3f} ms, "
        f"reachable by the estimate: {low:.3f} to {high:.3f} ms"
    )
    if loop.budget_ms >= measured_table.dense.median:
        return _unchanged(scene, loop, measured_table, began)

    candidate = loop.meet(loop.weights())
    if loop.leave_slower_alone(candidate):
        candidate = loop.meet(loop.weights())
    if not candidate.met:
        raise BudgetError(
            f"the budget of {candidate.budget_ms:.3f} ms was not met in several attempts: the "
            f"best measured {candidate.sparse.median:.3f} ms; nothing was trained or written"
        )
    one_shot = _masked_weights(scene.model, loop, candidate)
    final_model = scene.model.with_initializers(one_shot)
    if trained is not None:
        trained.evaluate("dense", None)
        trained.evaluate("one-shot", one_shot)
        if output is not None:
            candidate, final_model = trained.run(loop, candidate)
    else:
        note("no data: weights are removed but none is trained; expect a loss of accuracy")
    return _finish(
        scene, loop, measured_table, candidate, final_model, trained, output, began, seed
    )


def _table(scene: Scene, path: str | Path | None, progress: Progress | None) -> LatencyTable:
    """A saved table that fits the scene, or a new one."""
    if path is None:
        return measure_table(scene, progress.stage if progress else None)
    machine = scene.target.machine(scene.measuring.threads)
    table = latency.load_table(Path(path), scene.model.digest, machine)
    if table.simd_group != scene.simd_group:
        raise AlcsError(
            f"{path}: measured with groups of {table.simd_group}, not {scene.simd_group}: "
            f"use --group-size {table.simd_group} or measure again"
        )
    return table


def _masked_weights(model: Model, loop: BudgetLoop, candidate: Candidate) -> dict[str, FloatArray]:
    """The weights of the pruned layers with the removed ones set to zero, by initializer."""
    masks = loop.weight_masks(candidate.plan)
    weights = {layer.name: layer.weight for layer in model.conv_layers}
    return {
        weights[name]: np.asarray(model.initializers[weights[name]] * mask, np.float32)
        for name, mask in masks.items()
    }


def _finish(
    scene: Scene,
    loop: BudgetLoop,
    table: LatencyTable,
    candidate: Candidate,
    final_model: Model,
    trained: _Trained | None,
    output: str | Path | None,
    began: float,
    seed: int,
) -> OptimizeResult:
    """Rewrite, check, measure what will be deployed, write it, and sum everything up."""
    plan = candidate.plan
    rewritten = rewrite(final_model, plan, loop.left_alone, scene.simd_group)
    written = written_form(rewritten.model)
    reference = final_model.with_initializers(_masked_weights(final_model, loop, candidate))
    check = numeric_check(written, reference, seed)
    if not check.passed:
        raise AlcsError(
            f"{scene.path}: the rewritten model differs from the masked dense one by "
            f"{max(check.with_library, check.without_library):.1e} (relative); nothing was written"
        )
    # Written before it is measured: whatever happens to the measurement, training is not lost.
    if output is not None:
        written.save(Path(output))
    serialized = written.serialize()
    nodes = scene.target.node_times(
        [serialized],
        threads=scene.measuring.threads,
        iterations=scene.measuring.iterations,
        warmup=scene.measuring.warmup,
        feeds=scene.feeds,
    )[0].profile.nodes
    if trained is not None and output is not None:
        final = runtime_accuracy(written, trained.data)
        if final is not None:
            trained.stages["final file in ONNX Runtime"] = 100 * final
    dense, sparse, budget_ms = _final_timing(scene, loop, serialized)
    share = sparse.median / budget_ms
    status, message = _verdict(share, sparse, budget_ms, loop, candidate)
    return OptimizeResult(
        status="dry run" if output is None and status == "met" else status,
        message=message,
        model=str(scene.path),
        output=None if output is None else str(output),
        budget=loop.budget.text,
        budget_ms=budget_ms,
        reachable_ms=loop.range_ms(),
        machine=scene.target.machine(scene.measuring.threads),
        dense=dense,
        sparse=sparse,
        predicted_ms=plan.predicted_ms,
        mac_ratio=rewritten.mac_ratio,
        layers=layer_reports(
            scene.model, rewritten, reasons=plan.reasons, table=table, measured=nodes
        ),
        accuracy=trained.accuracy() if trained else None,
        check=check,
        history=tuple(trained.history) if trained else (),
        settings={"seed": seed, **(trained.config.as_dict() if trained else {})},
        seconds=time.monotonic() - began,
    )


def _final_timing(
    scene: Scene, loop: BudgetLoop, serialized: bytes
) -> tuple[Timing, Timing, float]:
    """The measurement that is reported: of several, the one in the middle."""
    found = []
    for _ in range(_REPEATS):
        dense, sparse = scene.against_dense(serialized)
        found.append((dense, sparse, loop.budget.resolve(dense.median)))
    return sorted(found, key=lambda item: item[1].median / item[2])[len(found) // 2]


def _verdict(
    share: float, sparse: Timing, budget_ms: float, loop: BudgetLoop, candidate: Candidate
) -> tuple[Any, str]:
    told = f"measured {sparse.median:.3f} ms, {100 * share:.1f} % of the budget {budget_ms:.3f} ms"
    if share > HIGHEST:
        return "missed", f"budget missed: {told}"
    if share >= LOWEST:
        return "met", f"budget met: {told}"
    if all(mask.all() for mask in candidate.plan.keep.values()):
        return "met", f"budget met with every weight kept: {told}"
    return "met", f"budget met, with room left: {told}"


def _unchanged(scene: Scene, loop: BudgetLoop, table: LatencyTable, began: float) -> OptimizeResult:
    """The dense model is already within the budget: say so and write nothing."""
    dense = table.dense
    return OptimizeResult(
        status="unchanged",
        message=(
            f"nothing to do: the dense model takes {dense.median:.3f} ms, the budget is "
            f"{loop.budget_ms:.3f} ms; no file was written"
        ),
        model=str(scene.path),
        output=None,
        budget=loop.budget.text,
        budget_ms=loop.budget_ms,
        reachable_ms=loop.range_ms(),
        machine=table.machine,
        dense=dense,
        sparse=None,
        predicted_ms=dense.median,
        mac_ratio=1.0,
        layers=(),
        seconds=time.monotonic() - began,
    )
