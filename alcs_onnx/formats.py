"""Every kind of JSON file that this package writes, and which versions of it are read.

A file begins with its `kind` and the number of its layout, `schema`; then come the fields of a
dataclass, which names its format in the class variable `format`. `alcs_onnx.documents` writes and
reads them. A field that is added, renamed or removed is a new version, with an upgrade from the
one before where those files are still to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Turns the content of one version into that of the next.
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Format:
    """One kind of file: what it says it is, and the version that is written.

    `upgrades[n]` makes version n + 1 of the content of version n, and versions without one are
    refused. `indent` is the layout of the text. Not `always_named` are files whose first versions
    did not say their kind.
    """

    kind: str
    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    indent: int = 2
    always_named: bool = True

    @property
    def name(self) -> str:
        """What messages call it: `latency table`, for one."""
        return self.kind.removeprefix("alcs-onnx ")

    @property
    def readable(self) -> tuple[int, ...]:
        """The versions that are read, rising."""
        return (*sorted(self.upgrades), self.version)


def _of_simd_groups(content: dict[str, Any]) -> dict[str, Any]:
    """The first tables said nothing of a structure: their groups are SIMD groups."""
    return {**content, "structure": "simd"}


def _of_nameless_rounds(content: dict[str, Any]) -> dict[str, Any]:
    """Steps had no names, and the epochs of their training were not kept."""
    for row in content.get("rows", ()):
        for tried in row.get("history", ()):
            tried.update(step="", epochs=[])
    return content


def _unjudged(content: dict[str, Any]) -> dict[str, Any]:
    """It was not said what was lost."""
    return content


LATENCY_TABLE = Format("alcs-onnx latency table", 2, {1: _of_simd_groups}, indent=1)
CHANNEL_LATENCY_TABLE = Format("alcs-onnx channel latency table", indent=1)
PRUNING_PLAN = Format("alcs-onnx pruning plan", indent=1)
OPTIMIZATION = Format("alcs-onnx optimization", 2)
SWEEP_SETTINGS = Format("alcs-onnx sweep settings")
SWEEP_POINT = Format("alcs-onnx sweep point", 2, {1: _unjudged})
SWEEP = Format("alcs-onnx sweep", 2)
STRUCTURE_COMPARISON = Format(
    "alcs-onnx comparison of structures",
    3,
    {1: _of_nameless_rounds, 2: _unjudged},
    always_named=False,
)
MODEL_COMPARISON = Format("alcs-onnx comparison of models")
BENCH = Format("alcs-onnx bench")
INSPECTION = Format("alcs-onnx inspection", indent=1)
