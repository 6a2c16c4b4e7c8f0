"""One value of every kind of file: tests/golden/files holds them."""

from __future__ import annotations

from math import inf, nan

import numpy as np

from alcs_onnx.data import ValueRange
from alcs_onnx.differences import Difference
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.pipeline.bench.result import BenchNode, BenchResult, BenchRow
from alcs_onnx.pipeline.common.behaviour import Behaviour
from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.training import Accuracy
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.pipeline.compare.result import Agreement, ModelComparison, OutputComparison
from alcs_onnx.pipeline.compress.result import (
    CompressionResult,
    Round,
    StructureLayer,
    StructureResult,
)
from alcs_onnx.pipeline.inspect.result import Inspection, ModelFacts, NodeFacts, TensorFacts
from alcs_onnx.pipeline.optimize.plan_file import Calibration, SavedPlan
from alcs_onnx.pipeline.optimize.result import ChannelReport, OptimizeResult, TriedMethod
from alcs_onnx.pipeline.sweep.result import DensePoint, SweepPoint, SweepResult
from alcs_onnx.types import (
    ChannelCurve,
    ChannelPlan,
    ChannelTable,
    LatencyTable,
    LayerCurve,
    Machine,
    PruningPlan,
    Timing,
)

DIGEST = "ab" * 32
#: The system does not say how busy it is.
MACHINE = Machine("Some CPU", "avx2", 1, "1.31.1", "lib 0123", "performance", nan)
TIMING = Timing(3.0, 3.5, 4.0, 3.125, 1e-05, 40)

