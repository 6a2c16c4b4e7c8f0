"""Which nodes are int8, by building and measuring a handful of models."""

from __future__ import annotations

import onnx
import pytest
from graph_helpers import store
from int8_files import branching_network, quantized

from alcs_onnx.graph import read_file
from alcs_onnx.latency import PrecisionCosts
from alcs_onnx.pipeline.common.precision import (
    PrecisionCandidate,
    PrecisionSearch,
    search_precision,
)
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.reporter import SILENT
from alcs_onnx.solve import candidates
from alcs_onnx.types import Timing


def test_a_handful_of_models_is_built_and_measured(tmp_path):
    path = store(branching_network(), tmp_path)
    measuring = Measuring(warmup=1, iterations=9)
    workload = open_workload(path, simd_group=4, measuring=measuring, seed=0, reporter=SILENT)
    model, asked = read_file(path).model, []

    def build(int8):
        asked.append(int8)
        return quantized(onnx.load(path), int8).SerializeToString()

    found = search_precision(workload, model, path.read_bytes(), build)
    everything = frozenset(node.name for node in model.nodes)
    assert asked == [everything, *(item.int8 for item in found.candidates[1:])]
    assert tuple(item.int8 for item in found.candidates) == candidates(found.costs)
    assert 2 <= len(found.candidates) <= 5
    assert found.candidates[1].int8 == everything - {"odd"}
    for item in found.candidates:
        assert item.timing.runs >= 3 * measuring.iterations
        assert item.estimate_ms == found.costs.latency(item.int8)
    assert found.fastest in found.candidates


@pytest.mark.parametrize(
    ("medians", "fastest"),
    [((10.0, 12.0, 9.0), 2), ((10.0, 5.0, 9.0), 1), ((10.0, 9.9, 9.85), 0), ((10.0, 12.0), 0)],
)
def test_float32_stays_where_nothing_saves_enough(medians, fastest):
    timings = [Timing.from_samples([ms]) for ms in medians]
    found = tuple(
        PrecisionCandidate(frozenset([str(i)] if i else []), 1.0, timing)
        for i, timing in enumerate(timings)
    )
    assert PrecisionSearch(PrecisionCosts((), ()), found).fastest is found[fastest]
