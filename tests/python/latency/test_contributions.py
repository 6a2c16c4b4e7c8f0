"""Latency contributions of channel groups: measured, predicted, estimated and stored."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graph_helpers import model as small
from graph_helpers import op, store
from hypothesis import given
from hypothesis import strategies as st
from reporters import Recorder

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import load_model, serialize
from alcs_onnx.latency import (
    ChannelEstimator,
    ReducedModels,
    Runner,
    contribution,
    load_channel_table,
    load_table,
    measure_contributions,
    predict_contributions,
    save_table,
    step_counts,
)
from alcs_onnx.latency.contributions import MIN_SECONDS
from alcs_onnx.target import ModelTimes, NodeTimes, get_target
from alcs_onnx.types import ChannelCurve, ChannelGroup, ChannelSlot, ChannelTable, Machine, Timing

MACHINE = Machine("Some CPU", "avx2", 1, "1.31.1", "lib 0123", "performance", 0.5)


def network(mid=32, out=16):
    """x -> first -> `mid` channels -> depthwise -> second -> `out` channels -> head -> y."""
    rng = np.random.default_rng(0)
    shapes = {
        "w1": (mid, 3, 3, 3), "dw": (mid, 1, 3, 3), "w2": (out, mid, 1, 1), "w3": (5, out, 1, 1),
    }  # fmt: skip
    weights = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    nodes = [
        op("Conv", "x w1", "a", "first", pads=[1] * 4),
        op("Relu", "a", "b", "relu"),
        op("Conv", "b dw", "c", "depthwise", pads=[1] * 4, group=mid),
        op("Conv", "c w2", "d", "second"),
        op("Conv", "d w3", "y", "head"),
    ]
    return small(nodes, weights, (1, 3, 16, 16))


def build(kept):
    return network(kept.get("first", 32), kept.get("second", 16)).SerializeToString()


def slot(tensor, axis, role, channels):
    return ChannelSlot(tensor, axis, role, "node", np.arange(channels)[:, None])


GROUPS = (
    ChannelGroup(
        "first",
        32,
        (slot("w1", 0, "out", 32), slot("dw", 0, "scale", 32), slot("w2", 1, "in", 32)),
    ),
    ChannelGroup("second", 16, (slot("w2", 0, "out", 16), slot("w3", 1, "in", 16))),
    ChannelGroup("head", 5, (slot("w3", 0, "out", 5),), "a graph output"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(store(network(), tmp_path_factory.mktemp("model")))


# --- counts


@given(st.integers(1, 3000), st.integers(1, 20))
def test_steps_rise_in_whole_vectors_to_all_channels(channels, steps):
    counts = step_counts(channels, steps)
    assert counts[-1] == channels
    assert counts[0] >= 1
    assert list(counts) == sorted(set(counts))
    assert len(counts) <= max(2, steps) + 1
    multiple = 16 if channels >= 128 else 8 if channels >= 64 else 4 if channels >= 16 else 1
    assert all(count % multiple == 0 or count == multiple // 4 for count in counts[:-1])


def test_steps_of_usual_groups():
    assert step_counts(64, 8) == (2, 8, 16, 24, 32, 40, 48, 56, 64)
    assert step_counts(18, 8) == (1, 4, 8, 12, 16, 18)
    assert step_counts(3, 8) == (1, 2, 3)
    assert step_counts(1, 8) == (1,)
    assert len(step_counts(512, 8)) == 9


# --- measuring


class KnownTarget:
    """A machine of known times that becomes slower from call to call."""

    noise = 0.0

    def __init__(self, drift=1.0, cost=None):
        self.drift, self.calls = drift, []
        self.cost = cost or (
            lambda kept: 10 - 0.1 * (32 - kept["first"]) - 0.2 * (16 - kept["second"])
        )

    @staticmethod
    def build(kept):
        return json.dumps({"first": 32, "second": 16, **kept}).encode()

    def machine(self, threads=1):
        return replace(MACHINE, threads=threads)

    def node_times(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("whole models are timed")

    def time(self, models, **settings):
        speed = self.drift ** len(self.calls)
        self.calls.append((len(models), settings))
        spread = np.array([-1.0, 0.0, 1.0, 0.0, 4.0]) * self.noise
        return [speed * (self.cost(json.loads(text)) + spread) for text in models]


@pytest.mark.parametrize("drift", [1.0, 1.3])
def test_the_table_recovers_known_times_in_spite_of_drift(model, drift):
    target = KnownTarget(drift)
    told = Recorder()
    table = measure_contributions(
        ReducedModels(model, target.build, GROUPS),
        Runner(target, threads=2),
        iterations=7,
        warmup=3,
        reporter=told,
    )
    assert [curve.group for curve in table.curves] == ["first", "second"]
    assert table.curve("first").kept == step_counts(32, 8)
    now = table.dense.median / 10  # the speed of the middle of the measurement
    for curve, rate in zip(table.curves, (0.1, 0.2), strict=True):
        expected = [now * (10 - rate * (curve.channels - kept)) for kept in curve.kept]
        assert curve.times_ms == pytest.approx(expected)
        assert curve.times_ms[-1] == table.dense.median
    assert len(target.calls) > 1
    assert all(2 <= models <= 8 for models, _ in target.calls)
    assert target.calls[0][1] == {
        "threads": 2, "iterations": 7, "warmup": 3, "min_seconds": MIN_SECONDS, "feeds": None,
        "library": False,
    }  # fmt: skip
    assert (table.model_digest, table.machine.threads) == (model.digest, 2)
    assert table.input_shapes == {"x": (1, 3, 16, 16)}
    assert (table.predicted, table.error) == (False, None)
    assert told.fractions[0] == 0.0
    assert told.fractions[-1] == 1.0
    assert told.fractions == sorted(told.fractions)


def test_mean_and_deviation_are_kept_beside_the_median(model):
    target = KnownTarget()
    target.noise = 0.5
    models = ReducedModels(model, target.build, GROUPS)
    curve = measure_contributions(models, Runner(target)).curve("second")
    samples = np.array([-0.5, 0, 0.5, 0, 2.0])
    for time, mean, stddev in zip(curve.times_ms, curve.mean, curve.stddev, strict=True):
        assert mean == pytest.approx(time + samples.mean())
        assert stddev == pytest.approx(samples.std())


def test_without_a_group_to_reduce_the_dense_model_is_measured(model):
    target = KnownTarget()
    models = ReducedModels(model, target.build, GROUPS[2:])
    table = measure_contributions(models, Runner(target))
    assert table.curves == ()
    assert table.dense.median == 10


def test_a_real_model_is_measured_on_this_machine(model, tmp_path):
    target = get_target("local")
    table = measure_contributions(
        ReducedModels(model, build, GROUPS), Runner(target), iterations=3, warmup=1, steps=4
    )
    assert [curve.kept for curve in table.curves] == [step_counts(32, 4), step_counts(16, 4)]
    assert all(time > 0 for curve in table.curves for time in curve.times_ms)
    assert table.dense.runs >= 3
    path = tmp_path / "table.json"
    save_table(table, path)
    assert load_channel_table(path, model.digest, target.machine(1)) == table


# --- predicting


def node_times(model):
    """A profile in which a node costs 2 us of overhead more than its share of 10 ms."""
    times = {"first": 4.0, "depthwise": 2.0, "second": 3.0, "head": 1.0}
    seen = {name: time + 0.002 for name, time in times.items()}
    return ModelTimes(NodeTimes(seen, dict.fromkeys(seen, "Conv")), np.full(5, 10.0))


def product(kept):
    """What the prediction assumes: each layer in proportion to what is left on both axes."""
    first, second = kept["first"] / 32, kept["second"] / 16
    return 4 * first + 2 * first + 3 * first * second + 1 * second


def test_a_prediction_scales_layers_by_what_is_left_of_them(model):
    target = KnownTarget(cost=product)
    models = ReducedModels(model, target.build, GROUPS)
    table = predict_contributions(models, Runner(target), node_times(model), samples=5)
    assert table.predicted
    assert table.error == pytest.approx(0.0, abs=1e-9)
    for curve in table.curves:
        expected = [product({"first": 32, "second": 16, curve.group: kept}) for kept in curve.kept]
        assert curve.times_ms == pytest.approx(expected)
    assert sum(models for models, _ in target.calls) == 5 + len(target.calls)


def test_a_node_that_was_disturbed_hides_no_layer(model):
    """It seems to be all that the runs took, and the rest the profiler's."""
    seen = {"first": 0.04, "depthwise": 0.02, "second": 0.03, "head": 0.01, "other": 12.0}
    kinds = dict.fromkeys(seen, "Conv") | {"other": "Add"}
    times = ModelTimes(NodeTimes(seen, kinds), np.full(5, 10.0))
    models = ReducedModels(model, KnownTarget.build, GROUPS)
    table = predict_contributions(models, Runner(KnownTarget()), times, samples=0)
    for curve in table.curves:
        saved = (10 - np.array(curve.times_ms)) / (10 / 12.1)
        small = {group.name: group.channels for group in GROUPS}
        expected = [0.1 - product({**small, curve.group: kept}) / 100 for kept in curve.kept]
        assert saved == pytest.approx(expected)


