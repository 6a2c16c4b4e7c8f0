"""The Model value, the editor and saving."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector

from alcs_onnx.errors import ModelError, OutputError
from alcs_onnx.graph import (
    GraphEditor,
    Model,
    Node,
    conv_layer,
    conv_layers,
    load_model,
    model_macs,
    save_model,
    serialize,
)
from alcs_onnx.graph import save as save_module

Rng = np.random.Generator


@pytest.fixture
def loaded(tmp_path: Path, rng: Rng) -> Model:
    nodes = [
        op("Conv", "x w b", "a", "first", pads=[1, 1, 1, 1]),
        op("Relu", "a", "r", "relu"),
        op("Conv", "r v", "c", "second", group=2, strides=[2, 1]),
        op("Flatten", "c", "f"),
        op("Gemm", "f g", "y", "head"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "b": vector(rng, 4),
               "v": conv_weight(rng, 6, 2, 3, 3), "g": conv_weight(rng, 108, 5)}  # fmt: skip
    return load_model(store(model(nodes, weights), tmp_path))


def test_queries(loaded: Model) -> None:
    first, second = conv_layers(loaded)
    assert (first.name, first.weight, first.bias) == ("first", "w", "b")
    assert (second.in_channels, second.group, second.strides) == (4, 2, (2, 1))
    assert second.output_shape == (1, 6, 3, 6)
    assert loaded.producer("r").name == "relu"
    assert loaded.producer("x") is None
    assert [node.name for node in loaded.consumers("r")] == ["second"]
    assert loaded.is_output("y")
    assert not loaded.is_output("f")
    assert loaded.dtypes["w"] == np.float32
    assert conv_layer(loaded, "second") == second
    with pytest.raises(KeyError):
        conv_layer(loaded, "relu")


def test_macs_are_counted_by_hand(loaded: Model) -> None:
    assert model_macs(loaded) == 4 * 64 * 27 + 6 * 18 * 18 + 108 * 5
    assert conv_layer(loaded, "first").macs == 4 * 64 * 27


def test_digest_follows_content(loaded: Model, tmp_path: Path) -> None:
    save_model(loaded, tmp_path / "copy.onnx")
    copy = load_model(tmp_path / "copy.onnx")
    assert load_model(tmp_path / "copy.onnx").digest == copy.digest
    changed = loaded.initializers["w"].copy()
    changed[0, 0, 0, 0] += 1
    assert loaded.with_initializers({"w": changed}).digest != loaded.digest
    assert loaded.with_initializers({}).digest == loaded.digest
    assert load_model(tmp_path / "copy.onnx", {"x": (1, 3, 8, 8)}).digest == copy.digest
    node = loaded.nodes[0]
    other = replace(node, attributes={**node.attributes, "pads": (1, 1, 1, 0)})
    assert replace(loaded, nodes=(other, *loaded.nodes[1:])).digest != loaded.digest


def test_with_initializers_shares_everything_else(loaded: Model) -> None:
    zeros = np.zeros(loaded.initializers["w"].shape)
    changed = loaded.with_initializers({"w": zeros})
    assert changed.initializers["w"].dtype == np.float32
    assert not changed.initializers["w"].any()
    assert changed.initializers["v"] is loaded.initializers["v"]
    assert changed.nodes is loaded.nodes
    assert loaded.initializers["w"].any()
    with pytest.raises(ModelError, match=r"'w' has shape \[4, 3, 3, 3\]"):
        loaded.with_initializers({"w": zeros[:2]})
    with pytest.raises(ModelError, match="no initializer 'nope'"):
        loaded.with_initializers({"nope": zeros})


def test_editor_works_on_a_copy(loaded: Model, rng: Rng) -> None:
    editor = GraphEditor(loaded)
    editor.remove(editor.node("relu"))
    bound = editor.add_constant("bound", np.array(0.5, np.float32))
    ends = editor.tensor("a"), editor.tensor("r")
    editor.add_node("clip", "Clip", [ends[0], None, bound], [ends[1]])
    built = editor.build()
    assert [node.name for node in built.nodes[:3]] == ["first", "clip", "second"]
    assert [node.name for node in loaded.nodes[:2]] == ["first", "relu"]
    assert "bound" not in loaded.initializers
    x = feed((1, 3, 8, 8), rng)
    assert np.isfinite(run(serialize(built), x)[0]).all()


def test_editor_drops_unused_initializers_and_keeps_names_unique(loaded: Model) -> None:
    editor = GraphEditor(loaded)
    assert editor.add_constant("w", np.zeros(3, np.float32)).name == "w_1"
    assert editor.add_constant("r", np.zeros(3, np.float32)).name == "r_1"
    assert set(editor.build().initializers) == set(loaded.initializers)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Node("relu", "Relu", ("a",), ("z",)), "already has a node 'relu'"),
        (Node("new", "Relu", ("a",), ("r",)), "'r' is produced twice"),
        (Node("new", "Relu", ("a",), ("w",)), "'w' is produced twice"),
    ],
)
def test_editor_refuses_collisions(loaded: Model, node: Node, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        GraphEditor(loaded).insert_node(node)


def test_editor_refuses_broken_graphs(loaded: Model) -> None:
    editor = GraphEditor(loaded)
    editor.remove(editor.node("relu"))
    with pytest.raises(ModelError, match=r"'second'.*'r', which nothing produces"):
        editor.build()
    editor.insert_node(Node("loop", "Add", ("a", "c"), ("r",)))
    with pytest.raises(ModelError, match="cycle"):
        editor.build()
    editor = GraphEditor(loaded)
    editor.remove(editor.node("head"))
    with pytest.raises(ModelError, match="graph output 'y'"):
        editor.build()
    editor = GraphEditor(loaded)
    editor.insert_node(Node("odd", "Relu", ("a", "a", "a"), ("z",)))
    with pytest.raises(ModelError, match="not valid ONNX"):
        editor.build()


def test_save_replaces_the_file_and_leaves_nothing_else(loaded: Model, tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    path = place / "m.onnx"
    path.write_bytes(b"old")
    path.chmod(0o640)
    save_model(loaded, path)
    assert path.read_bytes() == serialize(loaded)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(place.iterdir()) == [path]
    fresh = place / "fresh.onnx"
    save_model(loaded, str(fresh))
    assert stat.S_IMODE(fresh.stat().st_mode) & 0o400


def test_save_where_nothing_can_be_written(loaded: Model, tmp_path: Path) -> None:
    for place in (tmp_path / "absent" / "m.onnx", tmp_path, Path("/proc/nothing/m.onnx")):
        with pytest.raises(OutputError, match="cannot write") as caught:
            save_model(loaded, place)
        assert str(place) in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_save_into_a_read_only_folder(loaded: Model, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError):
        save_model(loaded, tmp_path / "m.onnx")


def test_failed_save_keeps_the_old_file(
    loaded: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up while writing."""
    place = tmp_path / "out"
    place.mkdir()
    path = place / "m.onnx"
    path.write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        save_model(loaded, path)
    assert path.read_bytes() == b"old"
    assert list(place.iterdir()) == [path]


