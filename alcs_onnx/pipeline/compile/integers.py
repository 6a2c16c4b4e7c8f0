"""In which form quantized convolutions are written: which of them are computed by our kernels.

The runtime's own kernels of integers are quicker for some, on some machines: what is measured
quickest is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from alcs_onnx.graph import Model
from alcs_onnx.rewrite import IntegerRewrite, as_integers

#: Why a quantized convolution is left to the runtime.
_FULL = "int8 by the runtime: it has no zeros to pass over"


@dataclass(frozen=True, eq=False)
class IntegerForm:
    """A form of quantized convolutions; `left` stay the runtime's own, with the reasons.

    `clipped` are those with an activation behind them that rounding stands for.
    """

    what: str
    clipped: Collection[str] = ()
    left: Mapping[str, str] = field(default_factory=dict)

    def of(self, model: Model) -> IntegerRewrite:
        """`model`, whose convolutions `left` names, in this form."""
        return as_integers(model, self.left, self.clipped)


def integer_forms(model: Model, clipped: Collection[str] = ()) -> tuple[IntegerForm, ...]:
    """Quantized convolutions by our kernels: those with zeros alone, and all that can be.

    `clipped` is as for `as_integers`. None where `model` has none that can be, and the first only
    where it differs from the second.
    """
    rows = [row for row in as_integers(model, clipped=clipped).layers if row.groups]
    if not rows:
        return ()
    everything = IntegerForm("int8 all sparse", clipped)
    full = {row.layer: _FULL for row in rows if row.density == 1}
    if not 0 < len(full) < len(rows):
        return (everything,)
    return (IntegerForm("int8 sparse where zeros are", clipped, full), everything)
