"""A result of `optimize` with all columns of its tables filled in, and names of an exporter."""

from __future__ import annotations

from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.types import Machine, Timing

MACHINE = Machine("Some CPU", "avx2", 1, "1.30.0", "alcs 1", "performance", 0.25)


def optimized(layers: int = 20) -> OptimizeResult:
    """A model of residual blocks, two layers each; every fifth layer is dense, with a reason."""
    return OptimizeResult(
        status="met",
        message="budget met",
        model="net.onnx",
        output="out.onnx",
        budget="50%",
        budget_ms=5.0,
        reachable_ms=(1.0, 10.0),
        machine=MACHINE,
        dense=timing(10.0),
        sparse=timing(4.9),
        predicted_ms=4.8,
        mac_ratio=0.3,
        layers=tuple(map(_layer, range(layers))),
        check=NumericCheck(1e-7, 1e-7, 1e-4),
    )


def timing(median: float) -> Timing:
    """A time (ms) that is always the same."""
    return Timing(median, median, median, median, 0.0, 10)


def _layer(index: int) -> LayerReport:
    dense = index % 5 == 0
    block, second = divmod(index, 2)
    return LayerReport(
        layer=f"/layer{block // 3 + 1}/layer{block // 3 + 1}.{block % 3}/conv{second + 1}/Conv",
        weight_shape=(128, 128, 3, 3),
        output_shape=(1, 128, 112, 112),
        macs=115_605_504,
        op="SimdSparseConvAdd" if second else "SimdSparseConv",
        simd_group=4,
        density=1.0 if dense else 0.25,
        fused="residual+Relu" if second else "Relu",
        dense_ms=12.34,
        predicted_ms=11.25,
        measured_ms=11.5,
        reason="measured slower than the runtime's own Conv" if dense else None,
    )
