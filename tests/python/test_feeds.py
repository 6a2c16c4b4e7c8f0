"""Inputs made up for a session: types, shapes, guesses and what is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import timing_models
from onnx import TensorProto, helper

from alcs_onnx import ort
from alcs_onnx.errors import DataError, ModelError
from alcs_onnx.feeds import make_feeds, resolve_shapes, shapes_to_load
from alcs_onnx.input_settings import InputSettings, load_values

INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT


def session_of(*inputs: tuple[str, int, Any]) -> ort.Session:
    """A session that takes these inputs and gives the first."""
    node = helper.make_node("Identity", [inputs[0][0]], ["y"])
    return session_from([node], inputs, inputs[0][1])


def session_from(nodes: Any, inputs: Any, output: int = FLOAT, weights: Any = ()) -> ort.Session:
    """A session of `nodes`, whose last output is `y`."""
    graph = helper.make_graph(
        nodes,
        "feeds",
        [helper.make_tensor_value_info(name, kind, dims) for name, kind, dims in inputs],
        [helper.make_tensor_value_info("y", output, None)],
        list(weights),
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return ort.create_session(model.SerializeToString(), library=False)


def takes_only(*rates: int) -> ort.Session:
    """Reshapes x [2, 6] to [3, 4] where `rate` is among `rates`, and else fails."""
    wanted = helper.make_tensor("wanted", INT64, [len(rates)], rates)
    sizes = [helper.make_tensor(n, INT64, [2], v) for n, v in (("good", [3, 4]), ("bad", [5, 5]))]
    nodes = [
        helper.make_node("Equal", ["rate", "wanted"], ["equal"]),
        helper.make_node("Cast", ["equal"], ["number"], to=INT64),
        helper.make_node("ReduceMax", ["number"], ["any"], keepdims=0),
        helper.make_node("Cast", ["any"], ["known"], to=TensorProto.BOOL),
        helper.make_node("Where", ["known", "good", "bad"], ["size"]),
        helper.make_node("Reshape", ["x", "size"], ["y"]),
    ]
    inputs = [("x", FLOAT, [2, 6]), ("rate", INT64, [])]
    return session_from(nodes, inputs, weights=[wanted, *sizes])


def test_feeds_are_reproducible_and_of_the_right_type():
    types = [FLOAT, TensorProto.FLOAT16, INT64, TensorProto.BOOL, TensorProto.STRING]
    session = session_of(*((f"i{t}", int(t), [1, 5]) for t in types))
    feeds, again = make_feeds(session, 3).feeds, make_feeds(session, 3).feeds
    dtypes = [np.float32, np.float16, np.int64, np.bool_]
    assert [feeds[f"i{t}"].dtype for t in types[:4]] == dtypes
    assert feeds["i8"].tolist() == [["a"] * 5]
    assert list(feeds) == [value.name for value in session.inputs]
    assert all((feeds[name] == again[name]).all() for name in feeds)
    assert (feeds["i1"] != make_feeds(session, 4).feeds["i1"]).any()
    session.bind(feeds)()  # texts as well, which the runtime binds not


def test_inputs_of_no_axes_are_scalars():
    session = session_of(("x", FLOAT, []), ("k", INT64, []), ("n", FLOAT, ["N", 2]))
    feeds = make_feeds(session).feeds
    assert [feeds[name].shape for name in ("x", "k", "n")] == [(), (), (1, 2)]
    session.bind(feeds)()


def test_an_unknown_batch_is_one_and_other_unknown_axes_are_asked_for():
    batch = session_of(("x", FLOAT, ["N", 3]))
    assert make_feeds(batch).feeds["x"].shape == (1, 3)
    given = InputSettings(shapes={"x": (4, 3)})
    assert make_feeds(batch, settings=given).feeds["x"].shape == (4, 3)
    free = session_of(("x", FLOAT, ["N", "W"]))
    with pytest.raises(
        ModelError, match=r"input 'x' has shape \[\?,\?\].*--input-shapes x:1,224 or W=224$"
    ):
        make_feeds(free)
    with pytest.raises(ModelError, match=r"--input-shapes x:1,224$"):
        make_feeds(session_of(("x", FLOAT, ["N", "?"])))  # no name: nothing can be given by it
    for shape in ((4, 4), (4,)):
        with pytest.raises(ModelError, match=rf"has shape \[\?,3\], not \[{shape[0]}"):
            make_feeds(batch, settings=InputSettings(shapes={"x": shape}))


def test_a_size_that_is_known_once_holds_for_every_input():
    session = session_of(("x", FLOAT, ["batch", 3]), ("s", FLOAT, [2, "batch", "width"]))
    inputs = session.inputs
    sized = InputSettings(sizes={"width": 5})
    assert resolve_shapes(inputs, sized) == {"x": (1, 3), "s": (2, 1, 5)}
    both = InputSettings(sizes={"width": 5, "batch": 4})
    assert resolve_shapes(inputs, both) == {"x": (4, 3), "s": (2, 4, 5)}
    by_shape = InputSettings(shapes={"s": (2, 7, 5)})
    assert resolve_shapes(inputs, by_shape) == {"x": (7, 3), "s": (2, 7, 5)}
    by_value = InputSettings(sizes={"width": 1}, values={"x": np.zeros((3, 3))})
    assert resolve_shapes(inputs, by_value) == {"x": (3, 3), "s": (2, 3, 1)}
    with pytest.raises(ModelError, match=r"batch=4: it is 7 in \[2,7,5\], which .* 's'"):
        resolve_shapes(inputs, InputSettings(shapes={"s": (2, 7, 5)}, sizes={"batch": 4}))


def test_a_model_is_loaded_by_what_it_does_not_say_itself():
    inputs = session_of(("x", FLOAT, ["batch", 3]), ("s", FLOAT, [2, "batch"])).inputs
    assert shapes_to_load(inputs, InputSettings()) == {"s": (2, 1)}
    assert shapes_to_load(inputs[:1], InputSettings()) == {}
    assert shapes_to_load(inputs, InputSettings(sizes={"batch": 2})) == {"x": (2, 3), "s": (2, 2)}
    free = session_of(("x", FLOAT, ["batch", "W"]), ("s", FLOAT, [2, "batch"])).inputs
    assert shapes_to_load(free, InputSettings()) == {"s": (2, 1)}


def test_names_that_no_input_has_are_refused_with_the_nearest():
    names, dims = ["image", "mask"], ["batch"]
    cases = [
        (InputSettings(shapes={"imag": (1,)}), r"^--input-shapes imag: .* no such input, only"),
        (InputSettings(values={"imag": np.array(1)}), r"^--input-values imag: .*mean 'image'\?$"),
        (InputSettings(sizes={"btach": 2}), r"^--input-shapes btach=2: .*dimension, only 'batch'$"),
        (InputSettings(sizes={"batch": 0}), r"batch=0: a size must be at least 1"),
    ]
    for settings, text in cases:
        with pytest.raises(ModelError, match=text):
            settings.check(names, dims, "the model has")
    with pytest.raises(ModelError, match=r"only unnamed ones$"):
        InputSettings(sizes={"batch": 2}).check(names, [], "the model has")
    InputSettings.of({"image": [1, 3], "batch": 2}, {"mask": 1}).check(names, dims, "")


@pytest.mark.parametrize(
    ("rates", "taken"),
    [((0, 1), "zeros"), ((1, 8000), "ones"), ((8000, 16000), "16000"), ((8000,), "8000")],
)
def test_values_are_tried_until_the_model_runs(rates, taken):
    session = takes_only(*rates)
    made = make_feeds(session)
    assert made.feeds["rate"] in rates
    assert made.notes == (
        f"input 'rate' is made up: {taken} (--input-values rate:... gives others)",
    )
    session.run(made.feeds)


def test_a_model_that_takes_none_of_the_guesses_is_told_with_the_input():
    session = takes_only(44100)
    with pytest.raises(ModelError, match=r"input 'rate', .*zeros, ones, .*--input-values rate:"):
        make_feeds(session)
    made = make_feeds(session, settings=InputSettings.of(values={"rate": 44100}))
    assert made.feeds["rate"].dtype == np.int64
    assert made.notes == ()


def test_guesses_of_several_inputs_are_combined():
    """`size` has to be ones and `index` a zero: neither the same for both."""
    table = helper.make_tensor("table", FLOAT, [1, 2], [1, 2])
    session = session_from(
        [
            helper.make_node("Gather", ["table", "index"], ["row"]),
            helper.make_node("Expand", ["row", "size"], ["wide"]),
            helper.make_node("Reshape", ["wide", "two"], ["y"]),
        ],
        [("size", INT64, [2]), ("index", INT64, [])],
        weights=[table, helper.make_tensor("two", INT64, [2], [1, 2])],
    )
    feeds = make_feeds(session).feeds
    assert (feeds["size"].tolist(), feeds["index"].tolist()) == ([1, 1], 0)


def test_pictures_in_bytes_are_random():
    session = session_of(("x", TensorProto.UINT8, [1, 8, 8, 3]), ("k", TensorProto.UINT8, [2]))
    made = make_feeds(session)
    assert len(np.unique(made.feeds["x"])) > 50
    assert made.feeds["k"].tolist() == [0, 0]
    assert "'x' is made up: random bytes" in made.notes[0]


def test_given_values_are_brought_into_type_and_shape():
    session = session_of(("x", FLOAT, ["N", 2]), ("k", INT64, ["K"]), ("b", TensorProto.BOOL, []))

    def made(**values: Any) -> Any:
        return make_feeds(session, settings=InputSettings.of(values=values)).feeds

    sized = {"shapes": {"k": (3,)}}
    for given in (7, [7], "7", ["7"]):
        feeds = make_feeds(session, settings=InputSettings.of(**sized, values={"k": given})).feeds
        assert feeds["k"].tolist() == ([7] * 3)
    assert made(k=["1", "2"])["k"].tolist() == [1, 2]
    assert made(x=np.arange(6.0).reshape(3, 2))["x"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert made(x=["1.5", "-2"])["x"].tolist() == [[1.5, -2]]
    for text, truth in (("true", True), ("0", False), (True, True)):
        assert made(b=text)["b"].item() is truth
    pair = InputSettings.of({"k": [4]}, {"k": [1, 2]})
    assert make_feeds(session, settings=pair).feeds["k"].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"k": "0.5"}, r"--input-values k: .* is a tensor\(int64\), which '0.5' is not"),
        ({"k": 0.5}, r"which '0.5' is not"),
        ({"k": 2**70}, "is not"),
        ({"b": "maybe"}, "which 'maybe' is not"),
        ({"x": ["1", "cat"]}, r"which '1', \.\.\. is not"),
        ({"x": [1, 2, 3]}, r"3 values do not fill input 'x' of shape \[1,2\]"),
    ],
)
def test_given_values_that_do_not_fit_are_refused(values, text):
    session = session_of(("x", FLOAT, [1, 2]), ("k", INT64, [1]), ("b", TensorProto.BOOL, []))
    with pytest.raises(ModelError, match=text):
        make_feeds(session, settings=InputSettings.of(values=values))


def test_inputs_that_are_no_tensors_cannot_be_made_up():
    graph = helper.make_graph(
        [helper.make_node("SequenceLength", ["s"], ["y"])],
        "sequence",
        [helper.make_tensor_sequence_value_info("s", FLOAT, None)],
        [helper.make_tensor_value_info("y", INT64, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.create_session(model.SerializeToString(), library=False)
    with pytest.raises(ModelError, match=r"input 's' is a seq\(tensor\(float\)\), which cannot"):
        make_feeds(session)


def test_values_are_read_from_an_npz_file(tmp_path):
    np.savez(tmp_path / "values.npz", k=np.array([1, 2]), name=np.array("cat"))
    found = load_values(tmp_path / "values.npz")
    assert found["k"].tolist() == [1, 2]
    assert found["name"].item() == "cat"
    with pytest.raises(DataError, match="no such file"):
        load_values(tmp_path / "none.npz")
    np.savez(tmp_path / "objects.npz", k=np.array([{}], object))
    (tmp_path / "text.npz").write_text("k=1")
    np.save(tmp_path / "array.npy", np.zeros(2))
    for name in ("objects.npz", "text.npz", "array.npy"):
        with pytest.raises(DataError, match=f"{name}: it is no .npz file"):
            load_values(tmp_path / name)


def test_outputs_of_another_shape_than_declared_do_not_stop_a_run():
    model = onnx.load_model_from_string(timing_models.with_inputs(("x", FLOAT, ["N", 3])))
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 7
    session = ort.create_session(model.SerializeToString(), library=False)
    feeds = make_feeds(session).feeds
    [(value, shape)] = session.contradicted(feeds)
    assert (value.shape, shape) == ((7, 3), (1, 3))
    once = session.bind(feeds)
    for _ in range(3):
        once()
