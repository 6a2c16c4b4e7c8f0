"""Channel pruning of random graphs: whatever the operators, what is computed stays the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.printer
from coupling_helpers import assert_shrinks, prunable
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from random_graphs import graphs

from alcs_onnx import coupling
from alcs_onnx.graph import Model, load_model

#: Always the same graphs: a failure in one run is a failure in all.
ALWAYS_THE_SAME = settings(
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def read(proto: onnx.ModelProto) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        path.write_bytes(proto.SerializeToString())
        return load_model(path)


@settings(ALWAYS_THE_SAME, max_examples=600)
@given(graphs(), st.integers(0, 2**20), st.sampled_from((0.3, 0.7)))
def test_random_graph(proto: onnx.ModelProto, seed: int, share: float) -> None:
    note(onnx.printer.to_text(proto))  # told when it fails
    assert_shrinks(read(proto), np.random.default_rng(seed), share)


def test_most_random_graphs_have_something_to_prune() -> None:
    """Else the test above would prove little."""
    found = []

    @settings(ALWAYS_THE_SAME, max_examples=60)
    @given(graphs())
    def look(proto: onnx.ModelProto) -> None:
        found.append(bool(prunable(coupling.analyse(read(proto)))))

    look()
    assert np.mean(found) > 0.6
