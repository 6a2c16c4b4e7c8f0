"""XNNPACK through LiteRT."""

from __future__ import annotations


class LiteRt:
    name = "litert"
    package = "ai-edge-litert"
    uses_zeros = False

    def version(self):
        raise ImportError("TODO")

    def load(self, path, feeds, threads):
        raise NotImplementedError