def test_the_error_of_a_prediction_is_that_of_its_savings(model):
    """The machine saves half of what is predicted: the error is the measured saving, once."""
    target = KnownTarget(1.2, cost=lambda kept: 5 + product(kept) / 2)
    models = ReducedModels(model, target.build, GROUPS)
    table = predict_contributions(models, Runner(target), node_times(model), samples=6)
    assert table.error == pytest.approx(1.0)
    unchecked = predict_contributions(models, Runner(target), node_times(model), samples=0)
    assert unchecked.error is None


def test_parts_of_one_axis_add_up(model):
    """A group with two slices of 4 of the 16 channels that `head` reads."""
    indices = np.arange(8).reshape(2, 4, 1)
    group = ChannelGroup(
        "parts", 4, tuple(ChannelSlot("w3", 1, "in", "head", rows) for rows in indices)
    )
    models = ReducedModels(model, KnownTarget.build, [group])
    table = predict_contributions(models, Runner(KnownTarget()), node_times(model), samples=0)
    [curve] = table.curves
    assert curve.kept == (1, 2, 3, 4)
    assert curve.times_ms == pytest.approx([10 - 0.5 * (4 - kept) / 4 for kept in curve.kept])


def test_a_profile_of_other_layers_predicts_nothing(model):
    times = ModelTimes(NodeTimes({"other": 1.0}, {"other": "Add"}), np.ones(3))
    models = ReducedModels(model, KnownTarget.build, GROUPS)
    with pytest.raises(AlcsError, match="has no layer of any channel group"):
        predict_contributions(models, Runner(KnownTarget()), times)


