"""What an interrupted run needs, besides its training checkpoints, to go on as it began.

Which weights stay is decided by measuring, and a measurement is never the same twice. So plans
are kept beside the checkpoints, with what the measurements taught about the estimate: a resumed
run follows them, and ends with the very weights that the interrupted one would have had.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alcs_onnx.files import make_folder
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan, load_plan, masks_path, save_plan

#: Stages that begin with a plan: all training after the first measurements, and fine-tuning.
FIRST, FINETUNE = "plan", "finetune_plan"


@dataclass(frozen=True)
class Checkpoint:
    """The plans of one run in its checkpoint folder; without a folder none is kept."""

    folder: Path | None
    resume: bool

    def begun(self, stage: str) -> bool:
        """Whether `stage` of the run that is resumed had begun."""
        return self.folder is not None and self.resume and self._path(stage).is_file()

    def load(self, stage: str, model: Model) -> SavedPlan | None:
        """The plan that `stage` of the resumed run began with; None where it had not begun.

        Raises `AlcsError` for a plan that is damaged or of another model.
        """
        if not self.begun(stage):
            return None
        return load_plan(self._path(stage), model)

    def save(self, stage: str, plan: SavedPlan) -> None:
        """Keep the plan, before `stage` begins; plans of later stages are forgotten."""
        if self.folder is None:
            return
        make_folder(self.folder)
        for old in {stage, FINETUNE}:
            # First the file that names the masks: masks without it are no plan.
            self._path(old).unlink(missing_ok=True)
            masks_path(self._path(old)).unlink(missing_ok=True)
        save_plan(plan, self._path(stage))

    def _path(self, stage: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{stage}.json"
