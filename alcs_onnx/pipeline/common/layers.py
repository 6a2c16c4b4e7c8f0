"""The row per layer that every command prints."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.pipeline.common.results import LayerReport
from alcs_onnx.rewrite import RewriteResult
from alcs_onnx.types import LatencyTable


def layer_reports(
    model: Model,
    rewritten: RewriteResult,
    *,
    reasons: Mapping[str, str] | None = None,
    table: LatencyTable | None = None,
    measured: Mapping[str, float] | None = None,
) -> tuple[LayerReport, ...]:
    """What became of each convolution of `model`.

    Densities are shares of the multiply-adds of the layer in `model`. `reasons` says why
    layers stayed dense; `table` gives dense and predicted times, and `measured` the time of
    each node in the final model (ms).
    """
    curves = {curve.layer: curve for curve in table.curves} if table else {}
    layers = {layer.name: layer for layer in conv_layers(model)}
    rows = []
    for row in rewritten.layers:
        layer, curve = layers.get(row.layer), curves.get(row.layer)
        dense = predicted = None
        # Channels that went with removed filters are no part of the row.
        left = row.macs / layer.macs if layer and row.macs else 1.0
        density = row.density * left
        if curve is not None:
            dense = curve.dense_time if isfinite(curve.dense_time) else None
            stored = density * curve.groups[-1]
            ours = float(np.interp(stored, curve.groups, curve.times))
            predicted = dense if row.op == "Conv" else ours
        rows.append(
            LayerReport(
                layer=row.layer,
                weight_shape=layer.weight_shape if layer else (),
                output_shape=layer.output_shape if layer else (),
                macs=layer.macs if layer else row.macs,
                op=row.op,
                simd_group=row.simd_group,
                density=density,
                fused="+".join(row.fused),
                dense_ms=dense,
                predicted_ms=predicted,
                measured_ms=(measured or {}).get(row.layer),
                reason=(reasons or {}).get(row.layer) or row.reason or None,
            )
        )
    return tuple(rows)