def test_a_real_model_is_predicted_from_its_profile(model):
    target = get_target("local")
    [times] = target.node_times([serialize(model)], iterations=4, library=False)
    table = predict_contributions(
        ReducedModels(model, build, GROUPS),
        Runner(target),
        times,
        iterations=2,
        warmup=0,
        samples=2,
    )
    for curve in table.curves:
        assert (np.diff(curve.times_ms) > 0).all()
        assert curve.times_ms[-1] == table.dense.median
    assert table.error is not None


# --- estimating


def curve(*times, kept=(2, 4, 8), group="a"):
    return ChannelCurve(group, kept, times, times, (0.1,) * len(times))


def test_contributions_are_linear_between_counts_and_flat_below():
    times = contribution(curve(1.0, 2.0, 6.0))
    assert times == pytest.approx([1, 1, 1, 1.5, 2, 3, 4, 5, 6])


def test_a_channel_that_seems_to_save_time_costs_nothing():
    """Eq. 7 is negative from 2 to 4 channels: both times become their mean."""
    times = contribution(curve(3.0, 1.0, 6.0))
    assert times == pytest.approx([2, 2, 2, 2, 2, 3, 4, 5, 6])
    assert (np.diff(times) >= 0).all()


@pytest.fixture
def table():
    return ChannelTable(
        model_digest="ab" * 32,
        machine=MACHINE,
        dense=Timing(6.0, 6.5, 7.0, 6.1, 0.1, 40),
        curves=(curve(1.0, 2.0, 6.0), curve(4.0, 5.0, 6.0, kept=(1, 3, 5), group="b")),
        predicted=True,
        error=0.25,
        input_shapes={"x": (1, 3, 8, 8)},
    )


