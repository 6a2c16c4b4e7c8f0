"""Conv -> SimdSparseConv on a copy of the model, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

import numpy as np

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import (
    AttributeValue,
    GraphEditor,
    Model,
    conv_layers,
    model_macs,
    skipped_convs,
)
from alcs_onnx.rewrite.dequantize import check_fits, insert_quantized
from alcs_onnx.rewrite.fusions import match_epilogue
from alcs_onnx.rewrite.half import drop_round_trips, read_as_float32, write_from_float32
from alcs_onnx.rewrite.pooling import replace_max_pools
from alcs_onnx.rewrite.result import LayerRewrite, RewriteResult
from alcs_onnx.rewrite.stored_weights import store_packed, store_plain
from alcs_onnx.sparse_format import (
    OP_DOMAIN,
    find_simd_group,
    group_mask_to_weight_mask,
    largest_fitting,
    weight_mask_to_group_mask,
)
from alcs_onnx.structures import Structure, get_structure
from alcs_onnx.types import (
    ConvLayer,
    FloatArray,
    GroupMask,
    LayerName,
    PruningPlan,
    QuantizedWeight,
)

#: Group size where neither a plan nor the caller asks for another.
_DEFAULT_SIMD_GROUP = 8
#: Group sizes looked for in a model that another tool made sparse.
_COMPILE_GROUPS = (8, 4, 2, 1)


@dataclass(frozen=True)
class _Storage:
    """How one layer is to be stored: group size, and which groups (None: non-zero ones)."""

    simd_group: int
    keep: GroupMask | None


def rewrite(
    model: Model,
    plan: PruningPlan | None = None,
    excluded: Collection[str] = (),
    simd_group: int | None = None,
    quantized: Mapping[LayerName, QuantizedWeight] | None = None,
) -> RewriteResult:
    """Turn every conv layer into the sparse op, pruned as `plan` says.

    A planned layer stores exactly what the plan keeps, in the group size that leaves no zeros
    in its structure (`Structure.storage_group`). Any other layer stores every group, of
    `simd_group` weights (default: the plan's, else 8) or of the largest size that its conv
    groups have rows for; depthwise layers thus use 1. Layers in `excluded` stay Conv nodes,
    masked if planned; as a mapping it gives the reasons. The weights of layers in `quantized`
    are those given there instead of the model's, stored in few bits; of these only groups that
    are not all zero are stored. Raises `ModelError` for a name that is no conv layer or a mask
    or weight of the wrong shape.
    """
    default = simd_group or (plan.simd_group if plan else _DEFAULT_SIMD_GROUP)
    keep = plan.keep if plan else {}
    _check_names(model, keep, "plan")
    structure = get_structure(plan.structure, plan.simd_group) if plan else None
    _check_names(model, quantized or {}, "list of quantized layers")

    def storage(layer: ConvLayer, weight: FloatArray) -> _Storage:
        if structure is not None and layer.name in keep:
            return _stored(structure, keep[layer.name], layer)
        g = largest_fitting(layer.rows_per_group, default)
        return _Storage(g, _all_groups(layer, g))

    return _rewrite(model, storage, excluded, quantized or {})


def compile_sparse(
    model: Model,
    simd_group: int | None = None,
    quantized: Mapping[LayerName, QuantizedWeight] | None = None,
    simd_groups: Mapping[LayerName, int] | None = None,
    excluded: Collection[str] = (),
) -> RewriteResult:
    """Take up the zeros of a model that is sparse already.

    Each layer stores its groups that are not all zero. The group size is the one that
    `simd_groups` gives the layer, or else the one that suits its zeros best, whole columns among
    them, or `simd_group` where the layer has rows for it. `quantized` and `excluded` are as for
    `rewrite`.
    """
    sizes = simd_groups or {}
    _check_names(model, quantized or {}, "list of quantized layers")

    def storage(layer: ConvLayer, weight: FloatArray) -> _Storage:
        wanted = sizes.get(layer.name, simd_group)
        if wanted is not None:
            return _Storage(largest_fitting(layer.rows_per_group, wanted), None)
        candidates = (layer.rows_per_group, *_COMPILE_GROUPS)
        return _Storage(find_simd_group(weight, layer.group, candidates), None)

    return _rewrite(model, storage, excluded, quantized or {})


def random_model(
    model: Model,
    densities: Mapping[LayerName, float],
    simd_group: int,
    seed: int,
    excluded: Collection[str] = (),
    structure: str = "simd",
) -> RewriteResult:
    """The model with random groups kept, for measuring latencies at given densities.

    Layer l keeps exactly round(densities[l] * groups) groups of `structure`; layers not named
    stay dense, stored in groups of `simd_group` weights. The same arguments always give the
    same model. The weights are the model's own.
    """
    _check_names(model, densities, "densities")
    grouping = get_structure(structure, simd_group)
    order = {layer.name: index for index, layer in enumerate(conv_layers(model))}

    def storage(layer: ConvLayer, weight: FloatArray) -> _Storage:
        if layer.name not in densities:
            g = largest_fitting(layer.rows_per_group, simd_group)
            return _Storage(g, _all_groups(layer, g))
        keep = random_groups(layer, grouping, densities[layer.name], (seed, order[layer.name]))
        return _stored(grouping, keep, layer)

    return _rewrite(model, storage, excluded)


def random_groups(
    layer: ConvLayer, structure: Structure, density: float, seed: tuple[int, int]
) -> GroupMask:
    """A mask that keeps round(density * groups) groups of `layer`; `AlcsError` outside 0..1."""
    if not 0 <= density <= 1:
        raise AlcsError(f"layer '{layer.name}': density {density} is not in 0..1")
    keep = np.ones(structure.mask_shape(layer), dtype=np.bool_)
    dropped = keep.size - round(density * keep.size)
    keep.reshape(-1)[np.random.default_rng(seed).permutation(keep.size)[:dropped]] = False
    return keep


def _stored(structure: Structure, keep: GroupMask, layer: ConvLayer) -> _Storage:
    """Every stored group that holds a kept weight.

    There are no others in it: the structure's storage group is one that the mask fills or
    leaves empty.
    """
    try:
        mask = structure.weight_mask(keep, layer)
    except AlcsError as error:
        raise ModelError(f"layer '{layer.name}': {error}") from error
    g = structure.storage_group(layer)
    return _Storage(g, weight_mask_to_group_mask(mask, layer.group, g))


def _all_groups(layer: ConvLayer, simd_group: int) -> GroupMask:
    blocks = layer.group * layer.blocks_per_group(simd_group)
    return np.ones((blocks, layer.columns), dtype=np.bool_)


def _check_names(model: Model, names: Collection[str], what: str) -> None:
    unknown = sorted(set(names) - {layer.name for layer in conv_layers(model)})
    if unknown:
        reason = skipped_convs(model).get(unknown[0], "there is no such convolution")
        raise ModelError(f"the {what} names layer '{unknown[0]}': {reason}")


def _rewrite(
    model: Model,
    storage: Callable[[ConvLayer, FloatArray], _Storage],
    excluded: Collection[str],
    quantized: Mapping[LayerName, QuantizedWeight] = MappingProxyType({}),
) -> RewriteResult:
    _check_names(model, excluded, "list of layers to leave alone")
    reasons = excluded if isinstance(excluded, Mapping) else {}
    editor = GraphEditor(model)
    rows: dict[str, LayerRewrite] = {
        name: LayerRewrite(name, "Conv", 0, 0, 0, 0, reason=reason)
        for name, reason in skipped_convs(model).items()
    }
    # Last layer first: where both operands of an Add are convolutions, the later one takes
    # the Add, and the earlier one has long produced the residual.
    for layer in reversed(conv_layers(model)):
        levels = quantized.get(layer.name)
        if levels is None:
            weight = model.initializers[layer.weight].astype(np.float32, copy=False)
        else:
            check_fits(layer.name, levels, layer.weight_shape)
            weight = levels.values()
        how = storage(layer, weight)
        if layer.name in excluded:
            masked = _leave(editor, layer, weight, how, levels)
            reason = str(reasons.get(layer.name, "left alone as asked"))
            row = LayerRewrite(layer.name, "Conv", 0, 0, 0, layer.macs, reason=reason + masked)
        else:
            row = _replace(editor, layer, weight, how, levels)
        rows[layer.name] = row
    replace_max_pools(editor)
    drop_round_trips(editor)
    order = [node.name for node in model.nodes if node.name in rows]
    return RewriteResult(editor.build(), tuple(rows[name] for name in order), model_macs(model))


def _leave(
    editor: GraphEditor,
    layer: ConvLayer,
    weight: FloatArray,
    how: _Storage,
    levels: QuantizedWeight | None,
) -> str:
    """Keep the Conv node; a pruned one gets its mask applied, a quantized one its levels."""
    pruned = how.keep is not None and not how.keep.all()
    note = ", its pruned weights are zeros" if pruned else ""
    mask = np.ones((), dtype=np.bool_)
    if how.keep is not None and pruned:
        mask = group_mask_to_weight_mask(how.keep, weight.shape, layer.group, how.simd_group)
    node = editor.node(layer.name)
    if levels is not None:
        kept = np.where(mask, levels.levels, np.int8(0))
        insert_quantized(editor, node, replace(levels, levels=kept))
        return f"{note}, its weights are quantized"
    if pruned:
        zeroed = np.where(mask, weight, np.float32(0)).astype(node.inputs[1].dtype)
        node.inputs[1] = editor.add_constant(f"{layer.name}.masked", zeroed)
    return note


def _replace(
    editor: GraphEditor,
    layer: ConvLayer,
    weight: FloatArray,
    how: _Storage,
    levels: QuantizedWeight | None,
) -> LayerRewrite:
    """Put the sparse op in place of the Conv and of all that fuses into it."""
    conv = editor.node(layer.name)
    try:
        if levels is None:
            stored = store_plain(layer, weight, how.simd_group, how.keep)
        else:
            stored = store_packed(layer, levels, how.simd_group, how.keep)
    except AlcsError as error:
        raise ModelError(f"layer '{layer.name}': {error}") from error
    epilogue = match_epilogue(editor, conv)
    bias = conv.constant(2)
    if bias is None:
        bias = np.zeros(layer.out_channels, np.float32)
    inputs = [
        read_as_float32(editor, conv.inputs[0]),
        *(editor.add_constant(f"{layer.name}.{n}", a) for n, a in stored.inputs.items()),
        editor.add_constant(f"{layer.name}.bias", bias.astype(np.float32, copy=False)),
    ]
    if epilogue.residual is not None:
        inputs.append(read_as_float32(editor, epilogue.residual))
    for node in (conv, *epilogue.absorbed):
        editor.remove(node)
    output = write_from_float32(editor, epilogue.output)
    op_type = stored.op if epilogue.residual is None else stored.residual_op
    attributes: dict[str, AttributeValue] = {
        **_geometry(layer, stored.simd_group),
        **stored.attributes,
        **asdict(epilogue.activation),
    }
    editor.add_node(layer.name, op_type, inputs, [output], attributes, OP_DOMAIN)
    return LayerRewrite(
        layer=layer.name,
        op=op_type,
        simd_group=stored.simd_group,
        groups=layer.group_count(stored.simd_group),
        stored_groups=stored.groups,
        macs=layer.macs,
        fused=epilogue.fused,
        unfused=epilogue.unfused,
    )


def _geometry(layer: ConvLayer, simd_group: int) -> dict[str, AttributeValue]:
    return {
        "out_channels": layer.out_channels,
        "in_channels": layer.in_channels,
        "simd_group": simd_group,
        "group": layer.group,
        "kernel_shape": layer.kernel_shape,
        "strides": layer.strides,
        "pads": layer.pads,
        "dilations": layer.dilations,
    }
