"""Training: an ONNX model in torch, ADMM towards a sparse set, masked retraining.

torch is imported in this package only, and only names and arrays leave it. Importing it
without torch raises `AlcsError` with the command that installs it.
"""

from __future__ import annotations

from alcs_onnx.errors import AlcsError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise AlcsError(f"training needs torch ({error}): pip install alcs-onnx[train]") from None

from alcs_onnx.train.admm import admm
from alcs_onnx.train.augment import Augment, augmented
from alcs_onnx.train.config import (
    EpochRecord,
    Evaluation,
    Project,
    Projection,
    TrainConfig,
    TrainHistory,
    TrainResult,
)
from alcs_onnx.train.evaluation import evaluate
from alcs_onnx.train.finetune import finetune
from alcs_onnx.train.gradients import mean_gradients
from alcs_onnx.train.limits import limits
from alcs_onnx.train.module import OnnxModule
from alcs_onnx.train.penalty import limited_rho
from alcs_onnx.train.quantize import quantize_weights
from alcs_onnx.train.run import AS_IT_IS, Start, TrainRun
from alcs_onnx.train.verify import verify
from alcs_onnx.train.weights import weights_of

__all__ = [
    "AS_IT_IS",
    "Augment",
    "EpochRecord",
    "Evaluation",
    "OnnxModule",
    "Project",
    "Projection",
    "Start",
    "TrainConfig",
    "TrainHistory",
    "TrainResult",
    "TrainRun",
    "admm",
    "augmented",
    "evaluate",
    "finetune",
    "limited_rho",
    "limits",
    "mean_gradients",
    "quantize_weights",
    "verify",
    "weights_of",
]
