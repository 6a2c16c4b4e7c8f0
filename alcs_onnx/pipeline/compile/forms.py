"""In which form convolutions that stay float32 are written: which of them become sparse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.pipeline.common.mixed import matching_layers
from alcs_onnx.rewrite import RewriteResult, compile_sparse


@dataclass(frozen=True, eq=False)
class FloatForm:
    """A form of the float convolutions of `source`, described by `what`.

    `left` are those that stay the runtime's own, with the reasons; all others become sparse, in
    groups of `simd_group` or of the size that suits their zeros.
    """

    what: str
    source: Model
    simd_group: int | None
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_original(self) -> bool:
        """Whether every convolution stays the runtime's own."""
        return len(self.left) == len(conv_layers(self.source))

    def of(self, model: Model) -> RewriteResult:
        """`model` in this form: the source, or a file that was made of it, as it was loaded."""
        names = matching_layers(self.source, model)
        left = {names[name]: reason for name, reason in self.left.items() if name in names}
        rewritten = compile_sparse(model, self.simd_group, excluded=left)
        return replace(rewritten, model=model) if self.is_original else rewritten

    def leaving(self, layers: Mapping[str, str]) -> FloatForm:
        """The same with `layers` (name -> reason) left to the runtime, too."""
        return replace(self, left={**self.left, **layers})


@dataclass(frozen=True, eq=False)
class FloatForms:
    """Nothing sparse; the layers sparse that have zeros to pass over; all layers sparse.

    The last is what `compile` writes where all stays float32: in one memory layout, which can be
    quicker even where a layer has no zeros.
    """

    original: FloatForm
    zeros: FloatForm
    everything: FloatForm

    @classmethod
    def of(cls, source: Model, simd_group: int | None) -> FloatForms:
        """The forms of `source`; `simd_group` as `compile_sparse` has it."""
        everything = FloatForm("all sparse", source, simd_group)
        layers = [layer.name for layer in conv_layers(source)]
        density = {row.layer: row.density for row in everything.of(source).layers}
        own = dict.fromkeys(layers, "quicker as the runtime's own Conv")
        full = {name: "it has no zeros to pass over" for name in layers if density[name] == 1}
        return cls(
            replace(everything, what="as given", left=own),
            replace(everything, what="sparse where zeros are", left=full),
            everything,
        )

    @property
    def sparse(self) -> tuple[FloatForm, ...]:
        """Those that have sparse layers, each once."""
        partly = bool(self.zeros.left) and not self.zeros.is_original
        return (self.zeros, self.everything) if partly else (self.everything,)
