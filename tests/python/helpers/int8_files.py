"""Files that ONNX Runtime's own quantizer makes, for tests of what runs in int8."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from graph_helpers import conv_weight, model, op
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class _Random(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """A few random inputs of the model's static shapes."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        rng = np.random.default_rng(0)
        shapes = {
            info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            for info in proto.graph.input
        }
        self._feeds: Iterator[Mapping[str, npt.NDArray[Any]]] = iter(
            [
                {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
                for _ in range(2)
            ]
        )

    def get_next(self) -> Mapping[str, npt.NDArray[Any]] | None:
        return next(self._feeds, None)


def quantized(proto: onnx.ModelProto, nodes: Collection[str] | None = None) -> onnx.ModelProto:
    """`proto` with these nodes in int8 (all that can be by default): QDQ, per channel, u8 x s8."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, path = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
            onnx.save(proto, source)
            quantize_static(
                source,
                path,
                _Random(proto),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=None if nodes is None else sorted(nodes),
            )
            return onnx.load(path)
    finally:
        logging.disable(disabled)


def branching_network() -> onnx.ModelProto:
    """Convolutions around a pooling, a sum and a Concat, with an operator that has no int8 kernel.

    Channels are multiples of 16, so that float32 convolutions take the blocked layout on x86.
    """
    rng = np.random.default_rng(0)
    nodes = [
        op("Conv", "x w1", "c1", "stem", pads=[1] * 4), op("Relu", "c1", "r1", "stem_relu"),
        op("MaxPool", "r1", "m", "pool", kernel_shape=[2, 2], strides=[2, 2]),
        op("Conv", "m w2", "c2", "left", pads=[1] * 4), op("Relu", "c2", "r2", "left_relu"),
        op("Conv", "r2 w3", "c3", "more"), op("Add", "c3 m", "s", "sum"),
        op("Conv", "m w4", "c4", "right"), op("Erf", "c4", "e", "odd"),
        op("Concat", "s e", "k", "concat", axis=1), op("Conv", "k w5", "y", "head"),
    ]  # fmt: skip
    weights = {
        "w1": conv_weight(rng, 32, 3, 3, 3), "w2": conv_weight(rng, 32, 32, 3, 3),
        "w3": conv_weight(rng, 32, 32, 1, 1), "w4": conv_weight(rng, 32, 32, 1, 1),
        "w5": conv_weight(rng, 16, 64, 1, 1),
    }  # fmt: skip
    return model(nodes, weights, (1, 3, 32, 32))
