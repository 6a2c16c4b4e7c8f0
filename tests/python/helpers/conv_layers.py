"""Conv layers by their sizes alone, for tests of what groups and counts weights."""

from __future__ import annotations

from hypothesis import strategies as st

from alcs_onnx.types import ConvLayer


def conv(
    out_channels: int = 6, in_channels: int = 4, group: int = 1, kernel: tuple[int, ...] = (3, 3)
) -> ConvLayer:
    sizes = (1, in_channels, *(8 for _ in kernel)), (1, out_channels, *(8 for _ in kernel))
    ones, zeros = tuple(1 for _ in kernel), tuple(0 for _ in kernel * 2)
    return ConvLayer(
        "conv", "w", None, out_channels, in_channels, group, kernel, ones, zeros, ones, *sizes
    )


@st.composite
def layers(draw: st.DrawFn, most_channels: int = 3) -> ConvLayer:
    """Layers of one to three conv groups, each with up to `most_channels` input channels."""
    group = draw(st.integers(1, 3))
    return conv(
        group * draw(st.integers(1, 9)),
        group * draw(st.integers(1, most_channels)),
        group,
        draw(st.sampled_from([(1,), (3,), (1, 1), (2, 3)])),
    )
