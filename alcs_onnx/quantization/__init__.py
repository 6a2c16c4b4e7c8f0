"""int8 by ONNX Runtime's own quantizer. Only here: `onnxruntime.quantization`.

    source = loadable(folded(model), LEAST_OPSET)
    ranges = calibrate(source, pictures, "min-max")
    result = quantize(source, ranges)

Ranges are measured once; from the same ranges any set of nodes is quantized. What is written is
the file with Quantize and Dequantize nodes around those of the set, and nothing else changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.quantization.equalization import equalized
from alcs_onnx.quantization.integers import (
    StoredLayer,
    stored_layers,
    with_float_constants,
    with_integers,
)
from alcs_onnx.quantization.overflow import products_overflow
from alcs_onnx.quantization.registry import CALIBRATORS
from alcs_onnx.quantization.values import LEAST_OPSET, Quantized, QuantizeOptions, Ranges

if TYPE_CHECKING:
    from alcs_onnx.quantization.bias import with_corrected_biases
    from alcs_onnx.quantization.calibration import calibrate, calibrate_by
    from alcs_onnx.quantization.quantizing import quantizable, quantize
else:  # the runtime's quantizer is slow to import
    __getattr__ = exports(
        __name__,
        {
            "bias": ["with_corrected_biases"],
            "calibration": ["calibrate", "calibrate_by"],
            "quantizing": ["quantizable", "quantize"],
        },
    )

__all__ = [
    "CALIBRATORS",
    "LEAST_OPSET",
    "QuantizeOptions",
    "Quantized",
    "Ranges",
    "StoredLayer",
    "calibrate",
    "calibrate_by",
    "equalized",
    "products_overflow",
    "quantizable",
    "quantize",
    "stored_layers",
    "with_corrected_biases",
    "with_float_constants",
    "with_integers",
]
