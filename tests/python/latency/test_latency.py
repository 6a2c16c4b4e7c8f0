"""The latency table: measuring it, estimating with it, and its files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timing_models
from graph_helpers import conv_weight, op, store
from graph_helpers import model as small
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from reporters import Recorder

from alcs_onnx.errors import AlcsError, OutputError, TargetError
from alcs_onnx.graph import load_model, read_file, serialize
from alcs_onnx.latency import (
    Estimator,
    LayerEstimate,
    Runner,
    SparseModels,
    break_down,
    kept_groups,
    load_table,
    profile,
    save_table,
    without_overhead,
)
from alcs_onnx.latency.fused import dense_times, stem
from alcs_onnx.ort import get_library_path
from alcs_onnx.reporter import SILENT
from alcs_onnx.rewrite import random_model
from alcs_onnx.target import ModelTimes, NodeTimes, get_target
from alcs_onnx.target.local import LocalTarget
from alcs_onnx.types import DENSITIES, LatencyTable, LayerCurve, Machine, Timing

MACHINE = Machine("Some CPU", "avx2", 1, "1.31.1", "lib 0123", "performance", 0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(timing_models.small_network())
    return load_model(path)


# --- the estimator (ALCS eq. 2-6)


def paper(knots, times, s):
    """Equations 4 to 6, word for word."""
    total = times[0]
    for i in range(len(knots) - 1):
        delta = 1 if s >= knots[i] else 0
        alpha = (times[i + 1] - times[i]) / (knots[i + 1] - knots[i])
        total += delta * alpha * min(knots[i + 1] - knots[i], s - knots[i])
    return total


@st.composite
def layer_estimates(draw):
    steps = draw(st.lists(st.integers(1, 50), min_size=1, max_size=10))
    knots = np.cumsum([0, *steps])
    rises = draw(
        st.lists(st.sampled_from([0.0, 0.1, 0.25, 1.0, 3.0]), min_size=len(knots),
                 max_size=len(knots))
    )  # fmt: skip
    return LayerEstimate(knots, np.cumsum(rises))


@given(layer_estimates(), st.data())
def test_a_layers_time_is_the_papers_formula(layer, data):
    s = data.draw(st.integers(0, layer.groups))
    assert layer.time(s) == pytest.approx(paper(layer.knots, layer.times, s), abs=1e-12)


@given(layer_estimates())
def test_times_are_vectorised_and_never_decrease(layer):
    counts = np.arange(layer.groups + 1)
    times = layer.time(counts)
    assert times.shape == counts.shape
    assert (np.diff(times) >= 0).all()
    assert [float(layer.time(int(k))) for k in layer.knots] == pytest.approx(list(layer.times))


@given(layer_estimates(), st.floats(-1, 40))
def test_the_inverse_is_the_most_groups_within_a_time(layer, milliseconds):
    times = layer.time(np.arange(layer.groups + 1))
    assert layer.groups_within(milliseconds) == np.count_nonzero(times <= milliseconds) - 1


def estimator():
    return Estimator.from_curves(
        2.0,
        [
            LayerCurve("a", (0, 10, 100), (0.5, 1.0, 4.0), nan),
            LayerCurve("b", (0, 8), (0.0, 1.0), 0.7),
        ],
    )


def test_a_model_is_the_rest_and_its_layers():
    assert estimator().model_ms({"a": 55, "b": 4}) == pytest.approx(2.0 + 2.5 + 0.5)
    assert estimator().model_ms({"a": 5}) == pytest.approx(2.0 + 0.75 + 1.0)
    assert estimator().model_ms({}) == pytest.approx(7.0)


def test_a_correction_multiplies_everything():
    corrected = estimator().scaled(1.1)
    assert corrected.model_ms({"a": 55}) == pytest.approx(1.1 * estimator().model_ms({"a": 55}))
    for factor in (0.0, -1.0, nan):
        with pytest.raises(AlcsError, match="cannot be corrected"):
            estimator().scaled(factor)


@pytest.mark.parametrize(
    "curve",
    [
        LayerCurve("a", (0, 5, 5), (0, 1, 2), nan),
        LayerCurve("a", (1, 5), (0, 1), nan),
        LayerCurve("a", (0, 5), (2, 1), nan),
        LayerCurve("a", (0, 5), (1, nan), nan),
        LayerCurve("a", (0,), (1,), nan),
        LayerCurve("a", (0, 5), (1, 2, 3), nan),
    ],
)
def test_unusable_curves_are_refused(curve):
    with pytest.raises(AlcsError, match="layer 'a': its latency curve"):
        Estimator.from_curves(0.0, [curve])


# --- profiling


class KnownTarget:
    """A target whose layers take known times, to compare the table with the truth.

    A node that the profiler sees takes `slowdown` times as long and `overhead` more.
    """

    overhead = 0.002
    slowdown = 1.0

    def __init__(self, model, groups, drop=None):
        self.model, self.groups, self.drop = model, groups, drop
        self.built: list[dict[str, float]] = []

    def build(self, densities, seed):
        self.built.append(dict(densities))
        return json.dumps({name: kept_groups(d, self.groups[name])
                           for name, d in densities.items()}).encode()  # fmt: skip

    def layer_ms(self, name, stored):
        return 0.01 * len(name) + 0.001 * stored

    def rest_ms(self):
        return 0.05

    def machine(self, threads=1):
        return replace(MACHINE, threads=threads)

    def time(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("layers are timed node by node")

    def node_times(self, models, *, reporter=SILENT, **_):
        dense, *sparse = models
        assert dense == serialize(self.model.detached())
        result = []
        for text in sparse:
            times = {n: self.layer_ms(n, k) for n, k in json.loads(text).items()}
            times.pop(self.drop, None)
            result.append(self._times({**times, "pool": self.rest_ms()}))
        dense_nodes = {"sr_nchwc": 0.3, "f_nchwc": 0.4, "unrelated": 0.05}
        reporter.phase("measuring", 1.0)
        return [self._times(dense_nodes), *result]

    def _times(self, nodes):
        wall = np.full(5, sum(nodes.values()))
        seen = {name: time * self.slowdown + self.overhead for name, time in nodes.items()}
        return ModelTimes(NodeTimes(seen, dict.fromkeys(nodes, "Conv")), wall)


GROUPS = {"stem": 2 * 27, "first": 2 * 72, "second": 8 * 9, "head": 3 * 8}


def known_table(target):
    """The table of the target's own model, in groups of 4."""
    return profile(SparseModels(target.model, target.build, 4), Runner(target))


