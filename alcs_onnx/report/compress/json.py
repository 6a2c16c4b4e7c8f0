"""Compared structures as a JSON file, and back."""

from __future__ import annotations

from pathlib import Path

from alcs_onnx.documents import plain, read_document, with_derived, write_document
from alcs_onnx.pipeline.compress.result import CompressionResult

#: What follows from the fields of a row, written for readers that are not this package.
_DERIVED = (
    "prune_rate",
    "compress_rate",
    "index_bits",
    "speedup",
    "ppr",
    "pruned_rate",
    "pruned_speedup",
    "pruned_ppr",
)


def write_compression_json(path: Path, result: CompressionResult) -> None:
    """Write the result; raises `OutputError` where that is impossible."""
    rows = [with_derived(row, _DERIVED) for row in result.rows]
    write_document(path, result, {**plain(result), "rows": rows, "verdicts": list(result.verdicts)})


def read_compression_json(path: Path) -> CompressionResult:
    """Read what `write_compression_json` wrote; raises `AlcsError` for anything else."""
    return read_document(path, CompressionResult)
