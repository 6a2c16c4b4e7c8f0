"""What the tests of channel coupling share: random choices, and the proof that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import graph_helpers
import numpy as np
import onnx
from zoo.builder import Builder

from alcs_onnx import coupling
from alcs_onnx.graph import GraphEditor, Model, Node, model_macs, serialize
from alcs_onnx.rewrite import masked, shrink
from alcs_onnx.types import ChannelGroup, Shape

Array = np.ndarray
Keep = Mapping[str, Array]


def prunable(analysed: coupling.Coupling) -> list[ChannelGroup]:
    """The groups of which something can be removed."""
    return [g for g in analysed.groups if not g.frozen and g.channels > 1]


def random_keep(
    analysed: coupling.Coupling, rng: np.random.Generator, share: float = 0.3
) -> dict[str, Array]:
    """Drops `share` of the channels of each group at random, at least one, never all."""
    keep = {}
    for group in prunable(analysed):
        count = min(max(1, round(share * group.channels)), group.channels - 1)
        keep[group.name] = np.ones(group.channels, bool)
        keep[group.name][rng.choice(group.channels, count, replace=False)] = False
    return keep


def feeds(model: Model, rng: np.random.Generator) -> dict[str, Array]:
    """Random normal inputs."""
    return {info.name: rng.standard_normal(info.shape).astype(info.dtype) for info in model.inputs}


def run(model: Model, values: Mapping[str, Array]) -> list[Array]:
    """All outputs in ONNX Runtime without the custom-op library.

    Where activations are quantized, the runtime's optimiser quantizes float weights too, by
    steps that depend on the largest of them: there it is left out.
    """
    quantized = any(node.is_op("QuantizeLinear") for node in model.nodes)
    return graph_helpers.run(serialize(model), values, optimise=not quantized)


def assert_close(actual: Iterable[Array], expected: Iterable[Array], what: str) -> None:
    """Finite, of equal shapes, and equal to 1e-4 of the largest value of each output."""
    for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert np.isfinite(e).all(), f"{what}: output {index} is not finite"
        assert a.shape == e.shape, f"{what}: output {index} has {a.shape}, expected {e.shape}"
        error = np.abs(a.astype(np.float64) - e).max(initial=0)
        bound = 1e-4 * np.abs(e).max(initial=0) + 1e-6
        assert error <= bound, f"{what}: output {index} is off by {error:.3g}, above {bound:.3g}"


def assert_well_formed(model: Model, analysed: coupling.Coupling) -> None:
    """Names are unique, indices fit their tensors, no position belongs to two channels."""
    names = [group.name for group in analysed.groups]
    assert len(set(names)) == len(names), "two groups of one name"
    nodes = {node.name for node in model.nodes}
    for group in analysed.groups:
        assert group.channels >= 1, f"{group.name} is empty"
        assert group.frozen == group.frozen.strip(), f"{group.name}: {group.frozen!r}"
        assert analysed.group(group.name) is group
        for slot in group.slots:
            where = f"{group.name}: {slot.tensor} axis {slot.axis}"
            assert slot.role in {"out", "in", "scale", "vector"}, where
            assert slot.node in nodes, where
            assert slot.indices.ndim == 2, where
            assert len(slot.indices) == group.channels, where
            size = model.initializers[slot.tensor].shape[slot.axis]
            assert slot.indices.min() >= 0, where
            assert slot.indices.max() < size, where
            if slot.role != "in" and not group.frozen:
                flat = slot.indices.ravel()
                assert len(np.unique(flat)) == len(flat), f"{where}: a position occurs twice"


def disturbed(model: Model, analysed: coupling.Coupling, keep: Keep) -> Model:
    """The model with the producers of all removed channels changed.

    Everything that makes a removed channel, or works on it alone, gets other values. Where a
    masked model is disturbed, nothing may be seen of it: its consumers ignore the channels. A
    vector that other nodes read, too, stays as it is.
    """
    arrays: dict[str, Array] = {}
    for group in analysed.groups:
        gone = ~np.asarray(keep.get(group.name, np.ones(group.channels, bool)))
        for slot in group.slots:
            array = model.initializers[slot.tensor]
            shared = (slot.tensor, slot.node) in analysed.copies
            if slot.role == "in" or shared or not gone.any() or array.dtype != np.float32:
                continue
            changed = arrays.setdefault(slot.tensor, array.copy())
            place: list[Any] = [slice(None)] * array.ndim
            place[slot.axis] = np.unique(slot.indices[gone])
            changed[tuple(place)] *= 2.5  # positive ones stay so: a variance may be among them
    return model.with_initializers(arrays)


def assert_shrinks(
    model: Model, rng: np.random.Generator, share: float = 0.3, runs: bool = True
) -> tuple[coupling.Coupling, Model]:
    """Prunes random channels and proves the result; returns the analysis and the small model.

    The shrunk model is valid plain ONNX that computes what the dense model computes where its
    consumers ignore the same channels, and what made those channels has no influence there.
    """
    digest = model.digest
    analysed = coupling.analyse(model)
    assert_well_formed(model, analysed)
    keep = random_keep(analysed, rng, share)
    small = shrink(model, analysed, keep)
    dense = masked(model, analysed, keep)
    assert model.digest == digest, "the model was changed in place"
    assert_plain(small, model)
    assert_mask(model, dense, analysed)
    assert_shapes(model, small, analysed, keep)
    if runs:
        values = feeds(model, rng)
        expected = run(dense, values)
        assert_close(run(small, values), expected, "shrunk against masked")
        changed = run(disturbed(dense, analysed, keep), values)
        assert_close(changed, expected, "masked against masked and disturbed")
    return analysed, small


def assert_plain(small: Model, model: Model) -> None:
    """A valid file of no other domains than the model has, with its inputs and outputs."""
    written = serialize(small)
    onnx.checker.check_model(written, full_check=True)
    domains = {node.domain for node in onnx.load_from_string(written).graph.node}
    assert domains <= {node.domain for node in model.nodes}
    assert [(i.name, i.shape) for i in small.inputs] == [(i.name, i.shape) for i in model.inputs]
    assert [(o.name, o.shape) for o in small.outputs] == [(o.name, o.shape) for o in model.outputs]
    assert model_macs(small) <= model_macs(model)


def assert_mask(model: Model, dense: Model, analysed: coupling.Coupling) -> None:
    """Masking keeps all shapes of weights, and the graph but for Gathers around what mixes.

    Where channels lie beside pixels they are laid apart by Reshapes.
    """
    own = {node.name for node in model.nodes}
    assert [n.op_type for n in dense.nodes if n.name in own] == [n.op_type for n in model.nodes]
    added = [node for node in dense.nodes if node.name not in own]
    assert {node.op_type for node in added} <= {"Gather", "Reshape"}
    assert analysed.mixing or not added
    used = {name for node in dense.nodes for name in node.reads}
    for name, array in model.initializers.items():
        assert name not in used or dense.initializers[name].shape == array.shape, name


def assert_shapes(model: Model, small: Model, analysed: coupling.Coupling, keep: Keep) -> None:
    """Every initializer loses exactly the positions that the slots of removed channels name.

    Tensors that the shrunk model no longer has under the same name are not looked at.
    """
    lost: dict[tuple[str, int], set[int]] = {}
    for group in analysed.groups:
        gone = ~np.asarray(keep.get(group.name, np.ones(group.channels, bool)))
        for slot in group.slots:
            if (slot.tensor, slot.node) in analysed.copies:
                continue
            positions = lost.setdefault((slot.tensor, slot.axis), set())
            positions.update(slot.indices[gone].ravel().tolist())
    for (tensor, axis), positions in lost.items():
        found = small.initializers.get(tensor)
        if found is not None:
            before = model.initializers[tensor].shape[axis]
            assert found.shape[axis] == before - len(positions), f"{tensor} axis {axis}"


def conv_share(model: Model, analysed: coupling.Coupling) -> tuple[float, dict[str, str]]:
    """Share of the channels of Conv and ConvTranspose nodes that are prunable, and the reasons.

    The reasons are those of each node with a channel that cannot go. A node of one channel has
    none to lose and does not count.
    """
    reasons: dict[str, str] = {}
    total = free = 0.0
    for node in model.nodes:
        found = _counted_weight(model, node)
        if found is None:
            continue
        tensor, axis, channels = found
        size = model.initializers[tensor].shape[axis]
        owners = [
            (slot.indices.size, group.frozen)
            for group in analysed.groups
            for slot in group.slots
            if (slot.tensor, slot.axis) == (tensor, axis)
        ]
        total += channels
        free += channels * sum(count for count, frozen in owners if not frozen) / size
        if any(frozen for _, frozen in owners) or sum(count for count, _ in owners) < size:
            reasons[node.name] = "; ".join(dict.fromkeys(f for _, f in owners if f))
    return (free / total if total else 1.0), reasons


def _counted_weight(model: Model, node: Node) -> tuple[str, int, int] | None:
    """The initializer with a node's weights, the axis that counts outputs, and their number."""
    if not node.is_op("Conv", "ConvTranspose"):
        return None
    tensor = node.inputs[1]
    source = model.producer(tensor)
    if source is not None and source.is_op("DequantizeLinear"):
        tensor = source.inputs[0]
    shape = model.initializers[tensor].shape
    group = node.int_attribute("group", 1)
    if node.op_type == "Conv":
        axis, channels = 0, shape[0]
    else:
        axis, channels = int(shape[1] > 1), shape[1] * group
    return (tensor, axis, channels) if channels > 1 else None


