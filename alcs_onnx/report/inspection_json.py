"""An inspection as JSON, in the form of `alcs_onnx/inspection/schema.json`."""

from __future__ import annotations

import json

from alcs_onnx.inspection import Inspection
from alcs_onnx.report.export import to_jsonable


def inspection_json(inspection: Inspection) -> str:
    """Strict JSON of every field; numbers that JSON does not have are null."""
    return json.dumps(to_jsonable(inspection), indent=1, allow_nan=False) + "\n"
