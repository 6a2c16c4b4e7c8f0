"""Sessions with the custom-op library, made without the package's own code for it."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from alcs_onnx.ort import get_library_path

ORT_ERRORS = tuple(
    getattr(ort.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "RuntimeException", "NotImplemented")
)


def create_session(model: bytes, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.register_custom_ops_library(str(get_library_path()))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def refusal(model: bytes) -> str:
    with pytest.raises(ORT_ERRORS) as caught:
        create_session(model)
    return str(caught.value)