@dataclass(frozen=True)
class Proved:
    """A model that was pruned with success, and what the analysis says of it."""

    model: Model
    analysed: coupling.Coupling

    def at(self, tensor: str, axis: int = 0, node: str = "") -> list[tuple[str, int]]:
        """The channel of each position of an initializer: name of the group, and number.

        `node` chooses the one that reads it, where several do.
        """
        found: dict[int, tuple[str, int]] = {}
        for group in self.analysed.groups:
            for slot in group.slots:
                if (slot.tensor, slot.axis) == (tensor, axis) and node in ("", slot.node):
                    for channel, places in enumerate(slot.indices):
                        found.update((int(place), (group.name, channel)) for place in places)
        assert sorted(found) == list(range(self.model.initializers[tensor].shape[axis])), tensor
        return [found[place] for place in sorted(found)]

    def role(self, tensor: str, axis: int = 0) -> str:
        """The one role of an initializer's axis."""
        slots = [s for g in self.analysed.groups for s in g.slots]
        (role,) = {s.role for s in slots if (s.tensor, s.axis) == (tensor, axis)}
        return role

    def why(self, tensor: str, axis: int = 0) -> str:
        """Why the channels of an initializer's axis are frozen; empty when they are not."""
        names = dict.fromkeys(name for name, _ in self.at(tensor, axis))
        return "; ".join(dict.fromkeys(self.analysed.group(name).frozen for name in names))

    def mixed(self, group: str) -> tuple[str, ...]:
        """The nodes that take one value of several channels of a group."""
        return self.analysed.group(group).mixed_by

    def free(self) -> dict[str, int]:
        """The groups that can lose channels."""
        return {g.name: g.channels for g in self.analysed.groups if not g.frozen}


