"""The measured curve of one layer as a chart."""

from __future__ import annotations

from alcs_onnx.pipeline.inspect.result import CurveFacts
from alcs_onnx.report.html.charts import Series, line_chart
from alcs_onnx.report.html.markup import Markup, element


def curve_chart(curve: CurveFacts) -> Markup:
    """Run time against density, with the runtime's own Conv as a line across where known."""
    series = [Series("sparse", curve.densities, curve.times_ms)]
    if curve.conv_ms is not None:
        ends = (min(curve.densities), max(curve.densities))
        series.append(Series("dense Conv", ends, (curve.conv_ms, curve.conv_ms), "dashed"))
    chart = line_chart(
        series, "density", "time (ms)", title=curve.layer, size=(320, 200), values=False
    )
    return element("div", {"data-name": curve_name(curve.layer)}, chart)


def curve_name(layer: str) -> str:
    """The name under which the panels of nodes find the chart of `layer`."""
    return f"curve {layer}"