def test_the_table_recovers_known_times(model):
    target = KnownTarget(model, GROUPS)
    told = Recorder()
    models = SparseModels(model, target.build, 4)
    table = profile(models, Runner(target, threads=2), seed=3, reporter=told)
    assert [set(built.values()) for built in target.built] == [{d} for d in DENSITIES]
    assert {curve.layer: curve.groups[-1] for curve in table.curves} == GROUPS
    for curve in table.curves:
        truth = [target.layer_ms(curve.layer, stored) for stored in curve.groups]
        assert curve.times == pytest.approx(truth)
    assert table.tau == pytest.approx(target.rest_ms())
    estimate = Estimator.from_table(table)
    stored = {name: count // 3 for name, count in GROUPS.items()}
    truth = sum(target.layer_ms(n, k) for n, k in stored.items()) + target.rest_ms()
    assert estimate.model_ms(stored) == pytest.approx(truth)
    assert table.machine.threads == 2
    assert table.model_digest == model.digest
    assert table.input_shapes == {"x": (1, 3, 16, 16)}
    assert table.dense.median == pytest.approx(0.75)
    assert told.phases[0] == ("building sparse models", 0.0)
    assert told.phases[-1] == ("measuring", 1.0)


@pytest.mark.parametrize("slowdown", [0.95, 1.08])
def test_nodes_that_the_profiler_slows_down_are_corrected(model, slowdown):
    target = KnownTarget(model, GROUPS)
    target.slowdown = slowdown
    estimate = Estimator.from_table(known_table(target))
    for part in (1, 2, 5):
        stored = {name: count // part for name, count in GROUPS.items()}
        truth = sum(target.layer_ms(n, k) for n, k in stored.items()) + target.rest_ms()
        assert estimate.model_ms(stored) == pytest.approx(truth, rel=1e-3)


def test_dense_times_are_found_under_the_runtimes_names(model):
    table = known_table(KnownTarget(model, GROUPS))
    dense = {curve.layer: curve.dense_time for curve in table.curves}
    assert dense["stem"] == pytest.approx(0.3)
    assert dense["first"] == pytest.approx(0.4)
    assert isnan(dense["second"])


def test_a_layer_with_few_groups_has_a_valid_curve(tmp_path):
    """With three groups several densities store equally many: those times are averaged."""
    path = tmp_path / "few.onnx"
    path.write_bytes(timing_models.one_convolution(2, 3))
    few = load_model(path)

    class Drifting(KnownTarget):
        calls = 0

        def layer_ms(self, name, stored):
            self.calls += 1
            return 0.1 + 0.01 * stored + (0.002 if self.calls == 1 else 0.0)

    target = Drifting(few, {"only": 3})
    [curve] = profile(SparseModels(few, target.build, 2), Runner(target)).curves
    assert curve.groups == (0, 1, 2, 3)
    assert curve.times == pytest.approx((0.101, 0.11, 0.12, 0.13))  # 0 at densities 0 and 0.1


def test_noise_is_smoothed_into_a_rising_curve(model):
    generator = np.random.default_rng(1)

    class Noisy(KnownTarget):
        def layer_ms(self, name, stored):
            return 0.1 + 0.0001 * stored + generator.uniform(0, 0.02)

    table = known_table(Noisy(model, GROUPS))
    Estimator.from_table(table)  # refuses a falling one
    # What was measured did fall, so that neighbours were pooled.
    assert all(len(set(curve.times)) < len(curve.times) for curve in table.curves)


def test_a_layer_that_did_not_run_is_named(model):
    target = KnownTarget(model, GROUPS, drop="second")
    with pytest.raises(TargetError, match="'second' did not run as one node at density 0"):
        known_table(target)


def test_a_layer_left_alone_later_counts_with_the_dense_time(model):
    target = KnownTarget(model, GROUPS)
    table = known_table(target)
    plain, alone = (
        Estimator.from_table(replace(table, left_alone=left))
        for left in ({}, {"stem": "reason", "second": "reason"})
    )
    # The dense time of `second` was not found: its own time at full density stands in.
    expected = plain.model_ms({}) - target.layer_ms("stem", GROUPS["stem"]) + 0.3
    assert alone.model_ms({}) == pytest.approx(expected)
    assert set(alone.layers) == {"first", "head"}


def test_real_dense_nodes_are_found_in_a_real_profile(model):
    [times] = get_target("local").node_times([serialize(model)], iterations=4, library=False)
    found = dense_times(model, times.profile)
    assert set(found) == set(GROUPS)
    assert all(0 < time < 1e4 for time in found.values())


def test_unfused_gates_count_as_their_layers(tmp_path, rng):
    """Plain, and behind a residual; under the runtime's own names in its own profile."""
    nodes = [
        op("Conv", "x w", "a", "one", pads=[1, 1, 1, 1]),
        op("Sigmoid", "a", "f", "one_s"),
        op("Mul", "a f", "b", "one_m"),
        op("Conv", "b w", "c", "two", pads=[1, 1, 1, 1]),
        op("Add", "c b", "d", "two_a"),
        op("Sigmoid", "d", "g", "two_s"),
        op("Mul", "g d", "e", "two_m"),
        op("Conv", "e w", "h", "three", pads=[1, 1, 1, 1]),
        op("HardSwish", "h", "y", "three_h"),
    ]
    gated = load_model(
        store(small(nodes, {"w": conv_weight(rng, 8, 8, 3, 3)}, (1, 8, 40, 40)), tmp_path)
    )
    names = ("a_nchwc", "one_m/QuickGeluFusion/", "two", "two_s", "two_m", "h", "three_h")
    convs = ("a_nchwc", "two", "h")
    made_up = NodeTimes(
        {name: 2.0**i for i, name in enumerate(names)},
        {name: "Conv" if name in convs else "Mul" for name in names},
    )
    assert dense_times(gated, made_up) == {"one": 3.0, "two": 28.0, "three": 96.0}

    [times] = get_target("local").node_times([serialize(gated)], iterations=4, library=False)
    rest = [t for n, t in times.profile.nodes.items() if "Reorder" in n or n == "two_a"]
    found = sum(dense_times(gated, times.profile).values())
    assert found == pytest.approx(sum(times.profile.nodes.values()) - sum(rest))


# --- where the time of a run goes


@given(st.lists(st.floats(0, 5), max_size=9), st.floats(0.01, 20))
def test_nodes_never_take_more_than_the_run(durations, wall):
    seen = {str(index): ms for index, ms in enumerate(durations)}
    times = ModelTimes(NodeTimes(seen, dict.fromkeys(seen, "Conv")), np.full(3, wall))
    clean, overhead = without_overhead(times)
    assert clean.total == pytest.approx(min(wall, sum(durations)))
    assert clean.nodes == pytest.approx({n: max(ms - overhead, 0) for n, ms in seen.items()})
    assert (overhead == 0) == (sum(durations) <= wall) or overhead == pytest.approx(0)


def _broken_down(path):
    """The file's own nodes and the breakdown of real runs of it."""
    model = read_file(path).model
    [times] = get_target("local").node_times([path.read_bytes()], iterations=8, library=False)
    found = break_down(model, times)
    assert sum(run.ms for run in found.nodes) + found.rest_ms == pytest.approx(found.total_ms)
    assert all(0 <= found.share(run.ms) <= 1 + 1e-9 for run in found.nodes)
    return times, {run.node: run for run in found.nodes}


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "Softplus"])
def test_an_activation_within_a_product_is_no_node_of_its_own(tmp_path, rng, activation):
    nodes = [op("Gemm", "x w b", "a", "fc"), op(activation, "a", "c", "act"),
             op("Gemm", "c v", "y", "out")]  # fmt: skip
    weights = {"w": conv_weight(rng, 8, 16), "b": np.ones(16, np.float32),
               "v": conv_weight(rng, 16, 4)}  # fmt: skip
    _, runs = _broken_down(store(small(nodes, weights, (1, 8)), tmp_path))
    assert set(runs) == {"fc", "act", "out"}
    assert runs["fc"].ran_as == "FusedGemm"
    assert (runs["act"].ms, runs["act"].ran_as, runs["act"].into) == (0.0, "", "fc")
    assert runs["out"].ran_as == "Gemm"


