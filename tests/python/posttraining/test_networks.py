"""Networks run stage by stage, looked at layer by layer, and refitted in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import undecided_net

from alcs_onnx import ort
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, free_batch, load_model, loadable, part, stages
from alcs_onnx.posttraining import LevelStore, largest, measure_levels, own_layers, refit_in_order
from alcs_onnx.posttraining.divergence import divergence
from alcs_onnx.posttraining.layers import fully_connected
from alcs_onnx.posttraining.levels import outputs_of
from alcs_onnx.posttraining.stages import Stages
from alcs_onnx.posttraining.tensors import Tensors
from alcs_onnx.posttraining.walk import Walk
from alcs_onnx.structures import get_structure

Rng = np.random.Generator
SIMD = get_structure("simd", 4)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, list[dict[str, np.ndarray]]]:
    """A network for several samples at once, and chunks of 16."""
    file, images = undecided_net(tmp_path_factory.mktemp("net"))
    with np.load(images) as arrays:
        x = arrays["x_train"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    model = free_batch(load_model(file)).model
    return model, [{"x": x[i : i + 16]} for i in range(0, len(x), 16)]


def expected(model: Model, fed) -> list[np.ndarray]:
    return [outputs[0] for outputs in outputs_of(model, fed)]


@pytest.mark.parametrize("memory", [0, 20_000, 1 << 30])
def test_stages_one_after_the_other_are_the_whole(
    network, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether tensors are kept at every layer, in files at some, or computed anew."""
    model, fed = network
    monkeypatch.setattr("alcs_onnx.posttraining.walk.Tensors", lambda: Tensors(memory))
    cut = Stages(model, [layer.name for layer in own_layers(model)])
    assert sum(map(len, cut.nodes)) == len(model.nodes)
    walk = Walk.begin(cut, lambda: fed)
    places = set()
    for index in range(len(cut)):
        (name, *_) = cut.nodes[index][-1].outputs
        assert all(np.isfinite(array).all() for (array,) in walk.each(index, name))
        walk.move_on(index)
        places.add(walk.kept)
    assert len(places) == (len(cut) if memory == 1 << 30 else len(places))
    assert len(places) < len(cut) or memory
    found = [array for (array,) in walk.each(len(cut) - 1, "logits")]
    for got, wanted in zip(found, expected(model, fed), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    if walk.kept == len(cut) - 1:
        with pytest.raises(KeyError):
            walk.tensors.get("stem.relu", 0)


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_changed_weights_are_in_all_that_follows(
    network, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, fed = network
    monkeypatch.setattr("alcs_onnx.posttraining.walk.Tensors", lambda: Tensors(memory))
    cut = Stages(model, [layer.name for layer in own_layers(model)])
    walk = Walk.begin(cut, lambda: fed)
    changed = {"a.w": 2 * model.initializers["a.w"], "d.b": model.initializers["d.b"] + 1}
    for index in range(len(cut)):
        if cut.layer(index) in ("a", "d"):
            name = {"a": "a.w", "d": "d.b"}[str(cut.layer(index))]
            walk.change({name: changed[name]})
        walk.move_on(index)
    found = [array for (array,) in walk.each(len(cut) - 1, "logits")]
    for got, wanted in zip(found, expected(model.with_initializers(changed), fed), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_no_pictures(network) -> None:
    model, _ = network
    with pytest.raises(DataError, match="no pictures to refit with"):
        Walk.begin(Stages(model, ["c"]), list)


def test_the_rest_of_a_network_goes_on_from_a_layer(network) -> None:
    model, fed = network
    cut = Stages(model, ["c"])
    walk = Walk.begin(cut, lambda: fed[:1])
    index = next(i for i in range(len(cut)) if cut.layer(i) == "c")
    rest = cut.rest(index)
    assert {info.name for info in rest.inputs} == set(cut.live(index))
    session = ort.create_session(loadable(rest), library=False)
    outputs = ort.run(session, walk.values(index, tuple(x.name for x in rest.inputs), 0))
    (wanted,) = expected(model, fed[:1])
    np.testing.assert_allclose(outputs["logits"], wanted, rtol=1e-4, atol=1e-5)


def test_nodes_apart_are_by_themselves(network) -> None:
    model, _ = network
    cut = stages(model, {"a", "b"})
    assert [node.name for nodes in cut for node in nodes] == [node.name for node in model.nodes]
    assert all(len(nodes) == 1 for nodes in cut if nodes[0].name in {"a", "b"})
    assert {info.name for info in part(model, cut[0]).inputs} == {"x"}


def test_tensors_beyond_the_bound_lie_in_files(rng: Rng) -> None:
    arrays = {(name, i): rng.random((4, 5), np.float32) for name in "ab" for i in range(3)}
    tensors = Tensors(memory=3 * 80)
    for (name, chunk), array in arrays.items():
        tensors.put(name, chunk, array)
    for (name, chunk), array in arrays.items():
        np.testing.assert_array_equal(tensors.get(name, chunk), array)
    tensors.drop("a")
    with pytest.raises(KeyError):
        tensors.get("a", 0)
    np.testing.assert_array_equal(tensors.get("b", 2), arrays["b", 2])


def test_divergence(rng: Rng) -> None:
    scores = rng.standard_normal((6, 5)).astype(np.float32)
    exp = np.exp(scores)
    shares = exp / exp.sum(axis=1, keepdims=True)
    other = scores + 0.3 * rng.standard_normal((6, 5)).astype(np.float32)
    assert divergence([scores], [scores + 3]) == pytest.approx(0, abs=1e-6)
    exp = np.exp(other)
    expected = np.mean(np.sum(shares * np.log(shares / (exp / exp.sum(1, keepdims=True))), axis=1))
    assert divergence([scores], [other]) == pytest.approx(expected, rel=1e-4)
    assert divergence([shares], [shares]) == pytest.approx(0, abs=1e-6)
    # Shares that add up to a little more than 1, as float32 softmax gives them.
    assert divergence([shares], [shares * np.float32(1.0001)]) == pytest.approx(0, abs=1e-12)
    assert divergence([shares], [shares * np.float32(1.0001)]) >= 0
    maps = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    assert divergence([maps, maps], [maps, 1.1 * maps]) == pytest.approx(0.005, rel=1e-3)


def test_levels_lose_more_with_fewer_groups(network) -> None:
    model, fed = network
    layers = {layer.name: SIMD for layer in own_layers(model)}
    levels = measure_levels(model, layers, lambda: fed, judged=2, densities=(0.6, 0.3, 0.1))
    assert set(levels) == set(layers)
    for layer in own_layers(model):
        found = levels[layer.name]
        assert found.counts[0] == np.prod(SIMD.mask_shape(layer))
        assert (np.diff(found.counts) < 0).all()
        assert found.errors[0] == found.losses[0] == 0
        assert found.errors[1] < found.errors[-1] <= 1
        assert found.losses[1] < found.losses[-1]
        for count in (1, 5, int(found.counts[0])):
            assert found.mask(count).sum() == count
        assert (found.mask(8) >= found.mask(4)).all()


def test_refitting_in_order_brings_the_network_back(network) -> None:
    model, fed = network
    half = {x.name: int(0.4 * np.prod(SIMD.mask_shape(x))) for x in own_layers(model)}
    layers = {layer.name: layer for layer in own_layers(model)}
    supports = {name: largest(SIMD, layers[name], count) for name, count in half.items()}
    fit, judged = fed[:4], fed[4:]
    found = refit_in_order(model, supports, lambda: fit)
    for name, support in found.supports.items():
        layer = layers[name]
        assert SIMD.group_mask(support, layer).sum() == half[name]
        assert not found.arrays[layer.weight][~support].any()
    wanted = [x for (x,) in outputs_of(model, judged)]

    def lost(arrays) -> float:
        got = [x for (x,) in outputs_of(model.with_initializers(arrays), judged)]
        return float(np.linalg.norm(np.concatenate(got) - np.concatenate(wanted)))

    magnitudes = {}
    for name, layer in layers.items():
        dense = model.initializers[layer.weight]
        keep = supports[name](dense.reshape(layer.group, layer.rows_per_group, -1))
        magnitudes[layer.weight] = dense * keep.reshape(dense.shape)
    assert lost(found.arrays) < 0.5 * lost(magnitudes)


def test_layers_that_lose_nothing_are_refitted_behind_those_that_do(network) -> None:
    model, fed = network
    (layer,) = (x for x in own_layers(model) if x.name == "a")
    found = refit_in_order(model, {"a": largest(SIMD, layer, 40)}, lambda: fed)
    assert set(found.supports) == {"a"}
    assert "stem.w" not in found.arrays
    assert {"a.w", "b.w", "c.w", "d.w", "s.w"} <= set(found.arrays)


@pytest.mark.parametrize("stored", ["Gemm", "Gemm transB", "MatMul"])
def test_a_fully_connected_layer_makes_up_for_what_comes_before(
    network, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, fed = as_stored(network[0], stored), network[1]
    (layer,) = (x for x in own_layers(model) if x.name == "d")
    fit, judged = fed[:4], fed[4:]
    wanted = np.concatenate(expected(model, judged))

    def lost() -> tuple[dict[str, np.ndarray], float]:
        found = refit_in_order(model, {"d": largest(SIMD, layer, 20)}, lambda: fit)
        got = np.concatenate(expected(model.with_initializers(found.arrays), judged))
        return dict(found.arrays), float(np.linalg.norm(got - wanted))

    arrays, loss = lost()
    assert arrays["fc.w"].shape == model.initializers["fc.w"].shape
    assert ("fc.b" in arrays) == (stored != "MatMul")
    monkeypatch.setattr("alcs_onnx.posttraining.layers.fully_connected", lambda model: ())
    without, more = lost()
    assert "fc.w" not in without
    assert loss < 0.9 * more


@pytest.mark.parametrize("attribute", ["alpha", "beta"])
def test_a_scaled_fully_connected_layer_stays_as_it_is(network, attribute: str) -> None:
    model = with_last(network[0], attributes={attribute: 0.5})
    assert [x.name for x in fully_connected(network[0])] == ["logits"]
    assert fully_connected(model) == ()


def with_last(model: Model, **changes: Any) -> Model:
    """`model` with another last node."""
    *others, last = model.nodes
    return replace(model, nodes=(*others, replace(last, **changes)))


def as_stored(model: Model, stored: str) -> Model:
    """The same network but for its last layer's bias, or how its weights are stored."""
    if stored == "MatMul":
        return with_last(model, op_type="MatMul", inputs=model.nodes[-1].inputs[:2])
    if stored == "Gemm transB":
        turned = with_last(model, attributes={**model.nodes[-1].attributes, "transB": 1})
        weight = model.initializers["fc.w"]
        arrays = {**model.initializers, "fc.w": np.ascontiguousarray(weight.T)}
        return replace(turned, initializers=arrays)
    return model


def test_layers_alone_know_nothing_of_each_other(network) -> None:
    model, fed = network
    layers = {layer.name: layer for layer in own_layers(model)}
    half = {
        name: largest(SIMD, layers[name], int(np.prod(SIMD.mask_shape(layers[name]))) // 2)
        for name in ("a", "c")
    }
    both = refit_in_order(model, half, lambda: fed, alone=True)
    only = refit_in_order(model, {"c": half["c"]}, lambda: fed, alone=True)
    assert both.errors.keys() == {"a", "c"}
    assert only.errors.keys() == {"c"}
    np.testing.assert_array_equal(both.arrays["c.w"], only.arrays["c.w"])
    behind = refit_in_order(model, half, lambda: fed)
    assert not np.array_equal(both.arrays["c.w"], behind.arrays["c.w"])


def test_the_same_pictures_give_the_same_weights(network) -> None:
    model, fed = network
    (layer,) = (x for x in own_layers(model) if x.name == "a")
    one, other = (
        refit_in_order(model, {"a": largest(SIMD, layer, 40)}, lambda: fed) for _ in range(2)
    )
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


def test_levels_that_were_kept_are_not_looked_at_again(
    network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, fed = network
    store = LevelStore.of(tmp_path, model, lambda: fed, ("simd", 4))
    layers = dict.fromkeys(("a", "b"), SIMD)
    some = measure_levels(model, {"a": SIMD}, lambda: fed, densities=(0.5,), store=store)
    both = measure_levels(model, layers, lambda: fed, densities=(0.5, 0.2), store=store)
    assert both["a"].losses == some["a"].losses
    assert len(both["b"].losses) == 3
    monkeypatch.setattr(Walk, "begin", None)
    again = measure_levels(model, layers, lambda: fed, store=store)
    np.testing.assert_array_equal(again["b"].ranks, both["b"].ranks)
    other = LevelStore.of(tmp_path, model, lambda: fed[1:], ("simd", 4))
    assert other.load("a") is None


def test_a_damaged_file_is_as_good_as_none(network, tmp_path: Path) -> None:
    model, fed = network
    store = LevelStore.of(tmp_path, model, lambda: fed, ())
    measure_levels(model, {"a": SIMD}, lambda: fed[:1], densities=(0.5,), store=store)
    (file,) = tmp_path.glob("*/*.npz")
    for damage in (b"", b"nonsense", file.read_bytes()[:200]):
        file.write_bytes(damage)
        assert store.load("a") is None


def test_inputs_that_are_always_zero_are_told(network) -> None:
    model, fed = network
    black = [{"x": feeds["x"] * np.array([1, 1, 0], np.float32)[:, None, None]} for feeds in fed]
    (layer,) = (x for x in own_layers(model) if x.name == "stem")
    found = refit_in_order(model, {"stem": largest(SIMD, layer, 60)}, lambda: black)
    (note,) = (text for text in found.notes if "zero on all pictures" in text)
    assert note.startswith("layer 'stem' ")
    before, after = found.errors["stem"]
    assert after < before
