"""Every fault of a model file is one line that says what and where, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, run, store
from onnx import TensorProto, helper

from alcs_onnx.errors import AlcsError, ModelError, UnsupportedError
from alcs_onnx.graph import conv_layers, load_model, save_model, serialize, skipped_convs
from alcs_onnx.reporter import NoteKeeper


def simple(shape: Sequence[int | str] = (1, 3, 8, 8), **kwargs: Any) -> onnx.ModelProto:
    weight = conv_weight(np.random.default_rng(0), 4, 3, 3, 3)
    return model([op("Conv", "x w", "y", "conv")], {"w": weight}, shape, **kwargs)


def fails(path: Path, *words: str, kind: type[AlcsError] = ModelError, **kwargs: Any) -> None:
    """Loading raises exactly one line with the path and all the words."""
    with pytest.raises(kind) as caught:
        load_model(path, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message, message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty"]),
        (b"hello, this is a text file\n" * 20, ["not an ONNX file"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)), ["not an ONNX file"]),
        (bytes(range(256)) * 8, ["not an ONNX file"]),
        (b"\x00" * 64, ["not an ONNX file"]),
        (b"\x08\x08", ["no graph"]),
        (b'{"a": 1}', ["not an ONNX file"]),
    ],
)
def test_not_onnx(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "input.onnx"
    path.write_bytes(content)
    fails(path, *words)


def test_random_bytes_never_crash(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "random.onnx"
    for size in range(1, 200, 7):
        path.write_bytes(rng.integers(0, 256, size, np.uint8).tobytes())
        fails(path)


def test_damaged_files_never_crash(tmp_path: Path, rng: np.random.Generator) -> None:
    """Flipped bytes give a model or one of our errors, nothing else."""
    good = np.frombuffer(simple().SerializeToString(), np.uint8)
    path = tmp_path / "damaged.onnx"
    messages: list[str] = []
    for _ in range(150):
        bad = good.copy()
        bad[rng.integers(0, len(bad), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(bad.tobytes())
        try:
            load_model(path)
        except AlcsError as error:
            messages.append(str(error))
    assert messages
    assert all("\n" not in message for message in messages)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    data = simple().SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    fails(path, "truncated")


def test_directory_and_missing_file(tmp_path: Path) -> None:
    fails(tmp_path, "directory")
    fails(tmp_path / "absent.onnx", "does not exist")


def test_no_conv(tmp_path: Path) -> None:
    path = store(model([op("Relu", "x", "y")], {}), tmp_path)
    fails(path, "no Conv node")


def test_dynamic_dimension_names_input_and_flag(tmp_path: Path) -> None:
    path = store(simple(("N", 3, "H", "W")), tmp_path)
    fails(path, "input 'x'", "[N, 3, H, W]", "--input-shapes x:1,3,224,224")
    loaded = load_model(path, {"x": (2, 3, 9, 9)})
    assert loaded.shapes["y"] == (2, 4, 7, 7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"z": (1, 3, 8, 8)}, ["no input 'z'", "'x'"]),
        ({"x": (1, 3, 8)}, ["4 dimensions, not 3"]),
        ({"x": (1, 4, 8, 8)}, ["dimension 1 of input 'x' is fixed to 3"]),
        ({"x": (1, 3, 0, 8)}, ["at least 1"]),
    ],
)
def test_wrong_input_shapes(
    tmp_path: Path, given: dict[str, tuple[int, ...]], words: list[str]
) -> None:
    fails(store(simple(("N", 3, "H", "W")), tmp_path), *words, input_shapes=given)


def test_input_too_small_for_the_network(tmp_path: Path) -> None:
    path = store(simple(("N", 3, "H", "W")), tmp_path)
    fails(path, "shape inference", input_shapes={"x": (1, 3, 1, 1)})


def test_input_without_shape(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    path = store(proto, tmp_path)
    fails(path, "input 'x' has no shape", "--input-shapes x:")
    assert load_model(path, {"x": (1, 3, 8, 8)}).shapes["y"] == (1, 4, 6, 6)


def test_missing_and_truncated_external_data(tmp_path: Path) -> None:
    proto = simple()
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin",
              size_threshold=0)  # fmt: skip
    assert conv_layers(load_model(tmp_path / "m.onnx"))
    data = (tmp_path / "m.bin").read_bytes()
    (tmp_path / "m.bin").write_bytes(data[:-8])
    fails(tmp_path / "m.onnx", "'m.bin'", "initializer 'w'")
    (tmp_path / "m.bin").unlink()
    fails(tmp_path / "m.onnx", "'m.bin'", "initializer 'w'", "missing")


def test_unknown_operator_of_the_default_domain(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.node.extend([op("Frobnicate", "y", "z", "odd")])
    fails(store(proto, tmp_path), "'odd'", "Frobnicate", "opset 17")


def test_operator_newer_than_the_opset(tmp_path: Path) -> None:
    proto = simple(opset=13)
    proto.graph.node.extend([op("Mish", "y", "z", "m")])
    fails(store(proto, tmp_path), "Mish", "opset 13")


def test_domain_that_is_not_imported(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.node.extend([op("Odd", "y", "z", "odd", domain="com.example")])
    fails(store(proto, tmp_path), "'odd'", "com.example")


def test_custom_domain_is_kept_and_convs_behind_are_skipped(tmp_path: Path) -> None:
    weight = conv_weight(np.random.default_rng(0), 3, 3, 3, 3)
    nodes = [
        op("Conv", "x w", "a", "first"),
        op("Odd", "a", "b", "odd", domain="com.example", power=2),
        op("Conv", "b w", "y", "second"),
    ]
    proto = model(nodes, {"w": weight}, domains={"com.example": 1})
    loaded = load_model(store(proto, tmp_path))
    assert [layer.name for layer in conv_layers(loaded)] == ["first"]
    assert "not known" in skipped_convs(loaded)["second"]
    odd = loaded.node("odd")
    assert (odd.domain, odd.op_type, odd.attributes["power"]) == ("com.example", "Odd", 2)
    save_model(loaded, tmp_path / "again.onnx")
    assert load_model(tmp_path / "again.onnx").node("odd").domain == "com.example"


def test_shapes_declared_behind_a_custom_operator_are_used(tmp_path: Path) -> None:
    weight = conv_weight(np.random.default_rng(0), 3, 3, 3, 3)
    nodes = [op("Odd", "x", "b", "odd", domain="com.example"), op("Conv", "b w", "y", "conv")]
    proto = model(nodes, {"w": weight}, ("N", 3, 8, 8), domains={"com.example": 1})
    proto.graph.value_info.append(
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 3, 8, 8])
    )
    assert load_model(store(proto, tmp_path)).shapes["y"] == (1, 3, 6, 6)
    # For another input the declaration says nothing.
    assert skipped_convs(load_model(store(proto, tmp_path), {"x": (2, 3, 8, 8)}))


def test_dangling_tensor_and_cycle(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.node.extend([op("Add", "y nowhere", "z", "add")])
    fails(store(proto, tmp_path), "'add'", "'nowhere'")
    proto = simple()
    proto.graph.node.extend([op("Add", "y b", "a", "add"), op("Relu", "a", "b", "relu")])
    fails(store(proto, tmp_path), "cycle")
    proto = simple()
    proto.graph.output[0].name = "missing"
    fails(store(proto, tmp_path), "'missing'")


def test_tensor_produced_twice(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.node.extend([op("Relu", "x", "y", "again")])
    fails(store(proto, tmp_path), "'y'", "twice", "'again'")


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    weight = conv_weight(np.random.default_rng(0), 4, 5, 3, 3)
    path = store(model([op("Conv", "x w", "y", "conv")], {"w": weight}), tmp_path)
    assert skipped_convs(load_model(path)) == {
        "conv": "its weights expect 5 input channels, the input has 3"
    }


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    weight = np.full((4, 3, 1, 1), np.nan, np.float32)
    path = store(model([op("Conv", "x w", "y", "conv")], {"w": weight}), tmp_path)
    assert skipped_convs(load_model(path)) == {
        "conv": "its weights 'w' hold NaN or infinite values"
    }


def test_invalid_attribute(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.node[0].attribute.append(helper.make_attribute("strides", "fast"))
    fails(store(proto, tmp_path))


def test_weight_with_missing_bytes(tmp_path: Path) -> None:
    proto = simple()
    tensor = proto.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]
    fails(store(proto, tmp_path), "initializer 'w'")


def test_opset_from_the_future_and_none(tmp_path: Path) -> None:
    proto = simple()
    proto.opset_import[0].version = 999
    fails(store(proto, tmp_path), "opset 999", kind=UnsupportedError)
    del proto.opset_import[:]
    fails(store(proto, tmp_path), "opset")


def test_sequence_input(tmp_path: Path) -> None:
    proto = simple()
    proto.graph.input.append(helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None))
    fails(store(proto, tmp_path), "'s'", "sequence", kind=UnsupportedError)


def test_symbolic_name_is_settled_for_every_input(tmp_path: Path) -> None:
    weight = conv_weight(np.random.default_rng(0), 4, 3, 1, 1)
    nodes = [op("Conv", "x w", "a"), op("Conv", "z w", "b"), op("Add", "a b", "y")]
    shape = ("N", 3, "H", 8)
    path = store(model(nodes, {"w": weight}, inputs={"x": shape, "z": shape}), tmp_path)
    loaded = load_model(path, {"x": (2, 3, 5, 8)})
    assert [info.shape for info in loaded.inputs] == [(2, 3, 5, 8)] * 2


def test_default_batch_is_told(tmp_path: Path) -> None:
    told = NoteKeeper()
    loaded = load_model(store(simple(("batch", 3, 8, 8)), tmp_path), reporter=told)
    assert loaded.inputs[0].shape == (1, 3, 8, 8)
    assert loaded.takes_batches
    assert any("'x'" in note and "batch" in note for note in told.notes)


def test_plain_model_runs_after_loading(tmp_path: Path, rng: np.random.Generator) -> None:
    path = store(simple(), tmp_path)
    x = {"x": rng.standard_normal((1, 3, 8, 8)).astype(np.float32)}
    np.testing.assert_array_equal(run(serialize(load_model(path)), x), run(path, x))
