"""Gradients of the loss by the weights, for scores of importance."""

from __future__ import annotations

from itertools import islice

from alcs_onnx.data import Data
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.train.config import TrainConfig
from alcs_onnx.train.loop import Trainer, epoch_seed, gradient, torch_threads
from alcs_onnx.train.module import to_array
from alcs_onnx.train.run import TrainRun
from alcs_onnx.types import FloatArray

#: Training batches that gradients are averaged over.
_BATCHES = 16


def mean_gradients(
    model: Model, data: Data, config: TrainConfig | None = None
) -> dict[str, FloatArray]:
    """The mean over some training batches of d loss / d weight, by initializer.

    Nothing is updated. Raises `DataError` where the data gives no batch.
    """
    config = config or TrainConfig()
    with torch_threads(config.threads):
        trainer = Trainer(model, {}, TrainRun(data, config))
        seed = epoch_seed(config.seed, "gradients", 0)
        found = data.train.batches(config.batch_size, training=True, seed=seed)
        count = trainer.accumulate(islice(found, _BATCHES))
        if count == 0:
            raise DataError("the training data gave no batches to take gradients from")
        return {
            name: to_array(gradient(trainer.module.parameter(name)) / count)
            for name in trainer.module.trained_names
        }
