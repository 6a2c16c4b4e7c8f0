"""Proof that the torch module computes what the runtime computes, before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alcs_onnx.differences import relative_difference
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, as_float32, loadable, with_outputs
from alcs_onnx.train.module import OnnxModule
from alcs_onnx.train.places import computed_from_sizes
from alcs_onnx.train.weights import check_finite

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

#: Evaluates a model at the given inputs and returns the named tensors.
Reference = Callable[[Model, Feeds, Sequence[str]], Mapping[str, Array]]

TOLERANCE = 1e-4


def runtime_reference(model: Model, feeds: Feeds, names: Sequence[str]) -> Mapping[str, Array]:
    """The named tensors of `model` by ONNX Runtime, intermediate ones included."""
    from alcs_onnx import ort

    session = ort.create_session(with_outputs(loadable(model.detached()), names), library=False)
    return ort.run(session, feeds)


def verify(
    model: Model,
    reference: Reference = runtime_reference,
    *,
    feeds: Feeds | None = None,
    seed: int = 0,
) -> float:
    """Compare torch with `reference` and return the largest relative difference of an output.

    At the model's own batch and, where it takes any, at twice that, whose halves `reference` gets
    one after the other. `feeds` are values that the model can take, at its own shapes; without
    them floats are normally distributed and integers 0.

    Raises `ModelError` for weights that are not finite, and `AlcsError` naming the first node, in
    topological order, whose output differs by more than `TOLERANCE` relative to its largest
    absolute value. Intermediate tensors are only looked at when an output differs. A float16 model
    is compared in float32, as it is trained.
    """
    check_finite(model)
    model = as_float32(model)
    first = _feeds(model, feeds, seed)
    single = _Comparison(model, reference, (first,))
    if single.module.usable_batch(0) != 0:
        return single.largest()
    second = {name: first[name] for name in first} | {
        info.name: _normal(info.shape, seed + 1).astype(info.dtype)
        for info, counts in zip(model.inputs, single.module.counts_samples, strict=True)
        if counts and np.issubdtype(info.dtype, np.floating)
    }
    return max(single.largest(), _Comparison(model, reference, (first, second)).largest())


def _feeds(model: Model, given: Feeds | None, seed: int) -> dict[str, Array]:
    """A value of every input."""
    return {
        info.name: given[info.name].astype(info.dtype, copy=False)
        if given is not None and info.name in given
        else _normal(info.shape, (seed, index)).astype(info.dtype)
        if np.issubdtype(info.dtype, np.floating)
        else np.zeros(info.shape, info.dtype)
        for index, info in enumerate(model.inputs)
    }


def _normal(shape: Sequence[int], seed: int | Sequence[int]) -> npt.NDArray[np.float64]:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


@dataclass
class _Comparison:
    """Torch with all of `parts` at once, the reference with one after the other."""

    model: Model
    reference: Reference
    parts: tuple[Feeds, ...]

    def __post_init__(self) -> None:
        self.module = OnnxModule(self.model, inplace=False)
        self._arguments = [
            torch.from_numpy(np.array(self._joined([part[name] for part in self.parts], counts)))
            for name, counts in zip(
                self.module.input_names, self.module.counts_samples, strict=True
            )
        ]

    @staticmethod
    def _joined(arrays: Sequence[Array], along_samples: bool) -> Array:
        return np.concatenate(arrays) if along_samples and len(arrays) > 1 else arrays[0]

    def expected(self, names: Sequence[str]) -> dict[str, tuple[Array, ...]]:
        """The named tensors by the reference, one for each part."""
        found = [self.reference(self.model, part, names) for part in self.parts]
        return {name: tuple(np.asarray(each[name]) for each in found) for name in names}

    def difference(self, actual: torch.Tensor, expected: Sequence[Array]) -> float:
        """Relative; of tensors that are the same for all samples, from the first part's."""
        value = actual.numpy(force=True)
        shared = value.shape == expected[0].shape
        return relative_difference(value, expected[0] if shared else np.concatenate(expected))

    def largest(self) -> float:
        """The largest difference of an output; raises `AlcsError` for one that is too large."""
        names = list(self.module.output_names)
        with torch.no_grad():
            outputs = OnnxModule(self.model)(*self._arguments)
        expected = self.expected(names)
        worst = max(
            self.difference(tensor, expected[name])
            for name, tensor in zip(names, outputs, strict=True)
        )
        if worst <= TOLERANCE:
            return worst
        raise AlcsError(self._first_difference(worst))

    def _first_difference(self, worst: float) -> str:
        model = self.model
        known = {*self.module.output_names, *(set(model.shapes) & set(model.dtypes))}
        names = [name for node in model.nodes for name in node.outputs if name in known]
        expected, actual = self.expected(names), self.module.tensors(*self._arguments)
        times = f" at {len(self.parts)} batches at once" if len(self.parts) > 1 else ""
        # Sizes follow the batch: they are no data of a sample.
        compared = expected.keys() - computed_from_sizes(model)
        for node in model.nodes:
            for name in node.outputs:
                if name not in compared:
                    continue
                gap = self.difference(actual[name], expected[name])
                if gap > TOLERANCE:
                    return (
                        f"torch and the runtime first differ at node '{node.name}' "
                        f"({node.op_type}){times}: relative difference {gap:.2g} of '{name}', "
                        f"allowed {TOLERANCE:.2g}"
                    )
        return (
            f"torch and the runtime differ by {worst:.2g} at the outputs{times}, "
            f"allowed {TOLERANCE:.2g}"
        )
