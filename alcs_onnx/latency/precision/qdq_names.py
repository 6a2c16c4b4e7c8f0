"""How a quantized file and the runtime name the conversions of a tensor (the QDQ format).

ONNX Runtime's quantizer writes for each tensor `t` a QuantizeLinear `t_QuantizeLinear` and a
DequantizeLinear `t_DequantizeLinear`; more than one of a tensor are numbered. What the runtime
itself moves past a node that only moves data is `t_q` and `t_dq`, for the tensor `t` it ends up at.
Nodes that compute keep their names, as `QLinearConv` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Container
from enum import Enum

from alcs_onnx.latency.fused import stem


class Conversion(Enum):
    """Which way a tensor is converted; the values are the operators that do it."""

    QUANTIZE = "QuantizeLinear"
    DEQUANTIZE = "DequantizeLinear"


_SUFFIX = re.compile(r"_(QuantizeLinear|DequantizeLinear|q|dq)(_\d+)?(/.*)?$")


def converted(ran: str, op_type: str, tensors: Container[str]) -> tuple[Conversion, str] | None:
    """The conversion that the runtime's node `ran` is, and which one of `tensors` it converts.

    None for a node that is no conversion; the tensor is empty where the name tells none.
    """
    try:
        conversion = Conversion(op_type)
    except ValueError:
        return None
    tensor = _SUFFIX.sub("", stem(ran))
    return conversion, tensor if tensor in tensors else ""
