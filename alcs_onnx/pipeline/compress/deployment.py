"""A compressed state as it is deployed, counted and timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alcs_onnx.codebooks import quantize
from alcs_onnx.coupling import analyse, zero_channels
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, conv_layers, loadable
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.pipeline.common.verification import NumericCheck, check_written
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.compress.compressor import Compressor
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import compile_sparse, quantize_weights, remove_zero_channels
from alcs_onnx.serialized import Serialized
from alcs_onnx.storage import (
    FLOAT_BITS,
    LayerStorage,
    ModelStorage,
    indexed_group,
    layer_storage,
)
from alcs_onnx.structures import Structure
from alcs_onnx.types import (
    ChannelMask,
    FloatArray,
    InitializerName,
    LayerName,
    QuantizedWeight,
    Timing,
    WeightMask,
)


@dataclass(frozen=True)
class Deployed:
    """The written form of a state, checked, counted and timed.

    `storage` is that of the layers that were compressed; `layer_ms` gives the dense and the
    sparse time of each of them.
    """

    model: Model
    check: NumericCheck
    storage: ModelStorage
    dense: Timing
    sparse: Timing
    layer_ms: Mapping[LayerName, tuple[float, float]]


def deploy(
    workload: Workload,
    compressor: Compressor,
    state: Compressed,
    structures: Sequence[Structure],
    *,
    plain: bool = False,
    reporter: Reporter = SILENT,
) -> Deployed:
    """Write, check, count and time `state`.

    Channels that no filter computes any more go with all that reads them. Every layer then
    becomes the sparse operator, with its levels packed where it is quantized; with `plain` it
    stays the ordinary one, its levels behind DequantizeLinear. Raises `AlcsError` when the
    result does not compute what the state does.
    """
    masked = compressor.model_of(state)
    written = _rewritten(masked, state, structures, plain)
    serialized = loadable(written)
    check = check_written(workload, written, masked, reporter)
    if not check.passed:
        raise AlcsError(
            f"{workload.path}: the written model differs from the compressed one by "
            f"{check.difference}"
        )
    dense, sparse = workload.against_dense(serialized)
    storage = ModelStorage(tuple(_stored(compressor, state, structures)))
    return Deployed(
        written,
        check.numbers,
        storage,
        dense,
        sparse,
        _layer_times(workload, compressor, written, serialized),
    )


def _rewritten(
    masked: Model, state: Compressed, structures: Sequence[Structure], plain: bool
) -> Model:
    smaller = remove_zero_channels(masked)
    quantized = {}
    for layer in conv_layers(smaller.model):
        levels = state.quantized.get(layer.name)
        if levels is not None:
            rows = smaller.rows[layer.name]
            quantized[layer.name] = _smaller(
                levels, np.asarray(smaller.model.initializers[layer.weight]), rows
            )
    if plain:
        return quantize_weights(smaller.model, quantized)
    groups = {layer.name: indexed_group(layer, structures) for layer in conv_layers(smaller.model)}
    # In the groups that were pruned the file is as small as the table says.
    sizes = {name: g for name, g in groups.items() if g is not None and name in state.keep}
    return compile_sparse(smaller.model, quantized=quantized, simd_groups=sizes).model


def _smaller(levels: QuantizedWeight, weight: FloatArray, rows: ChannelMask) -> QuantizedWeight:
    """The levels of what is left of a weight: the same distances, so the same levels."""
    scale = levels.scale if levels.scale.size == 1 else levels.scale[rows]
    return quantize(weight, levels.codebook, keep=weight != 0, scale=scale)


def _stored(
    compressor: Compressor, state: Compressed, structures: Sequence[Structure]
) -> Iterator[LayerStorage]:
    """The storage of each layer, without what reads channels that are gone.

    Weights that became level 0 count as pruned where each weight has an index (ADMM-NN-S
    section 6: "this phenomenon does not apply to structured pruning").
    """
    full = all(structure.full_matrix for structure in structures)
    read = _channels_read(compressor.model_of(state))
    for name, layer in compressor.layers.items():
        keep, levels = (
            state.keep[name] & read.get(layer.weight, np.True_),
            state.quantized.get(name),
        )
        if levels is not None and not full:
            keep = keep & (levels.levels != 0)
        yield layer_storage(
            layer,
            structures,
            keep,
            FLOAT_BITS if levels is None else levels.codebook.bits,
            scales=0 if levels is None else levels.scale.size,
            zero_level=levels is None or 0 in levels.codebook.levels,
        )


def _channels_read(masked: Model) -> dict[InitializerName, WeightMask]:
    """Masks of the weights, by initializer, without the redundant channels of `masked`."""
    coupling = analyse(masked)
    keep = {group: ~zero for group, zero in zero_channels(masked, coupling).items()}
    masks: dict[InitializerName, WeightMask] = {}
    for slot, positions in coupling.removed(keep):
        mask = masks.setdefault(slot.tensor, np.ones(masked.initializers[slot.tensor].shape, bool))
        np.moveaxis(mask, slot.axis, 0)[positions] = False
    return masks


def _layer_times(
    workload: Workload, compressor: Compressor, written: Model, serialized: Serialized
) -> dict[str, tuple[float, float]]:
    """Dense and sparse time (ms) of each compressed layer that ran as a node, in turns."""
    dense, sparse = workload.target.node_times(
        [loadable(workload.model.detached()), serialized],
        threads=workload.measuring.threads,
        iterations=workload.measuring.iterations,
        warmup=workload.measuring.warmup,
        feeds=workload.feeds,
    )
    before = dense_times(workload.model, dense.profile)
    after = {**dense_times(written, sparse.profile), **sparse.profile.nodes}
    return {
        name: (before[name], after[name])
        for name in compressor.layers
        if name in before and name in after
    }
