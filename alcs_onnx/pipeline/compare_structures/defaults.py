"""What `compare-structures` compares where nothing is named; cheap to import, for `--help`."""

from __future__ import annotations

STRUCTURES = ("unstructured", "simd", "filter", "shape", "shape+filter")
LEVELS = ("3bit", "4bit", "5bit", "8bit")
