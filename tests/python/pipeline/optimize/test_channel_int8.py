"""`--method channel-int8`: the channels that int8 alone does not make room for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reporters import Recorder
from small_models import undecided_net
from told_times import told

from alcs_onnx import Measuring, ort
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import load_model, loadable
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.optimize import ChannelOptions, OptimizeRequest
from alcs_onnx.pipeline.optimize.channel_int8 import ChannelInt8Pruning, open_channel_int8
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.types import Budget

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    network, images = undecided_net(tmp_path)
    request = OptimizeRequest(
        model=network,
        budget=Budget.parse("70%"),
        method="channel-int8",
        measuring=Measuring(warmup=1, iterations=3),
        channels=ChannelOptions(contributions="predicted"),
        judging=Judging(pictures=str(images)),
    )
    return open_run(request, Recorder())


@pytest.fixture
def pruning(run: Run, monkeypatch: pytest.MonkeyPatch) -> ChannelInt8Pruning:
    """As if int8 took half the time on this machine."""
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 0.5}))
    return open_channel_int8(run)


def test_int8_gains_what_channels_need_not(pruning: ChannelInt8Pruning) -> None:
    assert pruning.gain == 0.5
    low, high = pruning.range_ms()
    assert low < 0.5 * high
    # 70 % is more than int8 takes; 0.6 of that is not.
    whole, some = pruning.plan(1.0), pruning.plan(0.6)
    assert all(mask.all() for mask in whole.keep.values())
    assert not all(mask.all() for mask in some.keep.values())
    assert some.predicted_ms <= 0.6 * pruning.budget_ms
    assert not pruning.is_smallest(some)
    assert pruning.is_smallest(pruning.plan(0.0))


def test_what_is_written_is_smaller_and_int8(run: Run, pruning: ChannelInt8Pruning) -> None:
    plan = pruning.plan(0.6)
    network = pruning.pruned(run, plan)
    rewritten = pruning.rewrite(run, network, plan)
    assert rewritten.check.passed
    assert rewritten.mac_ratio < 1
    rows = {row.layer: row for row in rewritten.layers}
    assert {row.op for name, row in rows.items() if name in pruning.nodes} == {"Conv int8"}
    assert any(row.density < 1 for row in rows.values())
    written = loadable(rewritten.model)
    for data in (written, pruning.candidate(plan)):
        assert isinstance(data, bytes)
        assert b"DequantizeLinear" in data
    # The int8 file says what the smaller float model does, for any batch.
    x = np.random.default_rng(0).random((3, 3, 12, 12), dtype=np.float32)  # as pictures are
    expected, found = (
        ort.create_session(data, library=False).run({"x": x})[0]
        for data in (loadable(network.pruned), written)
    )
    assert found.shape == expected.shape == (3, *run.workload.model.outputs[0].shape[1:])
    assert np.linalg.norm(found - expected) < 0.3 * np.linalg.norm(expected)


def test_the_plan_says_its_method(pruning: ChannelInt8Pruning) -> None:
    saved = pruning.saved(pruning.plan(0.6))
    assert saved.method == "channel-int8"
    assert saved.channels is not None
    assert pruning.decided(None).settings["int8_nodes"] == len(pruning.nodes)


def test_where_int8_is_not_quicker_there_is_no_such_way(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"int8": 1.5}))
    with pytest.raises(AlcsError, match="no int8 node is quicker on this machine"):
        open_channel_int8(run)
    assert load_model(run.request.model).takes_batches