def test_an_interrupted_save_keeps_the_model_and_its_external_data(
    loaded: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save_module, "_LIMIT", 1000)
    monkeypatch.setattr("alcs_onnx.graph.proto.SMALL_TENSOR", 50)
    names, place = ["m.onnx", "m.onnx.data"], tmp_path / "out"
    place.mkdir()
    for name in names:
        (place / name).write_text("old")

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(loaded, place / "m.onnx")
    assert sorted(path.name for path in place.iterdir()) == names
    assert [(place / name).read_text() for name in names] == ["old", "old"]


def test_large_models_go_to_external_data(
    loaded: Model, tmp_path: Path, rng: Rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save_module, "_LIMIT", 1000)
    monkeypatch.setattr("alcs_onnx.graph.proto.SMALL_TENSOR", 50)
    place = tmp_path / "out"
    place.mkdir()
    path = place / "m.onnx"
    save_model(loaded, path)
    assert sorted(p.name for p in place.iterdir()) == ["m.onnx", "m.onnx.data"]
    onnx.checker.check_model(str(path))
    x = feed((1, 3, 8, 8), rng)
    again = load_model(path)
    for name, array in loaded.initializers.items():
        np.testing.assert_array_equal(again.initializers[name], array)
    with pytest.raises(ModelError, match="2 GB"):
        serialize(loaded)
    monkeypatch.undo()
    expected = run(serialize(loaded), x)
    assert_same(run(path, x), expected)