def test_a_product_with_a_transpose_has_its_own_name(tmp_path):
    nodes = [op("Transpose", "x", "t", "turn", perm=[0, 2, 1]), op("MatMul", "x t", "y", "gram")]
    _, runs = _broken_down(store(small(nodes, {}, (1, 8, 6)), tmp_path))
    assert runs["gram"].ran_as == "FusedMatMul"
    assert runs["turn"].into == "gram"


def test_nodes_within_a_branch_count_with_the_branch(tmp_path, rng):
    """Both branches have a convolution; the main graph has one of the same name as theirs."""
    weights = {"w": conv_weight(rng, 8, 8, 3, 3), "last": conv_weight(rng, 8, 8, 1, 1)}
    bodies = [
        helper.make_graph(
            [op("Conv", "x w", f"{kind}_1", "conv"), op("Abs", f"{kind}_1", kind, "abs")],
            kind,
            [],
            [helper.make_tensor_value_info(kind, TensorProto.FLOAT, None)],
        )
        for kind in ("then", "else")
    ]
    nodes = [
        op("ReduceMax", "x", "most", "most", keepdims=0),
        op("Cast", "most", "positive", "cast", to=TensorProto.BOOL),
        op("If", "positive", "z", "if", then_branch=bodies[0], else_branch=bodies[1]),
        op("Conv", "z last", "y", "conv"),
    ]
    times, runs = _broken_down(store(small(nodes, weights, (1, 8, 32, 32)), tmp_path))
    assert "abs" not in times.profile.nodes
    assert {"most", "cast", "if", "conv"} <= set(runs) <= {"most", "cast", "if", "conv", ""}
    assert runs["if"].ran_as == "If"
    assert runs["if"].ms > 0


