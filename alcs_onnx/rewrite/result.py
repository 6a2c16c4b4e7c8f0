"""What a rewrite gives back: the new model and one row per convolution."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.graph import Model


@dataclass(frozen=True)
class LayerRewrite:
    """What became of one convolution.

    `op` is the operator it is now. `groups` and `stored_groups` count SIMD groups of
    `simd_group` weights; all three are 0 for a Conv left as it was. `fused` names what the
    node does besides convolving ("residual", "Relu", ...), `unfused` why it does no more.
    `reason` says why a Conv was left alone and is empty for sparse nodes.
    """

    layer: str
    op: str
    simd_group: int
    groups: int
    stored_groups: int
    macs: int
    fused: tuple[str, ...] = ()
    reason: str = ""
    unfused: str = ""

    @property
    def density(self) -> float:
        """Stored groups / all groups; 1 for a layer left alone."""
        return self.stored_groups / self.groups if self.groups else 1.0


@dataclass(frozen=True, eq=False)
class RewriteResult:
    """The rewritten model and a row per Conv node of the original, in its order."""

    model: Model
    layers: tuple[LayerRewrite, ...]
    #: Multiply-accumulates of the original model, all layers.
    dense_macs: int

    @property
    def mac_ratio(self) -> float:
        """Kept / dense multiply-accumulates of the whole network, every layer included."""
        if not self.dense_macs:
            return 1.0
        saved = sum(row.macs * (1 - row.density) for row in self.layers)
        return 1.0 - saved / self.dense_macs
