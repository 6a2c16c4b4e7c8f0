"""An inspection as JSON, in the form of `alcs_onnx/pipeline/inspect/schema.json`."""

from __future__ import annotations

from alcs_onnx.documents import document_text
from alcs_onnx.pipeline.inspect import Inspection


def inspection_json(inspection: Inspection) -> str:
    """Strict JSON of every field; numbers that JSON does not have are null."""
    return document_text(inspection)
