"""The quality of a model in torch, without training it."""

from __future__ import annotations

from collections.abc import Mapping

from alcs_onnx.data import Data
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.train.config import Evaluation, TrainConfig
from alcs_onnx.train.loop import Trainer, torch_threads
from alcs_onnx.train.run import TrainRun
from alcs_onnx.types import FloatArray, InitializerName


def evaluate(
    model: Model,
    data: Data,
    weights: Mapping[InitializerName, FloatArray] | None = None,
    config: TrainConfig | None = None,
    *,
    teacher: Model | None = None,
) -> Evaluation:
    """The metric of `model` with `weights` in place of its own, on the test samples.

    Data without labels gives the agreement with `teacher`, by default `model` as it is. Raises
    `DataError` where there are no test samples.
    """
    config = config or TrainConfig()
    if data.test is None:
        raise DataError("the data has no test samples to evaluate on")
    with torch_threads(config.threads):
        found = Trainer(model, {}, TrainRun(data, config, teacher=teacher), weights).measure()
    assert found is not None
    return found
