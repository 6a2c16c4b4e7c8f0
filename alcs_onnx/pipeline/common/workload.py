"""What all stages of one run share: the model, where it is measured, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alcs_onnx.graph import Model, as_convolutions, conv_layers, load_model, loadable, require_conv
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.latency import Runner
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.runnable import open_runnable, shapes_of
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import random_model
from alcs_onnx.serialized import Serialized
from alcs_onnx.structures import Structure, get_structure, reason_dense
from alcs_onnx.target import ModelTimes, Target, get_target
from alcs_onnx.types import ConvLayer, Timing

#: Sessions of each model that a comparison with the dense model is made of.
SESSIONS = 3
#: Seconds that each measured model runs at least, so that quick models get many samples.
MIN_SECONDS = 0.5


@dataclass(frozen=True)
class Measuring:
    """How latency is measured: intra-op threads, untimed and timed runs, and where."""

    threads: int = 1
    warmup: int = 20
    iterations: int = 200
    target: str = "local"


@dataclass(frozen=True)
class Workload:
    """A loaded model on its target. `original` is the file's bytes, as its users run it.

    Where loading sets something right (`Model.repairs`), `original` has that, and `as_given` is the
    file without; elsewhere it is None.

    `structure` names which weights are removed together, where groups of weights are removed.
    `inputs` has the static shapes of `model` and the values that were given; `feeds` are of both.
    """

    path: Path
    model: Model
    original: Serialized
    target: Target
    measuring: Measuring
    simd_group: int
    feeds: Feeds
    seed: int
    structure: str = "simd"
    inputs: InputSettings = field(default_factory=InputSettings)
    as_given: Serialized | None = None

    @property
    def grouping(self) -> Structure:
        """The structure itself, of this workload's group size."""
        return get_structure(self.structure, self.simd_group)

    @property
    def runner(self) -> Runner:
        """The target with the threads and the inputs of this workload."""
        return Runner(self.target, self.measuring.threads, self.feeds)

    @property
    def layers(self) -> tuple[ConvLayer, ...]:
        """All layers that can be made sparse."""
        return conv_layers(self.model)

    @property
    def left_alone(self) -> Mapping[str, str]:
        """Those of which there is no sparse form here, with the reasons."""
        return {}

    @property
    def table_name(self) -> str:
        """What its latency table is called: after what is removed."""
        sized = self.grouping.has_group_size
        return f"{self.structure}{self.simd_group}" if sized else self.structure

    @property
    def prunable(self) -> tuple[ConvLayer, ...]:
        """The layers whose groups compete for the budget."""
        return tuple(layer for layer in conv_layers(self.model) if not self.reason_dense(layer))

    def reason_dense(self, layer: ConvLayer) -> str:
        """Why `layer` keeps all its weights; empty when it can be pruned."""
        return reason_dense(self.model, layer)

    def time(self, models: list[Serialized]) -> list[npt.NDArray[np.float64]]:
        """Samples (ms) of the models, run in turns as the options say."""
        return self.target.time(
            models,
            threads=self.measuring.threads,
            iterations=self.measuring.iterations,
            warmup=self.measuring.warmup,
            min_seconds=MIN_SECONDS,
            feeds=self.feeds,
        )

    def time_dense(self) -> Timing:
        """The latency of the file that was given."""
        return Timing.from_samples(self.time([self.original])[0])

    def node_times(
        self, models: Sequence[Serialized], *, library: bool = True, reporter: Reporter = SILENT
    ) -> list[ModelTimes]:
        """The models timed node by node, as the options say."""
        return self.target.node_times(
            models,
            threads=self.measuring.threads,
            iterations=self.measuring.iterations,
            warmup=self.measuring.warmup,
            feeds=self.feeds,
            library=library,
            reporter=reporter,
        )

    def against_dense(self, candidate: Serialized) -> tuple[Timing, Timing]:
        """The dense file and `candidate`, as `side_by_side`."""
        dense, sparse = self.side_by_side([self.original, candidate])
        return dense, sparse

    def side_by_side(self, models: list[Serialized]) -> tuple[Timing, ...]:
        """The models, interleaved, over several sessions of each.

        Where a session's weights happen to lie in memory moves its latency by a percent or
        two for as long as it lives; what is promised has to hold for the next session too.
        """
        rounds = [self.time(models) for _ in range(SESSIONS)]
        joined = map(np.concatenate, zip(*rounds, strict=True))
        return tuple(Timing.from_samples(samples) for samples in joined)

    def random_sparse(self, densities: Mapping[str, float], seed: int) -> Serialized:
        """The model with random groups kept; layers that are never pruned stay dense."""
        prunable = {layer.name for layer in self.prunable}
        wanted = {name: d if name in prunable else 1.0 for name, d in densities.items()}
        sparse = random_model(self.model, wanted, self.simd_group, seed, structure=self.structure)
        return loadable(sparse.model)


def open_workload(
    path: Path,
    *,
    fully_connected: bool = False,
    simd_group: int,
    measuring: Measuring,
    seed: int,
    reporter: Reporter,
    structure: str = "simd",
    inputs: InputSettings | None = None,
) -> Workload:
    """Load and normalise the model at `path` and connect to the target.

    `fully_connected` makes convolutions of fully connected layers, so that these are prunable
    too; the dense model that is timed stays the file as it is. Raises `ModelError` where that
    leaves no convolution at all, and as `RunnableFile.make_feeds` does.
    """
    target = get_target(measuring.target)
    inputs = inputs or InputSettings()
    loaded = load_model(path, shapes_of(path, inputs), reporter, needs_conv=False)
    model = as_convolutions(loaded, reporter) if fully_connected else loaded
    require_conv(path, model)
    file = open_runnable(path)
    inputs = inputs.with_shapes({info.name: info.shape for info in model.inputs})
    return Workload(
        path=path,
        model=model,
        original=loadable(loaded) if loaded.repairs else file.data,
        target=target,
        measuring=measuring,
        simd_group=simd_group,
        feeds=file.make_feeds(seed, inputs, reporter),
        seed=seed,
        structure=structure,
        inputs=inputs,
        as_given=file.data if loaded.repairs else None,
    )
