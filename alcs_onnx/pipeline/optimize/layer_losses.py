"""What each layer loses in int8: what cuts through the graph are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.judge import Judge, judge_few
from alcs_onnx.reporter import Reporter

#: Pictures on which the loss of each layer alone is measured, at most, and the time for all of it.
_PICTURES = 8
_SECONDS = 20.0


@dataclass(frozen=True, eq=False)
class LayerLosses:
    """The losses of `layers`, by name, which are found out when they are first asked for.

    One run of the model takes `dense_ms`.
    """

    quantizable: Quantizable
    layers: tuple[str, ...]
    dense_ms: float
    reporter: Reporter

    @cached_property
    def by_layer(self) -> Mapping[str, float]:
        """What each layer loses when it alone is int8: the squared relative error of outputs.

        A layer that cannot be int8 is absent.
        """
        found = {}
        judge = self._judge()
        for number, name in enumerate(self.layers, start=1):
            alone = self.quantizable.quantized([name])
            if alone.nodes:
                found[name] = judge.judge(alone.model, library=False).relative_error ** 2
            self.reporter.phase("what each layer loses in int8", number / len(self.layers))
        return found

    def _judge(self) -> Judge:
        """A judge by as many pictures as there is time for."""
        seconds = max(1, len(self.layers)) * self.dense_ms / 1e3
        count = int(min(max(_SECONDS / seconds, 2), _PICTURES))
        quantizable = self.quantizable
        model = quantizable.workload.model
        return judge_few(quantizable.source, model, quantizable.pictures, count)
