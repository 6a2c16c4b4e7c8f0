"""The registry of graphs written node by node; each entry makes an `onnx.ModelProto`."""

from __future__ import annotations

from . import heads, moving_channels, normalisations, weights

GRAPHS = {
    **moving_channels.GRAPHS,
    **normalisations.GRAPHS,
    **heads.GRAPHS,
    **weights.GRAPHS,
}
