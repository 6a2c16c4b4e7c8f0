"""An inspection as JSON, in the form of `alcs_onnx/pipeline/inspect/schema.json`."""

from __future__ import annotations

import json

from alcs_onnx.files import document
from alcs_onnx.pipeline.inspect import Inspection


def inspection_json(inspection: Inspection) -> str:
    """Strict JSON of every field; numbers that JSON does not have are null."""
    content = document(inspection.kind, inspection.schema, inspection)
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