def test_savings_add_up_in_equation_6(table):
    estimator = ChannelEstimator.from_table(table)
    assert estimator.saving({}) == 0.0
    assert estimator.saving({"a": 4}) == pytest.approx(4.0)
    assert estimator.saving({"a": 8, "b": 2}) == pytest.approx(1.5)
    assert estimator.saving({"a": 4, "b": 1}) == pytest.approx(6.0)


def test_what_is_left_is_a_product_of_two_axes(table):
    estimator = ChannelEstimator.from_table(table)
    assert estimator.latency({}) == 6.0
    assert estimator.latency({"a": 4, "b": 1}) == pytest.approx(6 * (1 - 0.5) ** 2)
    for latency in (0.5, 3.0, 6.0):
        assert estimator.after(estimator.needed(latency)) == pytest.approx(latency)
    assert estimator.after(100.0) == 0.0


def test_a_chain_of_equal_layers_is_estimated_exactly():
    """Each layer lies between two groups: half of all channels leave a quarter of the time."""
    groups, kept = 50, (5, 10)
    ones = tuple(
        curve(*(50 - 2 * (1 - count / 10) for count in kept), kept=kept, group=f"g{index}")
        for index in range(groups)
    )
    table = ChannelTable("", MACHINE, Timing(50, 50, 50, 50, 0, 9), ones)
    half = {f"g{index}": 5 for index in range(groups)}
    assert ChannelEstimator.from_table(table).latency(half) == pytest.approx(50 / 4)


def test_what_was_not_measured_is_not_estimated(table):
    estimator = ChannelEstimator.from_table(table)
    with pytest.raises(AlcsError, match="group 'c' has no latency curve"):
        estimator.latency({"c": 1})
    with pytest.raises(AlcsError, match="group 'b' has 5 channels, not 6"):
        estimator.latency({"b": 6})


UNUSABLE = [
    curve(1.0, 2.0, kept=(4, 4)),
    curve(1.0, 2.0, kept=(0, 4)),
    curve(1.0, 2.0, 3.0, kept=(1, 4)),
    curve(1.0, np.nan, kept=(1, 4)),
    curve(kept=()),
]


@pytest.mark.parametrize("broken", UNUSABLE)
def test_unusable_curves_are_refused(table, broken):
    with pytest.raises(AlcsError, match="group 'a': its latency curve is not a usable one"):
        ChannelEstimator.from_table(replace(table, curves=(broken,)))


# --- files


def test_a_table_survives_its_file(table, tmp_path):
    path = tmp_path / "table.json"
    save_table(table, path)
    assert load_channel_table(path, table.model_digest, MACHINE) == table
    save_table(replace(table, error=None, predicted=False), path)
    assert load_channel_table(path).error is None


def test_tables_of_another_kind_model_or_machine_are_refused(table, tmp_path):
    path = tmp_path / "table.json"
    save_table(table, path)
    with pytest.raises(AlcsError, match="not a latency table"):
        load_table(path)
    with pytest.raises(AlcsError, match="measured on another model"):
        load_channel_table(path, "cd" * 32)
    with pytest.raises(AlcsError, match="measured with isa avx2, this run has neon"):
        load_channel_table(path, None, replace(MACHINE, isa="neon"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.pop("curves"), "damaged channel latency table .'curves' is missing"),
        (lambda c: c.update(schema=99), "schema 99"),
        (lambda c: c.update(kind="other"), "not a channel latency table"),
        (lambda c: c["curves"][0].update(kept=[1, 1, 2]), "its latency curve is not a usable one"),
        (lambda c: c["curves"][0]["times_ms"].append("x"), "damaged channel latency table"),
        (lambda c: c["dense"].update(median=None), "damaged channel latency table"),
    ],
)
def test_damaged_files_are_refused(table, tmp_path, change, text):
    path = tmp_path / "table.json"
    save_table(table, path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(AlcsError, match=text):
        load_channel_table(path)
