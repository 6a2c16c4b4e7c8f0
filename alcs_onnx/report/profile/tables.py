"""Terminal tables of what was measured of layers and channel groups."""

from __future__ import annotations

import numpy as np

from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import describe_machine, ms, new_table
from alcs_onnx.report.long_tables import foremost, say_rest
from alcs_onnx.types import ChannelTable, LatencyTable


def print_table(table: LatencyTable, *, top: int = 20) -> None:
    """The measured curves: ms at each density, and the dense time of the runtime's own Conv.

    Of many layers the `top` slowest, 0 for all.
    """
    densities = [f">{i / 10:g}" for i in range(11)]
    view = new_table(
        "Time in ms at each density",
        *("layer", *densities, ">runtime's Conv"),
        optional=("0.9", "0.7", "0.3", "0.1", "0.8", "0.6", "0.4", "0.2"),
    )
    for curve in foremost(table.curves, top, lambda curve: curve.times[-1]):
        last = curve.groups[-1]
        at = np.interp(np.linspace(0, last, 11), curve.groups, curve.times)
        view.add_row(curve.layer, *(ms(float(t)) for t in at), ms(curve.dense_time))
    out.print(view)
    say_rest(len(table.curves), top, "layer")
    say(
        f"rest of the run (tau): {ms(table.tau)} ms | dense model: {ms(table.dense.median)} ms",
        describe_machine(table.machine),
    )


def print_channel_table(table: ChannelTable, *, top: int = 20) -> None:
    """Latency of the model (ms) against the channels that each group keeps, alone.

    Of many groups the `top` whose channels cost most, 0 for all.
    """
    view = new_table(
        "Time of the model in ms by the channels that one group keeps", "group", "curve"
    )
    for curve in foremost(table.curves, top, lambda c: max(c.times_ms) - min(c.times_ms)):
        pairs = zip(curve.kept, curve.times_ms, strict=True)
        view.add_row(curve.group, "  ".join(f"{kept}: {ms(time)}" for kept, time in pairs))
    out.print(view)
    say_rest(len(table.curves), top, "group")
    say(f"dense model: {ms(table.dense.median)} ms", describe_machine(table.machine))