#: The fixture `prove`: a builder and the outputs of its graph.
Prove = Callable[..., Proved]


def prove_graph(
    b: Builder, folder: Path, rng: np.random.Generator, *outputs: str, share: float = 0.3
) -> Proved:
    """Prunes what `b` has built at random, and proves the result."""
    model = b.load(folder, *outputs)
    analysed, _ = assert_shrinks(model, rng, share)
    return Proved(model, analysed)


def start(channels: int = 8, seed: int = 0, opset: int = 17) -> tuple[Builder, str]:
    """A builder with a conv called `a` on the input."""
    b = Builder(seed, opset)
    return b, b.conv("a", b.input((1, 3, 8, 8)), 3, channels)


def at_run_time(
    model: Model,
    name: str,
    index: int,
    entries: Sequence[int | tuple[str, int]],
    *,
    known: bool = True,
) -> Model:
    """The model with input `index` of the node `name` computed of sizes.

    Each entry is a number, or the size of a tensor along an axis. Unless `known`, an operator that
    is left to the runtime keeps the values, which come last.
    """
    editor = GraphEditor(model)
    taken = len(model.nodes)

    def compute(
        op_type: str, *inputs: str, shape: tuple[int, ...] = (1,), **attributes: int
    ) -> str:
        node_name = f"computed{taken}.{len(editor.nodes)}"
        node = editor.insert_node(Node(node_name, op_type, inputs, (node_name,), attributes))
        node.outputs[0].shape, node.outputs[0].dtype = shape, np.dtype(np.int64)
        return node_name

    def number(values: Array | list[int]) -> str:
        return editor.add_constant("number", np.asarray(values, np.int64)).name

    parts = []
    for entry in entries:
        if isinstance(entry, int):
            # As numbers of a shape, lest they be constants.
            zero = compute("Shape", model.inputs[0].name, shape=(len(model.inputs[0].shape),))
            zero = compute("Gather", zero, number([0]), axis=0)
            zero = compute("Sub", zero, zero)
            parts.append(compute("Add", zero, number([entry])))
        else:
            tensor, axis = entry
            rank = len(model.shapes[tensor])
            sizes = compute("Shape", tensor, shape=(rank,))
            parts.append(compute("Gather", sizes, number([axis]), axis=0))
    target = compute("Concat", *parts, axis=0, shape=(len(parts),))
    if not known:
        one = editor.add_constant("one", np.ones((), np.float32)).name
        target = compute("Cast", target, to=onnx.TensorProto.INT32, shape=(len(parts),))
        target = compute("DequantizeLinear", target, one, shape=(len(parts),))
        target = compute("Cast", target, to=onnx.TensorProto.INT64, shape=(len(parts),))
    editor.node(name).inputs[index] = editor.tensor(target)
    return editor.snapshot()


def insert(model: Model, nodes: Iterable[tuple[Node, Shape, type]]) -> Model:
    """The model with nodes of one output, each with the shape and type of that."""
    editor = GraphEditor(model)
    for node, shape, dtype in nodes:
        if any(old.name == node.name for old in model.nodes):
            editor.remove(editor.node(node.name))
        computed = editor.insert_node(node).outputs[0]
        computed.shape, computed.dtype = shape, np.dtype(dtype)
    return editor.snapshot()
