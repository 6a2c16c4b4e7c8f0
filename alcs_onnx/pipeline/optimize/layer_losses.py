"""What each layer loses in int8: what cuts through the graph are compared by."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.judge import judge_few
from alcs_onnx.reporter import Reporter

#: Pictures on which the loss of each layer alone is measured, and the time for all of it.
_PICTURES = 4
_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class LayerLosses:
    """The losses of `layers`, by name, which are found out when they are first asked for."""

    quantizable: Quantizable
    layers: tuple[str, ...]
    reporter: Reporter

    @cached_property
    def by_layer(self) -> Mapping[str, float]:
        """What each layer loses when it alone is int8: the squared relative error of outputs.

        Where there is no time for each, neighbours are int8 together and share what they lose. A
        layer that cannot be int8 is absent.
        """
        quantizable, layers = self.quantizable, self.layers
        model = quantizable.workload.model
        judge = judge_few(quantizable.source, model, quantizable.pictures, _PICTURES)
        found: dict[str, float] = {}
        began, together = time.monotonic(), 1
        while left := layers[len(found) :]:
            # The first one tells how long one takes.
            some = left[: together if found else 1]
            alone = quantizable.quantized(some)
            error = judge.judge(alone.model, library=False).relative_error if alone.nodes else 0.0
            found |= dict.fromkeys(some, error**2 / len(some))
            if len(found) == 1:
                whole = len(layers) * (time.monotonic() - began)
                together = max(1, ceil(whole / _SECONDS))
            self.reporter.phase("what layers lose in int8", len(found) / len(layers))
        return {name: loss for name, loss in found.items() if loss > 0}
