"""The check of a written file against the original: samples, kinds of outputs, whose fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from graph_helpers import op
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx import ort
from alcs_onnx.differences import value_difference
from alcs_onnx.errors import AlcsError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.ort import Value
from alcs_onnx.pipeline.common.check_samples import check_samples
from alcs_onnx.pipeline.common.verification import TOLERANCE, check_against_original

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def file(
    nodes: Sequence[Any],
    weights: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int | str] = ("N", 4),
    kind: int = FLOAT,
    outputs: Mapping[str, int] | None = None,
) -> bytes:
    """A file with input `x` and by default the float output `y`."""
    graph = helper.make_graph(
        list(nodes),
        "check",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info(n, t, None) for n, t in (outputs or {"y": FLOAT}).items()],
        [numpy_helper.from_array(np.asarray(x), name) for name, x in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def times(factor: float, **kwargs: Any) -> bytes:
    return file([op("Mul", "x f", "y")], {"f": np.float32(factor)}, **kwargs)


def told(inputs: Sequence[Value], settings: InputSettings | None = None) -> dict[str, Any]:
    found = check_samples(inputs, settings or InputSettings(), 5)
    return {sample.told: (dict(sample.shapes), sample.seed) for sample in found}


def test_samples_are_at_the_given_sizes_at_batches_and_at_another_size() -> None:
    image = Value("x", "tensor(float)", ("N", 3, "S", "S"))
    assert told([image], InputSettings(sizes={"S": 64, "N": 4})) == {
        "the given sizes": ({"x": (4, 3, 64, 64)}, 5),
        "the given sizes, other values": ({"x": (4, 3, 64, 64)}, 6),
        "batch 1": ({"x": (1, 3, 64, 64)}, 5),
        "batch 2": ({"x": (2, 3, 64, 64)}, 5),
        "another size": ({"x": (4, 3, 96, 96)}, 5),
    }
    fixed = Value("x", "tensor(float)", (2, 3))
    assert list(told([fixed])) == ["the given sizes", "the given sizes, other values"]


def test_batches_of_two_names_differ_and_those_without_a_name_do_not() -> None:
    named = [Value(n, "tensor(float)", (d, 3)) for n, d in (("a", "N"), ("b", "M"))]
    found = told(named)
    assert found["batch 2"][0] == {"a": (2, 3), "b": (2, 3)}
    assert found["batches 2, 3"][0] == {"a": (2, 3), "b": (3, 3)}
    assert found["batches 3, 2"][0] == {"a": (3, 3), "b": (2, 3)}
    nameless = [Value(n, "tensor(float)", (None, 3)) for n in "ab"]
    assert not any(name.startswith("batches") for name in told(nameless))
    state = [named[0], Value("s", "tensor(float)", (2, "N", 5))]
    assert told(state)["batch 2"][0] == {"a": (2, 3), "s": (2, 2, 5)}


def test_equal_files_pass_and_a_difference_is_told_with_its_place() -> None:
    check = check_against_original(times(2), times(2))
    assert check.passed
    assert (check.numbers.with_library, check.numbers.without_library) == (0, 0)
    assert check.numbers.samples == (
        "the given sizes", "the given sizes, other values", "batch 2",
    )  # fmt: skip
    assert check.notes == ()
    other = check_against_original(times(2), times(2.5))
    assert not other.passed
    assert other.numbers.with_library == pytest.approx(0.25)
    assert other.difference.startswith("2.5e-01 (relative) in output 'y', the given sizes")
    barely = check_against_original(times(2), times(2 * (1 + 0.5 * TOLERANCE)))
    assert barely.passed
    assert barely.numbers.without_library > 0


def test_a_batch_that_is_baked_in_is_found() -> None:
    """Right for one sample, and wrong or refused for two."""
    by_batch = file([op("ReduceSum", "x a", "y", keepdims=0)], {"a": np.array([1])})
    sums_all = file(
        [op("ReduceSum", "x a", "s", keepdims=0), op("Reshape", "s n", "y")],
        {"a": np.array([0, 1]), "n": np.array([1])},
    )
    check = check_against_original(by_batch, sums_all)
    assert (check.passed, check.sample) == (False, "batch 2")
    flat = file([op("Reshape", "x n", "f"), op("Mul", "f f", "y")], {"n": np.array([1, 4])})
    square = file([op("Mul", "x x", "y")])
    assert check_against_original(square, flat).sample.startswith("batch 2: ")
    fixed = check_against_original(square, file([op("Mul", "x x", "y")], shape=(1, 4)))
    assert fixed.passed
    assert fixed.notes == ("not compared at batch 2: the written file fixes input 'x' to [1,4]",)
    nowhere = check_against_original(square, file([op("Mul", "x x", "y")], shape=(7, 4)))
    assert (nowhere.passed, nowhere.sample) == (False, "nowhere compared")


def test_inputs_that_the_original_refuses_are_passed_over_and_said() -> None:
    one_only = file([op("Reshape", "x n", "y")], {"n": np.array([1, 4])})
    check = check_against_original(one_only, one_only)
    assert check.passed
    assert check.numbers.samples == ("the given sizes", "the given sizes, other values")
    assert check.notes[0].startswith("not compared at batch 2, where the original does not run: ")
    never = file([op("Reshape", "x n", "y")], {"n": np.array([3, 5])})
    with pytest.raises(AlcsError, match=r"the original runs on none .*--input-values; .*Reshape"):
        check_against_original(never, never)


def test_a_rounded_number_in_ten_thousand_may_be_the_next_one() -> None:
    """An image in bytes: where a value lies near a half, one rounding error decides."""

    def picture(factor: float) -> bytes:
        nodes = [op("Mul", "x f", "m"), op("Round", "m", "r"), op("Cast", "r", "y", to=INT64)]
        return file(nodes, {"f": np.float32(factor)}, shape=(300, 300), outputs={"y": INT64})

    near = check_against_original(picture(255), picture(255 * (1 + 3e-7)))
    assert near.passed
    assert 0 < near.numbers.with_library <= TOLERANCE
    far = check_against_original(picture(255), picture(255 * (1 + 1e-5)))
    assert (far.passed, far.output) == (False, "y")
    assert TOLERANCE < far.numbers.with_library < 1


def test_a_truth_value_is_tried_both_ways() -> None:
    """A mask of false alone would leave nothing to compare."""

    def selected(factor: float) -> bytes:
        nodes = [op("Where", "x f zero", "y")]
        weights = {"f": np.float32(factor), "zero": np.float32(0)}
        return file(nodes, weights, kind=TensorProto.BOOL)

    check = check_against_original(selected(1), selected(2))
    assert (check.passed, check.sample) == (False, "the given sizes, other values")
    assert check_against_original(selected(2), selected(2)).passed


def test_outputs_that_are_no_floats_are_equal_or_not() -> None:
    """Text, truth values, sequences and outputs without elements."""
    nodes = [
        op("ArgMax", "x", "k", axis=1, keepdims=0),
        op("Greater", "x zero", "b"),
        op("SplitToSequence", "x", "seq", axis=1),
        op("Slice", "x zeros zeros axis", "none"),
    ]
    weights = {
        "zero": np.float32(0), "zeros": np.array([0]), "axis": np.array([1]),
        "words": np.array(["cat", "dog", "cow", "pig"], object),
        "others": np.array(["cat", "dog", "cow", "hen"], object),
    }  # fmt: skip
    outputs = {"t": TensorProto.STRING, "b": TensorProto.BOOL, "k": INT64, "none": FLOAT}

    def animals(words: str, scale: float) -> bytes:
        graph = helper.make_graph(
            [
                *nodes[:2], op("Mul", "x scale", "scaled"),
                op("SplitToSequence", "scaled", "seq", axis=1), nodes[3],
                op("Gather", f"{words} k", "t"),
            ],
            "animals",
            [helper.make_tensor_value_info("x", FLOAT, [64, 4])],
            [
                *(helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()),
                helper.make_tensor_sequence_value_info("seq", FLOAT, None),
            ],
            [
                numpy_helper.from_array(np.asarray(x), name)
                for name, x in {**weights, "scale": np.float32(scale)}.items()
            ],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return bytes(model.SerializeToString())

    original = animals("words", 1)
    assert check_against_original(original, original).passed
    text = check_against_original(original, animals("others", 1))
    assert (text.passed, text.output) == (False, "t")
    sequence = check_against_original(original, animals("words", 1.5))
    assert (sequence.passed, sequence.output) == (False, "seq")
    assert sequence.numbers.with_library == pytest.approx(0.5)


def test_values_of_any_kind_are_compared() -> None:
    x, half = np.ones(2, np.float32), np.full(2, 0.5, np.float32)
    assert value_difference([x, x], [x, half]) == 1
    assert value_difference([x], [x, x]) == np.inf
    assert value_difference([{1: 0.5}], [{1: 0.25}]) == 1
    assert value_difference([{1: 0.5}], [{2: 0.5}]) == np.inf
    assert value_difference(None, None) == 0
    assert value_difference(x, None) == value_difference(None, x) == np.inf
    assert value_difference(x, x.astype(np.float64)) == np.inf
    assert value_difference(np.array([1, 2]), np.array([1, 3])) == 0.5
    assert value_difference(np.array([1, 2]), np.array([1])) == np.inf
    assert value_difference(np.array(["a"]), np.array(["a"])) == 0
    assert value_difference(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert value_difference(np.zeros((0, 3)), np.zeros((3, 0))) == np.inf


def test_half_floats_may_part_by_roundings_of_their_own() -> None:
    def half(factor: float) -> bytes:
        weights = {"f": np.float16(factor)}
        kind = TensorProto.FLOAT16
        return file([op("Mul", "x f", "y")], weights, kind=kind, outputs={"y": kind})

    near = check_against_original(half(1), half(1 + 2**-9))
    assert near.passed
    assert near.numbers.with_library > TOLERANCE
    assert near.numbers.tolerance == 2**-8
    assert not check_against_original(half(1), half(1 + 2**-7)).passed


def test_half_floats_inside_round_what_comes_out_as_float32() -> None:
    def inside(factor: float) -> tuple[bytes, dict[str, Any]]:
        weights = {"f": np.float16(factor)}
        nodes = [op("Cast", "x", "h", to=TensorProto.FLOAT16), op("Mul", "h f", "m"),
                 op("Cast", "m", "y", to=FLOAT)]  # fmt: skip
        return file(nodes, weights), weights

    (original, weights), (near, _), (far, _) = map(inside, (1, 1 + 2**-9, 1 + 2**-7))
    check = check_against_original(original, near, initializers=weights)
    assert (check.passed, check.numbers.tolerance) == (True, 2**-8)
    assert not check_against_original(original, far, initializers=weights).passed
    assert not check_against_original(original, near).passed


def test_a_difference_by_the_runtimes_own_fusion_is_told_apart() -> None:
    """A MaxPool with pads of zero behind a Pad: ONNX Runtime 1.31 pads with minus infinity."""
    pool = op("MaxPool", "p", "y", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    pads = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.float32(0.5)}
    original = file([op("Pad", "x pads v", "p"), pool], pads, shape=(1, 2, 6, 6))
    # The same padding where no fusion sees it.
    apart = file(
        [op("Pad", "x pads v", "q"), op("Mul", "q one", "r"), op("Neg", "r", "m"),
         op("Neg", "m", "p"), pool],
        {**pads, "one": np.ones((1, 2, 8, 8), np.float32)}, shape=(1, 2, 6, 6),
    )  # fmt: skip
    check = check_against_original(original, apart)
    assert check.passed
    wrong = check_against_original(original, times(2, shape=(1, 2, 6, 6)))
    assert not wrong.passed
    feeds = {"x": np.full((1, 2, 6, 6), -1, np.float32)}
    by_default, as_written = (
        ort.run(ort.create_session(original, library=False, optimized=wanted), feeds)["y"]
        for wanted in (True, False)
    )
    assert as_written.max() == 0.5
    # A later runtime may be right, and then there is nothing to say.
    told = ["ONNX Runtime's own optimisation 'Pad_Fusion' changes the result of the original; "
            "without it the original and the written file agree"]  # fmt: skip
    assert list(check.notes) == ([] if np.array_equal(by_default, as_written) else told)


def test_what_is_not_finite_is_named() -> None:
    nan = {"good": np.ones(4, np.float32), "bad": np.array([1, np.nan, 1, 1], np.float32)}
    model = file([op("Mul", "x bad", "z"), op("Mul", "z good", "y")], nan)
    check = check_against_original(model, model, initializers=nan)
    assert check.passed
    assert check.notes == ("outputs of the original are not finite: NaN or infinity is in 'bad'",)
    finite = file([op("Mul", "x good", "z"), op("Mul", "z good", "y")], nan)
    other = check_against_original(model, finite, initializers=nan)
    assert not other.passed
    assert "inf (relative) in output 'y'" in other.difference
    assert other.difference.endswith("is in 'bad'")


def test_given_and_guessed_values_are_used() -> None:
    rows = np.arange(1, 10, dtype=np.float32)

    def looked_up(*changed: int) -> bytes:
        table = {"table": np.where(np.isin(np.arange(9), changed), 2 * rows, rows)}
        return file([op("Gather", "table x", "y")], table, shape=(64,), kind=INT64)

    near = check_against_original(looked_up(), looked_up(1, 2, 3))
    assert (near.passed, near.sample) == (False, "the given sizes, other values")  # no zeros there
    far = check_against_original(looked_up(), looked_up(8))
    assert far.passed
    assert far.guesses == ("input 'x' is made up: zeros (--input-values x:... gives others)",)
    given = InputSettings.of(values={"x": 8})
    told = check_against_original(looked_up(), looked_up(8), given)
    assert (told.passed, told.numbers.with_library, told.guesses) == (False, 1, ())


def ranked(scores: Sequence[float], outputs: Sequence[str] = ("values", "order", "above")) -> bytes:
    """Scores times input, in falling order, and the places where they exceed the second of 2."""
    nodes = [
        op("Mul", "x f", "s"), op("TopK", "s k", "values order"), op("Greater", "s t", "over"),
        op("NonZero", "over", "above"),
    ]  # fmt: skip
    weights = {"f": np.array(scores, np.float32), "k": np.array([4]), "t": BELOW}
    kinds = {name: FLOAT if name == "values" else INT64 for name in outputs}
    return file(nodes, weights, shape=(1, 4), outputs=kinds)


#: The float32 before 2.
BELOW = np.nextafter(np.float32(2), np.float32(0))
ONES = InputSettings.of(values={"x": 1})


def test_what_a_rounding_error_decides_in_the_original_is_not_compared() -> None:
    """Two scores one rounding apart, in exchanged order: two indices, and what exceeds."""
    original, near = ranked([1, 2, BELOW, 0.5]), ranked([1, BELOW, 2, 0.5])
    check = check_against_original(original, near, ONES)
    assert check.passed
    decided = "which rounding errors decide in the original, too"
    assert check.notes[:2] == (
        f"not compared at the given sizes: some values of output 'order', {decided}",
        f"not compared at the given sizes: output 'above', {decided}",
    )
    # The other places are compared, and so is the rest of what is given out.
    for wrong in ([0.5, BELOW, 2, 1], [1, BELOW, 1, 0.5]):
        assert not check_against_original(original, ranked(wrong), ONES).passed
    one, other = (ranked(scores, ["above"]) for scores in ([1, 2, BELOW, 0], [1, BELOW, 2, 0]))
    nothing = check_against_original(one, other, ONES)
    assert (nothing.passed, nothing.sample) == (False, "nowhere compared")


def test_an_order_that_no_rounding_changes_has_to_stay() -> None:
    """Scores that pass as equal, being floats, but whose order the original always gives."""
    gap = 2 * (1 - 0.5 * TOLERANCE)
    one, other = (
        ranked(scores, ["values", "order"]) for scores in ([1, 2, gap, 0.5], [1, gap, 2, 0.5])
    )
    check = check_against_original(one, other, ONES)
    assert (check.passed, check.output, check.notes) == (False, "order", ())
