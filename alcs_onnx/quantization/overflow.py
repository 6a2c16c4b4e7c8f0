"""Whether the runtime's int8 kernels overflow on this machine: what it computes says so.

Without dot-product instructions two products of 8 bits are added up in 16, which cuts off what is
beyond 32,767: 2 x 255 x 127 is twice that. With weights of 7 bits nothing is.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx.ort import create_session, run

_CHANNELS = 16
#: What the convolution gives in steps of its output where all products are exact.
_EXACT = 200


@cache
def products_overflow() -> bool:
    """Whether a convolution of the largest u8 values with the largest s8 weights comes out wrong.

    It depends on the CPU and the installed runtime; `QuantizeOptions.reduce_range` is for those
    where it does.
    """
    weights = np.full((_CHANNELS, _CHANNELS, 1, 1), 127, np.int8)
    image = np.full((1, _CHANNELS, 4, 4), 255, np.uint8)
    step = 255 * 127 * _CHANNELS / _EXACT
    one, unsigned, signed = np.float32(1), np.uint8(0), np.int8(0)
    constants = {
        "x_step": one,
        "x_zero": unsigned,
        "w": weights,
        "w_step": one,
        "w_zero": signed,
        "y_step": np.float32(step),
        "y_zero": unsigned,
    }
    node = helper.make_node("QLinearConv", ["x", *constants], ["y"])
    graph = helper.make_graph(
        [node],
        "overflow",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, image.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=onnx.IR_VERSION_2021_7_30)
    session = create_session(model.SerializeToString(), library=False)
    return bool((run(session, {"x": image})["y"] != _EXACT).any())
