"""Results as JSON files."""

from alcs_onnx.files import to_jsonable, write_json

__all__ = ["to_jsonable", "write_json"]
