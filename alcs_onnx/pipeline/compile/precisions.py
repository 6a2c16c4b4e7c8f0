"""What nodes of a compiled file may be; nothing is imported for it."""

from __future__ import annotations

#: All float32; int8 wherever it is possible; int8 where it is quicker. The first is the default.
PRECISIONS = ("float32", "int8", "auto")
