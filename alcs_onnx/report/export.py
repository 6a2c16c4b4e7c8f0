"""Results as files."""

from pathlib import Path

from alcs_onnx.documents import Document, write_document
from alcs_onnx.files import write_atomically


def write_result(path: Path, result: Document) -> None:
    """Write a result as JSON; raises `OutputError` when `path` cannot be written."""
    write_document(path, result)


def write_page(path: Path, page: str) -> None:
    """Write an HTML page; raises `OutputError` when `path` cannot be written."""
    write_atomically(path, page.encode())
