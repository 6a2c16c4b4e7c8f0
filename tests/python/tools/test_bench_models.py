"""The benchmark of whole models: what it makes of times, and its talk with other engines."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import models as command
import numpy as np
import pytest
import timing_models
from modelbench import layers, results, rivals, runners, subjects, tables
from modelbench.bench import Settings, bench_model
from modelbench.engines import ENGINES
from rich.console import Console

from alcs_onnx.documents import plain
from alcs_onnx.errors import ModelError, TargetError
from alcs_onnx.graph import load_model, model_macs, serialize
from alcs_onnx.ort import create_session
from alcs_onnx.target import NodeTimes
from alcs_onnx.target.worker import Worker
from alcs_onnx.types import ConvLayer

#: A process with an engine that halves its input, or refuses to.
HALVES = """
import sys
sys.path.insert(0, {bench!r})
import engine_worker

class Halves:
    name, package, uses_zeros = "halves", "nothing", True
    def version(self):
        return "1.0"
    def load(self, path, feeds, threads):
        print("a banner that must not get into the replies")
        if path.endswith("bad.onnx"):
            raise ValueError("cannot\\nread it")
        return lambda: [array / 2 for array in feeds.values()]

engine_worker.ENGINES = (Halves(),)
sys.argv = ["worker", "halves"]
engine_worker.main()
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(timing_models.small_network())
    return load_model(path)


@pytest.fixture
def halves(tmp_path, monkeypatch):
    """A `Rival` whose process really runs."""
    script = tmp_path / "halves.py"
    script.write_text(HALVES.format(bench=str(Path(command.__file__).parent)))
    monkeypatch.setattr(rivals, "_WORKER", script)
    engine = replace_engine("halves")
    return rivals.Rival(engine, sys.executable, "1.0")


def replace_engine(name):
    class Named:
        package, uses_zeros = "nothing", True

        def __init__(self):
            self.name = name

    return Named()


