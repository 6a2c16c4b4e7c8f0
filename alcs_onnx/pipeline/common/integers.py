"""The fully quantized file of a float model, whose convolutions of ours can lose blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx import ort
from alcs_onnx.differences import is_float
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.mixed import clipped_convs
from alcs_onnx.pipeline.common.rounding import as_model
from alcs_onnx.pipeline.common.verification import Check, check_against_original
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.quantization import LEAST_OPSET, QuantizeOptions, Ranges, quantize, stored_layers
from alcs_onnx.rewrite import IntegerRewrite, as_integers, as_quantized, random_groups, unrounded
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import InitializerName, LayerName, WeightMask


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """All that can be is int8 in `model`, whose nodes have the names of the float model's.

    `levels` are the integers of the weights of its convolutions, and `clipped` those convolutions
    whose results are cut off by what rounds them (`clipped_convs`).
    """

    model: Model
    levels: Mapping[LayerName, InitializerName]
    clipped: frozenset[LayerName]

    @classmethod
    def of(cls, float_model: Model, ranges: Ranges, options: QuantizeOptions) -> IntegerNetwork:
        """What `float_model` comes to with `ranges`, which are of its tensors."""
        # Profiles are read by the names of nodes, which the user's file may not have.
        alone = float_model.detached()
        source = loadable(alone, LEAST_OPSET)
        made = quantize(source, ranges, None, options)
        model = as_model(made.model, alone)
        names = {node.outputs[0]: node.name for node in alone.nodes if node.outputs}
        stored = stored_layers(made, model, options)
        levels = {names[x.output]: x.weight for x in stored if x.output in names}
        return cls(model, levels, clipped_convs(alone))

    @cached_property
    def left(self) -> Mapping[LayerName, str]:
        """The convolutions that our kernels do not compute, with the reasons."""
        rows = as_integers(self.model, clipped=self.clipped).layers
        return {row.layer: row.reason for row in rows if not row.groups}

    def masked(
        self, masks: Mapping[LayerName, WeightMask], excluded: Mapping[LayerName, str]
    ) -> IntegerRewrite:
        """The file without the weights that `masks` lack; `excluded` stay the runtime's own."""
        arrays = {
            self.levels[name]: np.where(
                mask, self.model.initializers[self.levels[name]], np.int8(0)
            )
            for name, mask in masks.items()
        }
        own = {name: why for name, why in excluded.items() if name in self.levels}
        return as_integers(self.model.with_initializers(arrays), own, self.clipped)


@dataclass(frozen=True)
class IntegerWorkload(Workload):
    """A workload whose sparse models are `integers`."""

    integers: IntegerNetwork | None = None

    @property
    def table_name(self) -> str:
        """What its latency table is called."""
        return f"{super().table_name}-int8"

    @property
    def left_alone(self) -> Mapping[str, str]:
        """The layers that are not computed by our kernels, with the reasons."""
        assert self.integers is not None
        quantized = set(self.integers.levels) - set(self.integers.left)
        names = (layer.name for layer in self.layers)
        reasons = {name: "it is not int8" for name in names if name not in quantized}
        return {**reasons, **{n: why for n, why in self.integers.left.items() if n in reasons}}

    def random_sparse(self, densities: Mapping[str, float], seed: int) -> Serialized:
        """The quantized model with random blocks kept; layers that are never pruned stay dense."""
        assert self.integers is not None
        masks = {
            layer.name: self.grouping.weight_mask(
                random_groups(layer, self.grouping, densities[layer.name], (seed, index)), layer
            )
            for index, layer in enumerate(self.prunable)
            if layer.name in densities and layer.name in self.integers.levels
        }
        return loadable(self.integers.masked(masks, {}).model)


def check_integers(workload: Workload, before: Model, after: Model) -> Check:
    """The file `after`, with integers of ours, against the quantized file `before`.

    Both without what rounds activations: where that is the same, so are the integers.
    """
    return check_against_original(
        loadable(unrounded(before)),
        loadable(unrounded(as_quantized(after))),
        workload.inputs,
        workload.seed,
        before.initializers,
    )


def moved_by(workload: Workload, before: Model, after: Model) -> float:
    """The relative error of the outputs of `after` against what the file `before` says.

    Sums are rounded once less. The second runs as it is written, since ONNX Runtime's own integers
    may overflow; the first with the library and without it.
    """
    said = ort.run(ort.create_session(loadable(before), optimized=False), workload.feeds)
    error = 0.0
    for library in (True, False):
        session = ort.create_session(loadable(after), library=library)
        found = ort.run(session, workload.feeds)
        error = max([error, *(_error(found[name], said[name]) for name in said)])
    return error


def _error(found: npt.NDArray[Any], said: npt.NDArray[Any]) -> float:
    """The relative error of an output of floats; 0 of any other."""
    if not is_float(said.dtype):
        return 0.0
    norm = float(np.linalg.norm(said.astype(np.float64)))
    moved = float(np.linalg.norm(found.astype(np.float64) - said))
    return moved / norm if norm else float(moved > 0)


def require_same_integers(workload: Workload, before: Model, after: Model) -> None:
    """Raise `AlcsError` where that is not so."""
    check = check_integers(workload, before, after)
    if not check.passed:
        raise AlcsError(
            f"{workload.path}: computed by our kernels the quantized file differs by "
            f"{check.difference}"
        )
