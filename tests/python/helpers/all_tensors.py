"""Every tensor of a model by name, as ONNX Runtime computes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from graph_helpers import assert_same, run
from onnx import numpy_helper

from alcs_onnx.graph import Model, serialize
from alcs_onnx.graph.tensors import with_outputs

Array = np.ndarray


def all_tensors(data: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What each node of the main graph computes, and the initializers; tensors alone."""
    graph = onnx.load_model_from_string(data).graph
    names = [name for node in graph.node for name in node.output if name]
    values = run(with_outputs(data, names), feeds, optimise=False) if names else []
    found = dict(zip(names, values, strict=True))
    found |= {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def assert_names_mean_the_same(
    original: bytes, loaded: Model, feeds: Mapping[str, Array]
) -> set[str]:
    """A name that file and model have has the same values in both; the names."""
    before = all_tensors(original, feeds)
    after = all_tensors(serialize(loaded.detached()), feeds)
    common = before.keys() & after.keys()
    for name in sorted(common):
        one, other = before[name], after[name]
        assert one.dtype == other.dtype, name
        if one.dtype.kind == "f" and np.isfinite(one).all():
            try:
                assert_same([other], [one])
            except AssertionError as error:
                raise AssertionError(f"'{name}': {error}") from error
        else:
            assert one.shape == other.shape, name
            assert one.tolist() == other.tolist() or np.array_equal(one, other, equal_nan=True), (
                name
            )
    return common