def layer(kernel=3, stride=1, size=14, in_channels=64, group=1) -> ConvLayer:
    return ConvLayer(
        "c", "w", None, 64, in_channels, group, (kernel, kernel), (stride, stride),
        (kernel // 2,) * 4, (1, 1), (1, in_channels, size * stride, size * stride),
        (1, 64, size, size),
    )  # fmt: skip


# --- classes of layers


@pytest.mark.parametrize(
    ("conv", "stem", "kind"),
    [
        (layer(), False, "kxk s1"),
        (layer(kernel=5), False, "kxk s1"),
        (layer(kernel=1, size=7), False, "1x1 <= 28x28"),
        (layer(kernel=1, size=28), False, "1x1 <= 28x28"),
        (layer(kernel=1, size=29), False, "1x1 29..55"),
        (layer(kernel=1, size=56), False, "1x1 >= 56x56"),
        (layer(kernel=1, size=112), False, "1x1 >= 56x56"),
        (layer(kernel=1, stride=2), False, "stride 2+"),
        (layer(kernel=11, stride=4), False, "stride 2+"),
        (layer(group=64), False, "depthwise"),
        (layer(group=64, stride=2), False, "depthwise"),
        (layer(group=4), False, "kxk s1"),
        (layer(kernel=7, stride=2, in_channels=3), True, "stem"),
    ],
)
def test_a_convolution_has_one_class(conv, stem, kind):
    assert layers.classify(conv, stem) == kind
    assert kind in layers.CONV_CLASSES


@pytest.mark.parametrize(
    ("op_type", "kind"),
    [
        ("FusedGemm", "Gemm"),
        ("MatMul", "Gemm"),
        ("MaxPool", "pools"),
        ("GlobalAveragePool", "pools"),
        ("ReorderInput", "reorders"),
        ("Transpose", "reorders"),
        ("Relu", "other"),
    ],
)
def test_other_nodes_have_a_class_too(op_type, kind):
    assert layers.classify_other(op_type) == kind
    assert kind in layers.OTHER_CLASSES


# --- profiles

DENSE_PROFILE = NodeTimes(
    {
        "ReorderInput": 0.004,
        "sr_nchwc": 0.102,
        "far_nchwc": 0.202,
        "dc_nchwc": 0.052,
        "h_nchwc": 0.022,
        "pool": 0.007,
    },
    {
        "ReorderInput": "ReorderInput",
        "sr_nchwc": "Conv",
        "far_nchwc": "Conv",
        "dc_nchwc": "Conv",
        "h_nchwc": "Conv",
        "pool": "GlobalAveragePool",
    },
)
OUR_PROFILE = NodeTimes(
    {"stem": 0.102, "first": 0.102, "second": 0.027, "head": 0.012, "pool": 0.006},
    {
        "stem": "SimdSparseConv",
        "first": "SimdSparseConvAdd",
        "second": "SimdSparseConv",
        "head": "SimdSparseConv",
        "pool": "GlobalAveragePool",
    },
)
DENSITIES = {"stem": 1.0, "first": 0.5, "second": 1.0, "head": 0.25}
#: Multiply-adds in a millisecond.
PEAK = 1e6


def test_the_layers_of_a_dense_profile_are_found_under_the_runtimes_names(model):
    rows = {row.name: row for row in layers.layer_times(model, DENSE_PROFILE, None, PEAK, 0.002)}
    assert set(rows) == {"stem", "first", "second", "head", "ReorderInput", "pool"}
    assert rows["first"].kind == "kxk s1"
    assert rows["first"].macs == 8 * 8 * 9 * 256
    assert rows["first"].ms == pytest.approx(0.2)
    assert rows["first"].share == pytest.approx(8 * 8 * 9 * 256 / 0.2 / PEAK)
    assert rows["ReorderInput"].kind == "reorders"
    assert rows["pool"].share is None


def test_a_convolution_that_is_not_found_still_counts(model):
    odd = {"strange": 0.5, **DENSE_PROFILE.nodes}
    times = NodeTimes(odd, {"strange": "FusedConv", **DENSE_PROFILE.op_types})
    rows = layers.layer_times(model, times, None, PEAK, 0.0)
    assert sum(row.ms for row in rows) == pytest.approx(times.total)


def test_shares_count_kept_weights_only(model):
    rows = {row.name: row for row in layers.layer_times(model, OUR_PROFILE, DENSITIES, PEAK, 0.0)}
    assert rows["first"].macs == 8 * 8 * 9 * 256 / 2
    assert rows["first"].op_type == "SimdSparseConvAdd"
    assert rows["head"].macs == 10 * 8 * 256 / 4


def test_classes_add_up_what_their_layers_take(model):
    rows = layers.layer_times(model, OUR_PROFILE, DENSITIES, PEAK, 0.0)
    rows.append(replace(next(row for row in rows if row.name == "first"), ms=0.3, share=0.1))
    classes = {item.kind: item for item in layers.summarise(rows, PEAK)}
    assert list(classes) == ["kxk s1", "1x1 <= 28x28", "depthwise", "stem", "pools"]
    both = classes["kxk s1"]
    assert both.nodes == 2
    assert both.ms == pytest.approx(0.402)
    assert both.share == pytest.approx(8 * 8 * 9 * 256 / 0.402 / PEAK)
    assert both.lowest == 0.1
    assert classes["pools"].share is None


def test_without_a_peak_there_are_no_shares(model):
    rows = layers.layer_times(model, OUR_PROFILE, DENSITIES, None, 0.0)
    assert all(row.share is None for row in rows)
    assert all(item.share is None for item in layers.summarise(rows, None))


def test_depthwise_layers_are_paired(model):
    dense = layers.layer_times(model, DENSE_PROFILE, None, PEAK, 0.002)
    ours = layers.layer_times(model, OUR_PROFILE, DENSITIES, PEAK, 0.002)
    (pair,) = layers.depthwise_pairs(model, dense, [ours])
    assert pair["layer"] == "second"
    assert pair["shape"] == "3x3 s1 8->8 @16x16"
    assert pair["ratio"] == pytest.approx(0.5)


def test_the_profilers_own_part_is_bounded():
    times = NodeTimes({"a": 1.0, "b": 1.0}, {"a": "Conv", "b": "Conv"})
    assert layers.profiler_overhead([(times, 1.998)]) == pytest.approx(0.001)
    assert layers.profiler_overhead([(times, 2.5)]) == 0
    assert layers.profiler_overhead([(times, 0.1)]) == pytest.approx(0.003)


# --- comparisons


def timed(engine, density, threads, *samples) -> results.Timed:
    group_size = None if density is None else 4
    return results.Timed(engine, density, group_size, threads, 1.0, np.array(samples), None)


def test_rows_are_compared_with_their_like():
    rows = results.compare(
        [
            timed("onnxruntime", None, 1, 8.0, 8.0, 8.0),
            timed("alcs", 0.5, 1, 4.0, 4.0, 6.0),
            timed("deepsparse", 0.5, 1, 12.0),
            timed("deepsparse", None, 1, 16.0),
            timed("onnxruntime", None, 2, 4.0),
            timed("alcs", 0.5, 2, 2.5),
        ]
    )
    dense, ours, rival, dense_rival, dense2, ours2 = rows
    assert (dense.speedup, ours.speedup) == (1.0, 2.0)
    assert rival.speedup == pytest.approx(2 / 3)
    assert (ours.against_ours, rival.against_ours, dense_rival.against_ours) == (None, 3.0, None)
    assert (dense2.speedup, ours2.speedup) == (1.0, 1.6)
    assert (ours.scaling, dense2.scaling, ours2.scaling) == (None, 2.0, 1.6)
    assert ours.slow == pytest.approx(1 / 3)
    assert (dense.weights, ours.weights) == ("dense", "d=0.5 g=4")


def test_differences_are_relative_to_the_largest_value():
    expected = [np.array([0.0, 4.0], np.float32), np.zeros(0, np.float32)]
    outputs = [np.array([0.0, 3.0], np.float32), np.zeros(0, np.float32)]
    assert results.largest_difference(outputs, expected) == 0.25
    assert results.largest_difference(expected, expected) == 0
    assert results.largest_difference(outputs[:1], expected) is None


# --- subjects


def test_both_forms_of_a_pruned_model_have_the_same_weights(model, rng):
    pruned = subjects.prune(model, 0.5, 4, seed=3)
    assert pruned.densities == {"stem": 1.0, "first": 0.5, "second": 1.0, "head": 0.5}
    assert pruned.mac_ratio == pytest.approx(
        1 - 0.5 * (8 * 8 * 9 + 10 * 8) * 256 / model_macs(model), abs=1e-2
    )
    feeds = {"x": rng.standard_normal((1, 3, 16, 16)).astype(np.float32)}
    (expected,) = create_session(serialize(pruned.zeros), library=False).run(feeds)
    (found,) = create_session(serialize(pruned.sparse)).run(feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    first = pruned.zeros.initializers[pruned.zeros.node("first").inputs[1]]
    assert np.mean(first != 0) == 0.5


def test_a_model_that_does_not_exist_is_one_line():
    with pytest.raises(ModelError, match=r"nothing\.onnx"):
        subjects.load("nothing.onnx", 0)


# --- other engines


def test_an_engine_that_is_not_there_is_a_reason_and_no_failure(monkeypatch, tmp_path):
    for engine in ENGINES:
        monkeypatch.setenv(rivals.variable(engine), str(tmp_path / "no-python"))
    found, absent = rivals.find()
    assert found == []
    assert set(absent) == {engine.name for engine in ENGINES}
    assert all(
        "not installed" in reason and rivals.variable(engine) in reason
        for engine, reason in zip(ENGINES, absent.values(), strict=True)
    )
    assert rivals.find([]) == ([], {})


def test_an_engine_is_driven_in_its_own_process(halves, tmp_path):
    with Worker([sys.executable, str(rivals._WORKER), "halves"]) as worker:
        assert worker.ask({"do": "about"}) == {"version": "1.0"}
    feeds = {"x": np.arange(4, dtype=np.float32)}
    worker, (output,) = halves.load(tmp_path / "good.onnx", feeds, 2, tmp_path, 1, 0.0)
    with worker:
        np.testing.assert_array_equal(output, feeds["x"] / 2)
        worker.warm(2)
        assert len(worker.run(3)) == 3
    with pytest.raises(TargetError, match="ValueError: cannot read it"):
        halves.load(tmp_path / "bad.onnx", feeds, 1, tmp_path, 1, 0.0)


@pytest.mark.parametrize("threads", [(1,), (1, 2)])
def test_everything_takes_its_turns_and_is_reported(model, halves, threads):
    settings = Settings(densities=(0.5,), group_sizes=(4,), threads=threads, iterations=3, warmup=0)
    report = bench_model("small", model, settings, [halves])
    assert [(row.engine, row.weights, row.threads) for row in report.rows] == [
        (engine, weights, count)
        for count in threads
        for weights in ("dense", "d=0.5 g=4")
        for engine in ("onnxruntime" if weights == "dense" else "alcs", "halves")
    ]
    assert all(row.timing.runs == 3 for row in report.rows)
    ours = [row for row in report.rows if row.engine == "alcs"]
    assert all(row.difference is not None and row.difference < 1e-5 for row in ours)
    assert len(report.nodes) == 2 * len(threads)
    for node in report.nodes:
        kinds = {item.kind for item in node.classes}
        assert {"stem", "kxk s1", "1x1 <= 28x28", "depthwise", "pools"} <= kinds
    assert json.loads(json.dumps(plain(report)))["model"] == "small"
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    tables.print_report(console, report, every_node=True)
    text = console.export_text()
    assert "d=0.5 g=4" in text
    assert "Depthwise layers" in text
    assert ("scaling" in text) == (len(threads) > 1)


def test_integers_take_turns_with_floats(model):
    settings = Settings(densities=(1.0, 0.5), group_sizes=(4,), iterations=2, warmup=0, int8=True)
    report = bench_model("small", model, settings)
    rows = {(row.engine, row.density): row for row in report.rows}
    assert set(rows) == {
        ("onnxruntime", None), ("alcs", 1.0), ("alcs", 0.5),
        ("onnxruntime int8", None), ("alcs int8", 1.0), ("alcs int8", 0.5),
    }  # fmt: skip
    assert rows["onnxruntime int8", None].over_int8 == 1
    assert rows["alcs int8", 0.5].mac_ratio < rows["alcs int8", 1.0].mac_ratio
    for density in (1.0, 0.5):
        difference = rows["alcs int8", density].difference
        assert difference is not None
        assert difference < 0.05
    node = next(node for node in report.nodes if node.engine == "alcs int8")
    assert {"stem", "kxk s1", "depthwise"} <= {item.kind for item in node.classes}
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    tables.print_report(console, report)
    assert "over int8" in console.export_text()


def test_an_engine_that_does_not_run_the_model_is_told(model, halves, monkeypatch):
    def refuse(self, *arguments):
        raise TargetError("no such operator")

    monkeypatch.setattr(rivals.Rival, "load", refuse)
    settings = Settings(densities=(0.5,), group_sizes=(4,), iterations=2, warmup=0, nodes=False)
    report = bench_model("small", model, settings, [halves])
    assert [row.engine for row in report.rows] == ["onnxruntime", "alcs"]
    assert report.nodes == ()
    assert report.failures[0] == "halves 1.0 does not run this model, dense: no such operator"


def test_the_peak_is_asked_of_a_program(tmp_path):
    tool = tmp_path / "peak"
    tool.write_text('#!/bin/sh\n[ "$1" = avx2 ] || { echo usage >&2; exit 2; }\necho 50.0 100.0\n')
    tool.chmod(0o755)
    peak = runners.PeakRunner(tool, "avx2", 1)
    assert peak.run(2).tolist() == [20.0, 20.0]
    assert (peak.median(), peak.median_of_bytes()) == (50, 100)
    with pytest.raises(TargetError, match="fma_peak: usage"):
        runners.PeakRunner(tool, "neon", 1)


# --- the command


def test_the_command_writes_tables_and_json(tmp_path, capsys):
    path, output = tmp_path / "small.onnx", tmp_path / "out.json"
    path.write_bytes(timing_models.small_network())
    arguments = [str(path), "--density", "0.5", "--group-size", "4", "--iterations", "2"]
    assert command.main([*arguments, "--engines", "--no-samples", "-o", str(output)]) == 0
    record = json.loads(output.read_text())
    assert record["machine"]["threads"] == 1
    assert str(tmp_path) not in output.read_text()
    (report,) = record["models"]
    assert [row["engine"] for row in report["rows"]] == ["onnxruntime", "alcs"]
    assert report["rows"][1]["samples"] == []
    assert report["nodes"][0]["layers"] == []


def test_the_command_tells_mistakes_in_one_line(capsys):
    assert command.main(["nothing.onnx", "--engines"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("models.py: nothing.onnx: ")
