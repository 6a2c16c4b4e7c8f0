"""The row per layer that every command prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.rewrite import RewriteResult
from alcs_onnx.types import LatencyTable, Shape

#: Kinds of reasons that one line has room for.
_TOLD_REASONS = 4


@dataclass(frozen=True)
class LayerReport:
    """One convolution: what became of it, and its time in ms (None where not measured).

    `kept_error` is the relative squared error of its outputs with the weights that stay as they
    were, `error` with these refitted: both on the inputs that the written network gives it; None
    where it was not refitted.
    """

    layer: str
    weight_shape: Shape
    output_shape: Shape
    macs: int
    op: str
    simd_group: int
    density: float
    fused: str
    dense_ms: float | None
    predicted_ms: float | None
    measured_ms: float | None
    reason: str | None
    kept_error: float | None = None
    error: float | None = None


def layer_reports(
    model: Model,
    rewritten: RewriteResult,
    *,
    reasons: Mapping[str, str] | None = None,
    table: LatencyTable | None = None,
) -> tuple[LayerReport, ...]:
    """What became of each convolution of `model`.

    Densities are shares of the multiply-adds of the layer in `model`. `reasons` says why
    layers stayed dense; `table` gives dense and predicted times (ms).
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
                measured_ms=None,
                reason=(reasons or {}).get(row.layer) or row.reason or None,
            )
        )
    return tuple(rows)


def grouped_reasons(reasons: Iterable[str], noun: str) -> str:
    """The reasons of many layers, say, by how many have each, the most frequent first.

    `12 layers: depthwise: few weights; 1 layer: ...`; of many kinds the first few.
    """
    kinds = Counter(reasons).most_common()
    told = [
        f"{count} {noun}{'' if count == 1 else 's'}: {reason}"
        for reason, count in kinds[:_TOLD_REASONS]
    ]
    left = sum(count for _, count in kinds[_TOLD_REASONS:])
    return "; ".join([*told, f"{left} more for other reasons"] if left else told)


class LayerRow(Protocol):
    """A dataclass of a layer that may be refitted, with `kept_error` and `error`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def layer(self) -> str:
        """Its name."""
        ...


_Row = TypeVar("_Row", bound=LayerRow)


def with_errors(
    rows: Sequence[_Row], errors: Mapping[str, tuple[float, float]]
) -> tuple[_Row, ...]:
    """The rows with the errors before and after refitting, where layers were refitted."""
    return tuple(
        replace(row, kept_error=errors[row.layer][0], error=errors[row.layer][1])
        if row.layer in errors
        else row
        for row in rows
    )


def with_times(rows: Sequence[LayerReport], times: Mapping[str, float]) -> tuple[LayerReport, ...]:
    """The rows with the time (ms) that each layer's node took, where it is known."""
    finite = {name: time for name, time in times.items() if isfinite(time)}
    return tuple(replace(row, measured_ms=finite.get(row.layer)) for row in rows)
