"""Compared structures as a JSON file, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import document, with_derived, write_json
from alcs_onnx.pipeline.compress.result import (
    ComparisonResult,
    Round,
    StructureLayer,
    StructureResult,
)
from alcs_onnx.types import Machine

_KIND = "alcs-onnx comparison of structures"
#: Of the layout that is written. 2 has the steps' names and the epochs of their training.
SCHEMA = 2
#: Layouts that can be read: what an older one does not have keeps its default.
_READABLE = (1, SCHEMA)

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


def write_comparison_json(path: Path, result: ComparisonResult) -> None:
    """Write the result; raises `OutputError` where that is impossible."""
    content = document(_KIND, SCHEMA, result)
    content["rows"] = [with_derived(row, _DERIVED) for row in result.rows]
    write_json(path, content)


def read_comparison_json(path: Path) -> ComparisonResult:
    """Read what `write_comparison_json` wrote; raises `AlcsError` for anything else."""
    try:
        content = json.loads(path.read_text())
        schema = content["schema"]
        # The first files said no kind.
        if content.get("kind", _KIND) != _KIND:
            raise ValueError(f"it is an {content['kind']}")
        if schema in _READABLE:
            return _result(content)
    except OSError as error:
        raise AlcsError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlcsError(f"{path} is not a comparison of structures ({error!r})") from error
    raise AlcsError(f"{path} has schema {schema}, this version reads {_READABLE[0]} to {SCHEMA}")


def _result(content: Mapping[str, Any]) -> ComparisonResult:
    machine = content["machine"]
    return ComparisonResult(
        **{
            **_fields(ComparisonResult, content),
            "rows": tuple(_row(row) for row in content["rows"]),
            "machine": None if machine is None else Machine(**machine),
        }
    )


def _row(content: Mapping[str, Any]) -> StructureResult:
    return StructureResult(
        **{
            **_fields(StructureResult, content),
            "layers": tuple(StructureLayer(**layer) for layer in content["layers"]),
            "history": tuple(_round(tried) for tried in content["history"]),
        }
    )


def _round(content: Mapping[str, Any]) -> Round:
    return Round(**{**content, "epochs": tuple(content.get("epochs", ()))})


def _fields(of: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are fields, without what was derived from them."""
    return {field.name: content[field.name] for field in dataclasses.fields(of)}
