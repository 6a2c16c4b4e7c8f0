"""Losses and metrics: the data's own, labels, or the dense model as a teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.data import Data, class_count
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.train.batches import TensorBatch
from alcs_onnx.train.config import TrainConfig
from alcs_onnx.train.module import OnnxModule

Outputs = tuple[Tensor, ...]


class Objective:
    """What is minimised and what is measured, for one model on one set of data.

    The dense model serves as the teacher where the data has no labels or the configuration
    asks for distillation. A classifier (one [N, classes] output, as logits or after a
    Softmax) learns by cross-entropy and distils by the KL divergence; any other output
    distils by its squared error over the teacher's variance.
    """

    def __init__(self, model: Model, data: Data, config: TrainConfig) -> None:
        self._names = tuple(info.name for info in model.outputs)
        self._classes = class_count(model)
        self._final = _final_operator(model)
        self._data = data
        self._config = config
        labelled = data.train.labelled
        if labelled and self._classes is None and data.loss is None and config.distill < 1:
            raise DataError(
                "the data has labels but the model is no classifier with one [N, classes] "
                "output: give the data as module:function with a loss"
            )
        self._distill = config.distill if labelled else 1.0
        learnable = any(np.issubdtype(info.dtype, np.floating) for info in model.outputs)
        if self._distill > 0 and not learnable:
            raise DataError(
                "the model has no output of floating-point numbers to learn from the dense model: "
                "give labelled data as module:function with a loss"
            )
        self._model = model
        self._teacher: OnnxModule | None = None

    def teacher(self) -> OnnxModule:
        """The dense model, without gradients; made when it is first needed."""
        if self._teacher is None:
            self._teacher = OnnxModule(self._model, channels_last=self._config.channels_last)
            self._teacher.to(self._config.device).requires_grad_(False)
        return self._teacher

    def _teach(self, batch: TensorBatch) -> Outputs:
        with torch.no_grad():
            outputs: Outputs = self.teacher()(*batch.inputs)
        return outputs

    def _public(self, outputs: Outputs) -> Tensor | Mapping[str, Tensor]:
        """Outputs as the data's own functions get them."""
        return outputs[0] if len(outputs) == 1 else dict(zip(self._names, outputs, strict=True))

    def _log_probabilities(self, output: Tensor) -> Tensor:
        if self._final == "LogSoftmax":
            return output
        if self._final == "Softmax":
            return output.clamp_min(1e-12).log()
        return functional.log_softmax(output, 1)

    def loss(self, outputs: Outputs, batch: TensorBatch) -> Tensor:
        """The scalar to minimise for one batch."""
        total = None
        if self._distill < 1:
            total = self._supervised(outputs, batch.targets) * (1 - self._distill)
        if self._distill > 0:
            distilled = self._distillation(outputs, self._teach(batch)) * self._distill
            total = distilled if total is None else total + distilled
        assert total is not None
        return total

    def _supervised(self, outputs: Outputs, targets: Any) -> Tensor:
        if self._data.loss is not None:
            value: Tensor = self._data.loss(self._public(outputs), targets)
            return value
        check_targets(targets, int(outputs[0].shape[1]))
        smoothing = self._config.label_smoothing
        logits = self._log_probabilities(outputs[0]) if self._final else outputs[0]
        return functional.cross_entropy(logits, targets.long(), label_smoothing=smoothing)

    def _distillation(self, outputs: Outputs, taught: Outputs) -> Tensor:
        if self._classes is not None:
            t = self._config.temperature
            student = functional.log_softmax(self._log_probabilities(outputs[0]) / t, 1)
            teacher = functional.log_softmax(self._log_probabilities(taught[0]) / t, 1)
            return (
                functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * t * t
            )
        errors = [
            functional.mse_loss(output, target) / target.var(correction=0).clamp_min(1e-12)
            for output, target in zip(outputs, taught, strict=True)
            if target.is_floating_point()
        ]
        return torch.stack(errors).mean()

    @property
    def kind(self) -> str:
        """What `metric` measures; see `Evaluation`."""
        labelled = (self._data.test or self._data.train).labelled
        if self._data.metric is not None and labelled:
            return "metric"
        if labelled and self._classes is not None:
            return "accuracy"
        return "agreement" if self._classes is not None else "fidelity"

    def metric(self, outputs: Outputs, batch: TensorBatch) -> float:
        """The mean over one batch of what `kind` says."""
        kind = self.kind
        if kind == "metric":
            assert self._data.metric is not None
            return float(self._data.metric(self._public(outputs), batch.targets))
        if kind == "accuracy":
            check_targets(batch.targets, int(outputs[0].shape[1]))
            return float((outputs[0].argmax(1) == batch.targets).float().mean())
        taught = self._teach(batch)
        if kind == "agreement":
            return float((outputs[0].argmax(1) == taught[0].argmax(1)).float().mean())
        error = sum(float(((o - t) ** 2).sum()) for o, t in zip(outputs, taught, strict=True))
        power = sum(float((t**2).sum()) for t in taught)
        return 1 - math.sqrt(error / max(power, 1e-12))


def check_targets(targets: Any, classes: int) -> None:
    """Raise `DataError` unless `targets` is a vector of class numbers below `classes`."""
    if not isinstance(targets, Tensor) or targets.dim() != 1 or targets.is_floating_point():
        found = list(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
        raise DataError(f"expected one integer label per sample, found {found}")
    bad = (targets < 0) | (targets >= classes)
    if bool(bad.any()):
        sample = int(bad.int().argmax())
        raise DataError(
            f"label {int(targets[sample])} of sample {sample} of the batch is out of range, "
            f"the model has {classes} classes (0 to {classes - 1})"
        )


def _final_operator(model: Model) -> str:
    """ "Softmax" or "LogSoftmax" where the only output ends with it, else ""."""
    if len(model.outputs) != 1:
        return ""
    producer = model.producer(model.outputs[0].name)
    if producer is None or producer.op_type not in ("Softmax", "LogSoftmax"):
        return ""
    return producer.op_type
