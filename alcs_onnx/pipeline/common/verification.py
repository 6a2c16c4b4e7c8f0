"""Numerical checks of a written model, with the custom-op library and without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alcs_onnx import ort
from alcs_onnx.differences import relative_difference
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, serialize

#: Largest difference allowed, relative to the largest output (float32, thousands of terms).
TOLERANCE = 1e-4


@dataclass(frozen=True)
class NumericCheck:
    """Largest differences of the written file's outputs, relative to the largest output.

    `with_library` against the masked dense model in plain ONNX Runtime; `without_library`
    likewise, the operator replaced by its function body.
    """

    with_library: float
    without_library: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether both differences are within the tolerance."""
        return max(self.with_library, self.without_library) <= self.tolerance


def numeric_check(written: Model, reference: Model, seed: int) -> NumericCheck:
    """Compare `written` with the masked dense `reference` on random inputs.

    Both run in this process, `written` once with the custom-op library and once without.
    """
    expected_session = ort.create_session(serialize(reference), library=False)
    feeds = ort.random_feeds(expected_session, seed)
    expected = ort.run(expected_session, feeds)
    serialized = serialize(written)
    differences = []
    for library in (True, False):
        found = ort.run(ort.create_session(serialized, library=library), feeds)
        differences.append(
            max(relative_difference(found[name], expected[name]) for name in expected)
        )
    return NumericCheck(differences[0], differences[1], TOLERANCE)


def written_form(model: Model) -> Model:
    """`model` as it is written: with the symbolic batch its file had, if it runs so.

    Whether no node has the batch baked in is found out by running a batch of two.
    """
    if model.batch_axis_name is None:
        return model
    dynamic = model.with_dynamic_batch()
    try:
        one = ort.create_session(serialize(dynamic))
        feeds = ort.random_feeds(one, seed=0, input_shapes={x.name: x.shape for x in model.inputs})
        single = ort.run(one, feeds)
        double = ort.run(one, {name: np.concatenate([x, x]) for name, x in feeds.items()})
    except AlcsError:
        return model
    repeated = {name: np.concatenate([x, x]) for name, x in single.items()}
    same = all(relative_difference(double[name], repeated[name]) <= TOLERANCE for name in single)
    return dynamic if same else model
