"""An inspection as tables: first what matters most, then the rows of the view."""

from __future__ import annotations

from collections.abc import Sequence

from alcs_onnx.pipeline.inspect import (
    CouplingFacts,
    Inspection,
    LatencyFacts,
    LayerFacts,
    ModelFacts,
    NodeFacts,
    SparsityFacts,
    TensorFacts,
)
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import (
    LEAST_MS,
    bytes_text,
    count_text,
    counted,
    describe_machine,
    ms,
    new_table,
    percent,
    rest_text,
    shape_text,
)
from alcs_onnx.report.long_tables import first, say_rest


def print_inspection(inspection: Inspection, *, view: str, top: int = 20) -> None:
    """The summary of the model and the tables of `view`; of long ones `top` rows, 0 for all."""
    _print_summary(inspection.model)
    if view == "coupling":
        _print_coupling(inspection.coupling, top)
    elif view == "sparsity" and inspection.sparsity is not None:
        _print_sparsity(inspection.sparsity, top)
    elif view == "latency" and inspection.latency is not None:
        _print_latency(inspection.model, inspection.latency, top)
    else:
        _print_layers(inspection.model, top)


def _tensors(tensors: Sequence[TensorFacts]) -> str:
    return ", ".join(f"{x.name} {x.dtype} [{shape_text(x.shape)}]" for x in tensors) or "none"


def _percent(share: float) -> str:
    """As in columns that have the sign in their title."""
    return percent(share).removesuffix(" %")


def _print_summary(model: ModelFacts) -> None:
    opsets = ", ".join(f"{domain} {version}" for domain, version in model.opsets.items())
    by = f", by {model.producer}" if model.producer else ""
    say(f"{model.file}: {bytes_text(model.file_bytes)}, IR {model.ir_version}, opset {opsets}{by}")
    say(f"in: {_tensors(model.inputs)} | out: {_tensors(model.outputs)}")
    least, unknown = "", ""
    if model.unknown_macs:
        least, unknown = "at least ", f", {counted(model.unknown_macs, 'node')} unknown"
    say(
        f"{least}{count_text(model.macs)} multiply-accumulates "
        f"({_kept(model.kept_macs, model.macs)}{unknown}) | "
        f"{count_text(model.parameters)} parameters "
        f"({_kept(model.kept_parameters, model.parameters)}) | "
        f"weights {bytes_text(model.weight_bytes)}"
    )
    operators = "  ".join(f"{name} {count}" for name, count in model.operators.items())
    say(f"{counted(len(model.nodes), 'node')}: {operators or 'none'}")
    if model.optimized:
        say("optimized: the file holds operators of alcs-onnx")
    if model.problem:
        say(f"cannot be optimized: {model.problem}")


def _kept(kept: int, whole: int) -> str:
    return f"{percent(kept / whole if whole else 1.0)} kept"


