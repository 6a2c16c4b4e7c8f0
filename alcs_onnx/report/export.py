"""Results as files."""

from pathlib import Path

from alcs_onnx.files import to_jsonable, write_atomically, write_json

__all__ = ["to_jsonable", "write_json", "write_page"]


def write_page(path: Path, page: str) -> None:
    """Write an HTML page; raises `OutputError` when `path` cannot be written."""
    write_atomically(path, page.encode())
