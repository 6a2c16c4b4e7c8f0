"""Results as files."""

from pathlib import Path
from typing import Protocol

from alcs_onnx.files import document, write_atomically, write_json

__all__ = ["Result", "write_page", "write_result"]


class Result(Protocol):
    """A dataclass that says what its JSON form is, and of which version."""

    @property
    def kind(self) -> str:
        """`alcs-onnx bench`, for one."""
        ...

    @property
    def schema(self) -> int:
        """Number of the layout."""
        ...


def write_result(path: Path, result: Result) -> None:
    """Write a result as JSON; raises `OutputError` when `path` cannot be written."""
    write_json(path, document(result.kind, result.schema, result))


def write_page(path: Path, page: str) -> None:
    """Write an HTML page; raises `OutputError` when `path` cannot be written."""
    write_atomically(path, page.encode())