def _print_layers(model: ModelFacts, top: int) -> None:
    """The heaviest nodes, and what would become of them."""
    heavy = sorted(model.nodes, key=lambda n: (-(n.macs or 0), -n.parameters))
    heavy = [node for node in heavy if node.macs or node.parameters or node.macs is None]
    layers = {layer.node: layer for layer in model.layers}
    done = "is" if model.optimized else "would become"
    table = new_table(
        f"Heaviest nodes: {first(top, len(heavy))} of {len(heavy)} with weights or MACs",
        *("node", "operator", "weights", "output", ">MACs", ">%", ">params", done, "why"),
        optional=("output", "params", "operator", "weights"),
    )
    for node in heavy[: first(top, len(heavy))]:
        fate, why = _fate(layers.get(node.name), model.optimized)
        # Without layers nothing is decided; else what is no layer stays what it is.
        fate = fate or (node.op if model.layers else "-")
        table.add_row(
            *(node.name, node.op),
            "" if node.weight_shape is None else shape_text(node.weight_shape),
            _output(node),
            "?" if node.macs is None else count_text(node.macs),
            "-" if node.macs is None else _percent(node.macs / model.macs if model.macs else 0.0),
            *(count_text(node.parameters), fate, why),
        )
    out.print(table)
    say_rest(len(heavy), top, "node")
    if not model.layers:
        return
    prunable = sum(layer.prunable for layer in model.layers)
    rest = "; the others stay dense:" if prunable < len(model.layers) else ""
    say(f"{counted(len(model.layers), 'layer')}, {prunable} of them prunable{rest}")
    reasons: dict[str, int] = {}
    for layer in model.layers:
        if not layer.prunable:
            reasons[layer.reason] = reasons.get(layer.reason, 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        say(f"  {count} x {reason}")


def _output(node: NodeFacts) -> str:
    return shape_text(node.output_shapes[0]) if node.output_shapes else ""


def _fate(layer: LayerFacts | None, optimized: bool) -> tuple[str, str]:
    """What a layer becomes, or is, and why it stays dense or is left alone."""
    if layer is None:
        return "", ""
    size = f" g={layer.simd_group}" if layer.simd_group else ""
    fused = "".join(f" +{name}" for name in layer.fused)
    told = layer.op_reason if optimized or not layer.simd_group else ""
    reasons = dict.fromkeys(reason for reason in (told, layer.reason) if reason)
    return f"{layer.op}{size}{fused}", "; ".join(reasons)


def _print_coupling(coupling: CouplingFacts | None, top: int) -> None:
    if coupling is None:
        say("the channel groups are not known: they need a model that can be optimized")
        return
    groups = sorted(coupling.groups, key=lambda g: (bool(g.frozen), -g.parameters))
    mixed = any(group.mixed_by for group in groups)
    table = new_table(
        f"Channel groups: {first(top, len(groups))} of {len(groups)}",
        *("group", ">channels", ">params", ">nodes", "layers"),
        *(["mixed by"] if mixed else []),
        "frozen because",
        optional=("params", "nodes"),
    )
    for group in groups[: first(top, len(groups))]:
        layers = list(dict.fromkeys(m.node for m in group.members if m.role != "vector"))
        more = f", ... {len(layers) - 4} more" if len(layers) > 4 else ""
        table.add_row(
            *(group.name, str(group.channels), count_text(group.parameters)),
            str(len(group.nodes)),
            ", ".join(layers[:4]) + more,
            *([", ".join(group.mixed_by)] if mixed else []),
            group.frozen,
        )
    out.print(table)
    say_rest(len(groups), top, "group")
    say(
        f"{coupling.prunable_channels} of {coupling.channels} channels can be removed, in "
        f"{coupling.prunable_groups} of {len(groups)} groups"
    )


#: What the groups of a structure are, where its name does not say it.
_GROUPS = {"unstructured": "weight", "shape": "column"}


def _print_sparsity(sparsity: SparsityFacts, top: int) -> None:
    names = list(sparsity.zeros)
    layers = sorted(sparsity.layers, key=lambda layer: -layer.weights)
    stored = any(layer.stored is not None for layer in layers)
    table = new_table(
        f"Zeros in % of groups: {first(top, len(layers))} of {counted(len(layers), 'layer')}",
        *("layer", "weights", ">g"),
        *(f">{_GROUPS.get(name, name)}" for name in names),
        *([">stored"] if stored else []),
        *(">bits", ">bytes"),
        optional=("weights", *([] if stored else ["bits"]), "g"),
    )
    for layer in layers[: first(top, len(layers))]:
        table.add_row(
            *(layer.layer, shape_text(layer.weight_shape), str(layer.simd_group)),
            *(_percent(layer.zeros[name]) for name in names),
            *(["-" if layer.stored is None else _percent(layer.stored)] if stored else []),
            str(layer.bits),
            bytes_text(layer.stored_bytes),
        )
    table.add_section()
    table.add_row(
        *("all", "", ""),
        *(_percent(sparsity.zeros[name]) for name in names),
        *([""] if stored else []),
        "",
        bytes_text(sum(layer.stored_bytes for layer in layers)),
    )
    out.print(table)
    say_rest(len(layers), top, "layer")
    say(f"{sparsity.nonzero:,} of {sparsity.weights:,} weights are not zero")


def _print_latency(model: ModelFacts, latency: LatencyFacts, top: int) -> None:
    timing = latency.timing
    say(
        f"median {ms(timing.median)} ms, P90 {ms(timing.p90)} ms, P99 {ms(timing.p99)} ms, "
        f"{timing.runs} runs"
    )
    say(describe_machine(latency.machine))
    operators = {node.name: node for node in model.nodes}
    ran = sorted((n for n in latency.nodes if n.ran_as), key=lambda n: -n.ms)
    seen = [node for node in ran if node.ms >= LEAST_MS or not top]
    fused: dict[str, list[str]] = {}
    for node in latency.nodes:
        if node.into:
            fused.setdefault(node.into, []).append(operators[node.node].op)
    table = new_table(
        f"Slowest nodes: {first(top, len(seen))} of {len(ran)} that ran",
        *("node", "operator", "ran as", ">ms", ">% of all", ">GMAC/s", "with"),
        optional=("with", "operator"),
    )
    for node in seen[: first(top, len(seen))]:
        known = operators.get(node.node)
        macs = (known.kept_macs or 0) if known else 0
        table.add_row(
            node.node or "(the runtime's own)",
            known.op if known else "",
            node.ran_as,
            *(ms(node.ms), _percent(node.share)),
            f"{macs / node.ms / 1e6:.1f}" if macs and node.ms > 0 else "-",
            "+".join(fused.get(node.node, ())),
        )
    out.print(table)
    say_rest(len(seen), top, "node")
    if len(seen) < len(ran):
        quick = sum(node.ms for node in ran[len(seen) :])
        left = counted(len(ran) - len(seen), "node")
        say(f"{left} below {LEAST_MS:g} ms, together {ms(quick)} ms (--top 0)")
    folded = sum(not n.ran_as and not n.into for n in latency.nodes)
    rest, time = rest_text(latency.rest_ms, latency.overhead_ms)
    say(
        f"{rest}: {time} | nodes fused into others: "
        f"{sum(bool(n.into) for n in latency.nodes)}, folded away: {folded}"
    )
    if latency.curves:
        _print_curves(latency, top)
    for warning in latency.warnings:
        say(f"warning: {warning}")


def _print_curves(latency: LatencyFacts, top: int) -> None:
    curves = sorted(latency.curves, key=lambda curve: -curve.times_ms[-1])
    table = new_table(
        f"Time of each layer in ms by density ({latency.structure}, groups of "
        f"{latency.simd_group}): {first(top, len(curves))} of {len(curves)}",
        *("layer", ">0", ">0.25", ">0.5", ">0.75", ">1", ">runtime's Conv", "left alone"),
    )
    for curve in curves[: first(top, len(curves))]:
        table.add_row(
            curve.layer,
            *(ms(_at(density, curve.densities, curve.times_ms)) for density in _SHOWN),
            *(ms(curve.conv_ms), curve.left_alone),
        )
    out.print(table)
    say_rest(len(curves), top, "layer")


#: Densities of the columns; the JSON and HTML forms have all eleven points.
_SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0)


def _at(density: float, densities: Sequence[float], times: Sequence[float]) -> float:
    """The piece-wise linear curve at `density`."""
    for index in range(1, len(densities)):
        if density <= densities[index]:
            low, high = densities[index - 1], densities[index]
            share = (density - low) / (high - low)
            return times[index - 1] + share * (times[index] - times[index - 1])
    return times[-1]
