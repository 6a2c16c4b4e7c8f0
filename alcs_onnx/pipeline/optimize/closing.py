"""The last step where nothing is trained: the whole network learns the dense one's outputs.

Layers that were refitted one by one know nothing of what is made of their outputs. Some epochs of
distillation over the same pictures, mirrored and moved, mend that where there is something to mend
and the pictures suffice: heavily pruned small networks gain most by it, compact ones on a few
hundred photos lose. What came of it is therefore judged as methods are, by the figure of the
verdict, and left where it lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alcs_onnx.data import Data, ImageSamples, Samples, runtime_batches
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, loadable, model_macs
from alcs_onnx.pipeline.common.training import Network, Trainer, Training
from alcs_onnx.pipeline.optimize.run import Run

#: Multiply-accumulates of all epochs, the teacher's too: two or three minutes on two processors.
_WORK = 7e12
#: What an epoch takes of them, over those of the network: forward, backward and the teacher's.
_PASSES = 4
#: What it takes to write and read an element of an activation, in multiply-accumulates: networks of
#: depthwise layers on large pictures are slow by that, not by what they multiply.
_ELEMENT = 30
#: Epochs where the work allows for more, and those below which it is left be.
_MOST, _LEAST = 30, 20
#: Learning rate of Adam that falls to 0: where there is much to mend, and at least. Where little is
#: lost large steps lose more than they mend.
_RATE, _LEAST_RATE = 1e-3, 3e-4
#: What the mean loss of an epoch may be of that before the first step: where scales are folded into
#: weights a step of Adam may be larger than these, and all epochs after it would be lost time.
_GIVE_UP = 3.0
#: Batches of an epoch, where pictures suffice, and pictures in one: the least and the most.
_BATCHES, _SMALLEST, _LARGEST = 16, 8, 64
#: By how much pictures are moved, of their smaller side.
_MOVED = 1 / 8


def closed(run: Run, network: Network) -> Network:
    """`network`, refitted, after some epochs of distillation; as it is where that loses."""
    assert run.evidence.fit is not None
    samples, epochs = run.evidence.fit, run.request.closing_epochs
    if epochs == 0:
        return network
    pictures = sum(batch.size for batch in runtime_batches(run.workload.model, samples))
    if epochs is None:
        epochs = _affordable(pictures * _work(network.model))
    if epochs == 0:
        return network
    judge = run.evidence.judge
    before = judge.divergence(loadable(network.pruned))
    try:
        trainer = _trainer(run, samples, pictures, epochs, _rate(before))
        found = network.trained(trainer.finetune(network, None, "closing", "closing"))
    except AlcsError as error:
        run.reporter.note(f"refitted layers are not trained together: {error}")
        return network
    losses = [judge.judge(loadable(each.pruned)).loss for each in (network, found)]
    # Of two that lose as much by the verdict's figure that one whose outputs part less is better.
    better = losses[1] < losses[0] or (
        losses[1] == losses[0] and judge.divergence(loadable(found.pruned)) < before
    )
    run.reporter.note(
        f"{epochs} epochs of distillation: {losses[1]:.2f} % lost, {losses[0]:.2f} % before"
        + ("" if better else "; not kept")
    )
    return found if better else network


def _rate(parted: float) -> float:
    """The learning rate where outputs part by so much, see `divergence`."""
    return max(_LEAST_RATE, _RATE * min(1.0, math.sqrt(parted)))


def _work(model: Model) -> int:
    """What one pass of one picture takes, in multiply-accumulates."""
    shapes = (model.shapes.get(name, ()) for node in model.nodes for name in node.outputs)
    return model_macs(model) + _ELEMENT * sum(map(math.prod, shapes))


def _affordable(work: int) -> int:
    """Epochs that do not take long, or none; `work` is that of one pass over all pictures."""
    epochs = int(_WORK / max(1, _PASSES * work))
    return min(epochs, _MOST) if epochs >= _LEAST else 0


def _trainer(run: Run, samples: Samples, pictures: int, epochs: int, rate: float) -> Trainer:
    from alcs_onnx import train

    model = run.workload.model
    train.verify(model, feeds=run.workload.feeds, seed=run.request.seed)
    config = train.TrainConfig(
        admm_epochs=0,
        finetune_epochs=epochs,
        finetune_lr=rate,
        give_up=_GIVE_UP,
        batch_size=min(max(pictures // _BATCHES, _SMALLEST), _LARGEST),
        distill=1.0,
        recalibrate=False,
        evaluate=False,
        seed=run.request.seed,
    )
    augment = train.Augment(flip=True, crop=_moved(samples))
    data = train.augmented(Data(samples), augment)
    return Trainer(model, Training(run.evidence.judge.source), data, config, run.reporter)


def _moved(samples: Samples) -> int:
    """By how many pixels pictures are moved; 0 for what are none."""
    return int(min(_size(samples)) * _MOVED) if isinstance(samples, ImageSamples) else 0


def _size(samples: ImageSamples) -> Sequence[int]:
    """Height and width."""
    batch = next(iter(samples.batches(1, training=False)))
    shape = batch.inputs[samples.others.place].shape
    return shape[2:] if samples.channels_first else shape[1:3]