LATENCY_TABLE = LatencyTable(
    DIGEST,
    8,
    MACHINE,
    0.25,
    TIMING,
    (
        LayerCurve("a", (0, 10, 100), (0.5, 1.0, 4.0), nan),
        LayerCurve("Größe/b", (0, 8), (0.0, 1.0), 0.7),
    ),
    {"x": (1, 3, 8, 8)},
    {"c": "faster as it is"},
)
CHANNEL_TABLE = ChannelTable(
    DIGEST,
    MACHINE,
    TIMING,
    (ChannelCurve("g", (4, 8), (1.0, 2.0), (1.25, 2.25), (0.1, 0.2)),),
    True,
    None,
    {"x": (1, 3, 8, 8)},
)
KEEP = {"a": np.arange(12).reshape(3, 4) % 3 > 0, "b": np.ones((2, 2), dtype=bool)}
PLAN = SavedPlan(
    "hybrid",
    ChannelPlan(DIGEST, {"g": np.array([True, False, True])}, {"h": "a graph output"}, 2.5),
    PruningPlan("cd" * 32, 8, KEEP, {"stem": "depthwise"}, 1.75, "shape"),
    {"budget": "40%", "seed": 0, "rho": None},
    Calibration(1.05, 3.0, {"d": "faster dense"}),
)
SETTINGS = {"budgets": ["80%", "2x"], "seed": 0, "training": {"lr": 0.001, "data": None}}
DENSE = DensePoint(TIMING, MACHINE, 90.5, "accuracy", 100)
FIDELITY = Fidelity(
    *("pictures of photos", 100, False, 0.125, None, 0.96, 0.9375, 0.8825, 0.905, None),
)
VERDICT = FIDELITY.verdict(5.0)
POINT = SweepPoint(
    *("simd", "80%", "met", "budget met", "net-simd-80%.onnx", 2.4, TIMING, 0.75, TIMING),
    *(88.25, 0.5, 12.5, FIDELITY, VERDICT),
)
UNREACHABLE = SweepPoint("simd", "1%", "unreachable", "the budget cannot be reached")
RESULT = OptimizeResult(
    status="met",
    message="budget met",
    model="net.onnx",
    output="out.onnx",
    budget="80%",
    budget_ms=2.4,
    reachable_ms=(1.0, 3.0),
    machine=MACHINE,
    dense=TIMING,
    sparse=TIMING,
    predicted_ms=2.3,
    mac_ratio=0.5,
    layers=(
        LayerReport(
            *("a", (8, 3, 3, 3), (1, 8, 8, 8), 13824, "SimdSparseConv", 8, 0.5, "Relu"),
            *(1.0, 0.5, None, None),
        ),
    ),
    channels=(ChannelReport("g", ("a", "b"), 8, 4, None, None),),
    accuracy=Accuracy("accuracy", 100, {"dense": 90.5, "final": 88.25}),
    check=NumericCheck(1e-6, 2e-6, 1e-4),
    history=({"stage": "admm", "epoch": 1, "loss": 0.5},),
    settings={"method": "simd", "seed": 0},
    seconds=12.5,
    predicted_share=0.75,
    model_digest=DIGEST,
    curves=LATENCY_TABLE.curves,
    channel_curves=CHANNEL_TABLE.curves,
    behaviour=Behaviour(
        *("pictures of photos", 100, {"x": ValueRange(-2.0, 2.5, 0.125, 1.0)}, 10, 9),
        *(0.25, 0.375, 0.905),
    ),
    fidelity=FIDELITY,
    verdict=VERDICT,
    tried=(
        TriedMethod("int8", "met", "loses more", 2.0, 0.875, FIDELITY, 1000),
        TriedMethod("simd", "chosen", "", 2.375, 0.99, FIDELITY, 2000),
        TriedMethod("channel", "not tried", "another method loses only 0.1 %"),
    ),
)
SWEEP = SweepResult("net.onnx", DIGEST, DENSE, (POINT, UNREACHABLE), SETTINGS)
COMPARISON = CompressionResult(
    "net.onnx",
    "digits.npz",
    "top-1",
    0.92,
    0.01,
    (
        StructureResult(
            *("unstructured", "indexed", 0.915, "4bit", 4, 1000, 250, 125, 190, 400),
            layers=(StructureLayer("a", 250, 1000, 4, 2, 190, 0.3, 0.15),),
            history=(
                Round(4.0, 0.915, True, "unstructured / 4", ({"stage": "1-admm", "loss": 0.5},)),
            ),
            fidelity=FIDELITY,
        ),
    ),
    MACHINE,
    {"seed": 0, "quantization": ["4bit"]},
    12.5,
)
BENCH = BenchResult(
    MACHINE,
    (
        BenchRow(
            "net.onnx",
            {"x": (1, 3, 8, 8)},
            TIMING,
            2.5,
            4.5,
            {"90": 3.5, "95": 3.75, "99": 4.0},
            320.0,
            1.0,
            (2.5, 3.0, 4.5),
            (BenchNode("a", "Conv", "Conv", 1.5, 0.5),),
        ),
    ),
    *(5, 40, 1.0, ("the machine is busy",)),
)
MODELS = ModelComparison(
    *("a.onnx", "b.onnx", "random inputs", 8, 1e-4, False),
    Agreement(99.5, chance=None),
    (
        OutputComparison(
            *("y", "y", (1, 10), Difference(inf, 0.5, inf, None, -3.0, 1, (0, 2), (0, 1)), False)
        ),
    ),
    (),
    *(0, "names", None, MACHINE),
    notes=("other sizes",),
)
INSPECTION = Inspection(
    ModelFacts(
        file="net.onnx",
        file_bytes=1000,
        ir_version=8,
        opsets={"": 17},
        producer="someone",
        inputs=(TensorFacts("x", "float32", (None, 3, 8, 8)),),
        outputs=(TensorFacts("y", "float32", None),),
        operators={"Conv": 1},
        nodes=(
            NodeFacts(
                *("a", "Conv", "", ("x",), ("y",), ((None, 3, 8, 8),), (None,), (8, 3, 3, 3)),
                *(None, None, 216, 864, {"group": "1"}),
            ),
        ),
        layers=(),
        macs=0,
        kept_macs=0,
        unknown_macs=1,
        parameters=216,
        kept_parameters=216,
        weight_bytes=864,
        optimized=False,
        problem="",
        notes=("the batch is taken as 1",),
    )
)
