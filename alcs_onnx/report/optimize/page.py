"""The page of one run of `optimize`: what was decided, why, and what it measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath

import numpy as np

from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.pipeline.optimize.result import OptimizeResult, TriedMethod
from alcs_onnx.report.html import (
    Column,
    Markup,
    Section,
    Series,
    facts,
    line_chart,
    page,
    scatter_chart,
    table,
    text,
    warning,
)
from alcs_onnx.report.html.markup import element
from alcs_onnx.report.layout import bytes_text, count_text, ms, percent, shape_text
from alcs_onnx.report.measured import fidelity_facts, machine_facts, settings_facts, timing_table
from alcs_onnx.types import ChannelCurve, LayerCurve

_CHART = (320, 200)


def optimize_page(result: OptimizeResult) -> str:
    """The result as one HTML file that needs no other and no network.

    Also of a dry run, and of a model that was left as it is: what is not known is not there.
    """
    title = f"{PurePath(result.model).name}: {result.budget}, {result.status}"
    if result.fidelity is not None:
        title += f", {result.fidelity.brief}"
    told = warning if result.status in ("missed", "lost") else text
    ruined = result.fidelity is not None and result.fidelity.ruined
    lost = warning if result.status == "lost" or ruined else text
    summary = [told(result.message), *([lost(result.verdict)] if result.verdict else [])]
    return page(title, list(_sections(result)), summary=summary)


def _sections(result: OptimizeResult) -> Iterator[Section]:
    yield Section("Budget", [facts(_budget(result))], "budget")
    yield Section("Latency", [_latency(result)], "latency")
    if result.tried:
        yield Section("Methods", _tried(result.tried), "methods")
    if result.fidelity is not None:
        yield Section("What was lost", [facts(_loss(result))], "loss")
    if result.accuracy is not None:
        yield Section("Accuracy", [_accuracy(result)], "accuracy")
    if result.history:
        charts = element("div", {"class": "charts"}, *_training(result.history))
        yield Section("Training", [charts], "training")
    if result.channels:
        yield Section("Channel groups", [_channels(result)], "channels")
    if result.layers:
        yield Section("Layers", [_layers(result.layers)], "layers")
    if result.curves:
        yield Section("Latency curves of layers", _curves(result), "curves")
    if result.channel_curves:
        yield Section("Latency by channel groups", _channel_curves(result), "channel-curves")
    if result.check is not None:
        yield Section("Numeric check", _check(result.check), "check")
    yield Section("Machine", [facts(machine_facts(result.machine))], "machine")
    yield Section("Settings", [facts(settings_facts(result.settings))], "settings")


def _budget(result: OptimizeResult) -> dict[str, object]:
    low, high = result.reachable_ms
    measured = None if result.sparse is None else result.sparse.median
    return {
        "Model": result.model,
        "Written file": result.output,
        "Status": result.status,
        "Budget": f"{result.budget} = {ms(result.budget_ms)} ms",
        "Reachable": f"{ms(low)} to {ms(high)} ms, by the estimate",
        "Predicted": f"{ms(result.predicted_ms)} ms",
        **({} if result.repaired is None else {"Set right": result.repaired.message}),
        "Measured": None
        if measured is None
        else f"{ms(measured)} ms, {percent(measured / result.budget_ms)} of the budget",
        "Speed-up": None if measured is None else f"{result.dense.median / measured:.2f}x",
        "MACs kept": percent(result.mac_ratio),
        "Time taken": f"{result.seconds:.0f} s",
        "Model digest": result.model_digest or None,
    }


def _tried(tried: Sequence[TriedMethod]) -> list[Markup]:
    """The methods that were compared, and their frontier."""
    columns = [
        *(Column("method"), Column("outcome"), Column("ms", ms), Column("of budget", percent)),
        Column("loss %", lambda value: f"{value:.2f}"),
        *(Column("what is left"), Column("size", bytes_text), Column("why")),
    ]
    rows = [
        (
            *(x.method, x.outcome, x.latency_ms, x.share),
            None if x.fidelity is None else x.fidelity.loss,
            None if x.fidelity is None else x.fidelity.brief,
            *(x.bytes, x.why),
        )
        for x in tried
    ]
    made = [x for x in tried if x.fidelity is not None and x.latency_ms is not None]
    series = [
        Series(x.method, [x.latency_ms], [x.fidelity.loss])
        for x in made
        if x.fidelity is not None and x.latency_ms is not None
    ]
    chart = [scatter_chart(series, "latency (ms)", "loss (%)")] if made else []
    return [table(columns, rows), *chart]


def _loss(result: OptimizeResult) -> dict[str, object]:
    assert result.fidelity is not None
    told = None if result.behaviour is None else result.behaviour.message
    return {**fidelity_facts(result.fidelity), **({} if told is None else {"Before": told})}


def _latency(result: OptimizeResult) -> Markup:
    rows = [("dense", result.dense)]
    if result.sparse is not None:
        rows.append(("optimized", result.sparse))
    return timing_table(rows)


def _accuracy(result: OptimizeResult) -> Markup:
    assert result.accuracy is not None
    accuracy = result.accuracy
    return table(
        [Column("stage"), Column(f"{accuracy.measure} %", lambda value: f"{value:.2f}")],
        list(accuracy.stages.items()),
        caption=f"On {accuracy.samples} test samples",
    )


def _training(history: Sequence[Mapping[str, float | str]]) -> Iterator[Markup]:
    """Curves over the epochs of all stages, counted through."""
    draw = partial(line_chart, size=_CHART)
    loss = list(_by_stage(history, "loss"))
    yield draw(loss, "epoch", "training loss", title="Loss of each epoch")
    admm = [record for record in history if str(record["stage"]).startswith("admm")]
    if admm:
        epochs = list(range(1, len(admm) + 1))
        residuals = [
            Series("primal, ‖W − U‖", epochs, [_value(r, "residual") for r in admm]),
            Series("dual, ‖ρ ΔU‖", epochs, [_value(r, "dual_residual") for r in admm]),
        ]
        yield draw(residuals, "iteration", "residual", title="Residuals of ADMM")
        shares = [
            Series("‖W − U‖ / ‖W‖", epochs, [_value(r, "relative_residual") for r in admm]),
            Series("masks changed", epochs, [_value(r, "changed") for r in admm]),
        ]
        yield draw(shares, "iteration", "share", title="How far W is from the plan")
    metric = [
        Series(one.name, one.x, [None if y is None else 100 * y for y in one.y])
        for one in _by_stage(history, "metric")
    ]
    if any(y is not None for one in metric for y in one.y):
        title = "Metric on the test samples"
        yield draw(metric, "epoch", "metric (%)", title=title, from_zero=False)


def _by_stage(history: Sequence[Mapping[str, float | str]], key: str) -> Iterator[Series]:
    for stage in dict.fromkeys(str(record["stage"]) for record in history):
        found = [(n, r) for n, r in enumerate(history, start=1) if r["stage"] == stage]
        yield Series(stage, [n for n, _ in found], [_value(r, key) for _, r in found])


def _value(record: Mapping[str, float | str], key: str) -> float | None:
    value = record.get(key)
    return None if value is None else float(value)


#: Where layers were refitted.
_ERRORS = (
    Column("error kept", percent, help="of its outputs, with weights that stay as they were"),
    Column("refitted", percent, help="the same with these weights refitted"),
)


def _layers(layers: Sequence[LayerReport]) -> Markup:
    refitted = any(layer.error is not None for layer in layers)
    columns = [
        Column("layer"),
        Column("weights"),
        Column("output"),
        Column("MACs, dense", count_text),
        Column("kernel", help="the operator in the written file"),
        Column("g", help="output channels of a SIMD group"),
        Column("density", lambda value: f"{value:.3f}", help="kept share; 1 in the dense model"),
        Column("dense ms", ms, help="the runtime's own Conv"),
        Column("predicted ms", ms, help="by the latency table"),
        Column("measured ms", ms, help="the node in the written file"),
        *(_ERRORS if refitted else ()),
        Column("fused"),
        Column("why", help="why a layer is dense, or left alone"),
    ]
    rows = [
        (
            *(x.layer, shape_text(x.weight_shape), shape_text(x.output_shape), x.macs, x.op),
            *(x.simd_group, x.density, x.dense_ms, x.predicted_ms, x.measured_ms),
            *((x.kept_error, x.error) if refitted else ()),
            *(x.fused, x.reason or ""),
        )
        for x in layers
    ]
    return table(columns, rows)


def _channels(result: OptimizeResult) -> Markup:
    columns = [
        *(Column("group"), Column("channels"), Column("kept")),
        Column("alone saves ms", ms, help="what the model gains when this group alone is reduced"),
        Column("mixed by", help="take one value of several channels: now of those that stay"),
        *(Column("why"), Column("layers")),
    ]
    rows = [
        (
            *(x.group, x.channels, x.kept, x.saved_ms),
            *(", ".join(x.mixed_by), x.reason or "", ", ".join(x.layers)),
        )
        for x in result.channels
    ]
    return table(columns, rows)


def _curves(result: OptimizeResult) -> list[Markup]:
    layers = {layer.layer: layer for layer in result.layers}
    charts = [_curve(curve, layers.get(curve.layer)) for curve in result.curves]
    said = (
        "Time of each layer in the whole model, measured at up to 11 densities, and where the "
        "plan lies on it. The broken line is the runtime's own Conv."
    )
    return [text(said), element("div", {"class": "charts"}, *charts)]


def _curve(curve: LayerCurve, layer: LayerReport | None) -> Markup:
    shares = [count / curve.groups[-1] for count in curve.groups]
    series = [Series("measured", shares, curve.times)]
    if np.isfinite(curve.dense_time):
        series.append(Series("dense Conv", (0.0, 1.0), (curve.dense_time,) * 2, "dashed"))
    if layer is not None and layer.predicted_ms is not None:
        series.append(Series("plan", [layer.density], [layer.predicted_ms], "points"))
    if layer is not None and layer.measured_ms is not None:
        series.append(Series("in the file", [layer.density], [layer.measured_ms], "points"))
    return line_chart(series, "density", "time (ms)", title=curve.layer, size=_CHART, values=False)


def _channel_curves(result: OptimizeResult) -> list[Markup]:
    kept = {group.group: group.kept for group in result.channels}
    charts = [_channel_curve(curve, kept.get(curve.group)) for curve in result.channel_curves]
    said = (
        "Time of the whole model when one group alone keeps so many channels, and what the plan "
        "keeps of it."
    )
    return [text(said), element("div", {"class": "charts"}, *charts)]


def _channel_curve(curve: ChannelCurve, kept: int | None) -> Markup:
    series = [Series("measured", curve.kept, curve.times_ms)]
    if kept is not None:
        time = float(np.interp(kept, curve.kept, curve.times_ms))
        series.append(Series("plan", [kept], [time], "points"))
    return line_chart(
        *(series, "channels kept", "model (ms)"),
        title=curve.group, size=_CHART, from_zero=False, values=False,
    )  # fmt: skip


def _check(check: NumericCheck) -> list[Markup]:
    said = (
        "Largest difference of the written file's outputs from those of the original with the same "
        "weights removed (trained, where there were data) in plain ONNX Runtime, relative to the "
        "largest output."
    )
    known = {
        "Verdict": "equal" if check.passed else "NOT EQUAL",
        "With the library": f"{check.with_library:.1e}",
        "Without the library": f"{check.without_library:.1e}",
        "Tolerance": f"{check.tolerance:g}",
        "Compared at": "; ".join(check.samples) or None,
    }
    return [text(said), facts(known)]
