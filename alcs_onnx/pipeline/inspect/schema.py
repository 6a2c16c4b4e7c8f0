"""The JSON Schema of an inspection, made from the values themselves.

`python -m alcs_onnx.pipeline.inspect.schema` writes `schema.json`; a test compares the two.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from alcs_onnx.files import write_atomically
from alcs_onnx.pipeline.inspect.result import Inspection

#: Where the schema lies.
SCHEMA_FILE = Path(__file__).with_name("schema.json")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
#: Numbers that are NaN, and null in JSON, where the system does not say.
_MAYBE_NAN = {("Machine", "load")}


def inspection_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of what `report.inspection_json` writes."""
    found: dict[str, Any] = {}
    _describe(Inspection, found)
    top = found.pop(Inspection.__name__)
    form = Inspection.format
    top["properties"] |= {"kind": {"const": form.kind}, "schema": {"const": form.version}}
    top["required"] += ["kind", "schema"]
    return {
        "$schema": _DIALECT,
        "title": f"{form.kind}, version {form.version}",
        **top,
        "$defs": dict(sorted(found.items())),
    }


def _describe(kind: type[Any], found: dict[str, Any]) -> None:
    """Put the schema of a dataclass, and of all that it holds, into `found`."""
    found[kind.__name__] = {}  # taken, should it hold itself
    hints = get_type_hints(kind)
    text = " ".join((inspect.getdoc(kind) or "").split())
    properties: dict[str, Any] = {}
    for item in fields(kind):
        schema = _schema(hints[item.name], found)
        if (kind.__name__, item.name) in _MAYBE_NAN:
            schema = {"anyOf": [schema, {"type": "null"}]}
        about = _sentence(text, item.name)
        properties[item.name] = {**schema, **({"description": about} if about else {})}
    found[kind.__name__] = {
        "description": text,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(hint: Any, found: dict[str, Any]) -> dict[str, Any]:
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(argument, found) for argument in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], found)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], found)}
    if not is_dataclass(hint):
        raise TypeError(f"{hint} has no JSON form")
    assert isinstance(hint, type)
    if hint.__name__ not in found:
        _describe(hint, found)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _sentence(text: str, name: str) -> str:
    """The sentence of a docstring that speaks of the field first."""
    mention = re.compile(rf"`{name}(\[\w+\])?`")
    return next((s for s in re.split(r"(?<=[.;])\s+(?=[A-Z`])", text) if mention.search(s)), "")


def schema_text() -> str:
    """The content of `SCHEMA_FILE`."""
    return json.dumps(inspection_schema(), indent=2) + "\n"


if __name__ == "__main__":
    write_atomically(SCHEMA_FILE, schema_text().encode())