def _library_or_skip():
    try:
        return get_library_path()
    except TargetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_real_model_is_profiled_with_the_real_library(model, threads):
    _library_or_skip()
    models = SparseModels(
        model, lambda densities, seed: serialize(random_model(model, densities, 4, seed).model), 4
    )
    table = profile(models, Runner(get_target("local"), threads), iterations=8, warmup=1)
    assert {curve.layer: curve.groups[-1] for curve in table.curves} == GROUPS
    assert all(curve.dense_time > 0 for curve in table.curves)
    assert table.machine.threads == threads
    assert 0 < Estimator.from_table(table).model_ms({}) < 1e4


def test_without_the_library_profiling_says_so(model):
    """The same file runs by its function body, whose nodes have other names."""

    class WithoutLibrary(LocalTarget):
        def node_times(self, models, **options):
            return super().node_times(models, **{**options, "library": False})

    def build(densities, seed):
        return serialize(random_model(model, densities, 4, seed).model)

    with pytest.raises(TargetError, match="was the custom-op library used"):
        profile(SparseModels(model, build, 4), Runner(WithoutLibrary()), iterations=2, warmup=0)


# --- files


@pytest.fixture
def table():
    return LatencyTable(
        model_digest="ab" * 32,
        simd_group=8,
        machine=replace(MACHINE, load=nan),
        tau=0.25,
        dense=Timing(3.0, 3.5, 4.0, 3.1, 0.1, 40),
        curves=(
            LayerCurve("a", (0, 10, 100), (0.5, 1.0, 4.0), nan),
            LayerCurve("b", (0, 8), (0.0, 1.0), 0.7),
        ),
        input_shapes={"x": (1, 3, 8, 8)},
        left_alone={"c": "faster as it is"},
    )


def test_a_table_survives_its_file(table, tmp_path):
    path = tmp_path / "table.json"
    save_table(table, path)
    loaded = load_table(path, table.model_digest, replace(MACHINE, load=9.0, governor="other"))
    assert repr(loaded) == repr(table)  # NaN is not equal to itself
    assert isnan(loaded.machine.load)
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.json"]


@pytest.mark.parametrize(("key", "value"), [("cpu", "Other CPU"), ("isa", "neon"), ("threads", 4)])
def test_another_machine_is_refused(table, tmp_path, key, value):
    path = tmp_path / "table.json"
    save_table(table, path)
    machine = replace(MACHINE, **{key: value})
    with pytest.raises(AlcsError, match=rf"table\.json: measured with {key} .* now|has {value}"):
        load_table(path, machine=machine)


def test_another_model_is_refused(table, tmp_path):
    path = tmp_path / "table.json"
    save_table(table, path)
    with pytest.raises(AlcsError, match="measured on another model"):
        load_table(path, model_digest="cd" * 32)


def test_a_table_keeps_its_structure_and_older_ones_are_of_simd_groups(table, tmp_path):
    path = tmp_path / "table.json"
    save_table(replace(table, structure="filter"), path)
    assert load_table(path).structure == "filter"
    content = json.loads(path.read_text())
    del content["structure"]
    path.write_text(json.dumps({**content, "schema": 1}))
    assert load_table(path) == table
    path.write_text(json.dumps(content))
    with pytest.raises(AlcsError, match="'structure' is missing"):
        load_table(path)


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.update(schema=99), "schema 99"),
        (lambda c: c.update(kind="poem"), "not a latency table"),
        (lambda c: c.pop("tau"), "'tau' is missing"),
        (lambda c: c.update(tau=None), "not a time"),
        (lambda c: c["machine"].pop("cpu"), "'cpu' is missing"),
        (lambda c: c.update(machine=[]), "damaged"),
        (lambda c: c.update(curves=[1]), "damaged"),
        (lambda c: c["curves"][0].update(times=[3, 2, 1]), "layer 'a'"),
        (lambda c: c["curves"][0].update(times=[1, 2]), "layer 'a'"),
        (lambda c: c.update(model_digest=7), "7 is not a text"),
        (lambda c: c.update(input_shapes={"x": "abc"}), "damaged"),
    ],
)
def test_damaged_tables_are_refused_in_one_line(table, tmp_path, change, text):
    path = tmp_path / "table.json"
    save_table(table, path)
    changed(path, change)
    with pytest.raises(AlcsError, match=text) as info:
        load_table(path)
    assert str(info.value).startswith(str(path))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(AlcsError, match="not a latency table"):
        load_table(path)


def test_files_that_cannot_be_read_or_written(table, tmp_path):
    with pytest.raises(AlcsError, match="cannot read"):
        load_table(tmp_path / "none.json")
    with pytest.raises(OutputError, match="cannot write"):
        save_table(table, tmp_path / "no-folder" / "table.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        save_table(table, tmp_path / "folder.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.json"]


def test_a_failed_write_leaves_the_old_table(table, tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    save_table(table, path)
    before = path.read_text()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        save_table(replace(table, tau=9.0), path)
    assert path.read_text() == before


def test_the_files_fields_are_the_tables(table, tmp_path):
    path = tmp_path / "table.json"
    save_table(table, path)
    assert set(json.loads(path.read_text())) == {"kind", "schema", *asdict(table)}


def test_what_the_runtime_makes_of_gathers_is_found_again():
    for fusion in ("GatherSliceToSplitFusion", "GatherToSplitFusion"):
        assert stem(f"shuffle/{fusion}") == "shuffle"
