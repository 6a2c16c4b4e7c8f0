"""The torch interpreter against ONNX Runtime: every operator, and whole real models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

torch = pytest.importorskip("torch")

from classifiers import classifier, save  # noqa: E402
from graph_helpers import model, op, store  # noqa: E402
from train_models import PRUNABLE, run_onnx  # noqa: E402

from alcs_onnx.differences import relative_difference  # noqa: E402
from alcs_onnx.errors import AlcsError, ModelError, UnsupportedError  # noqa: E402
from alcs_onnx.graph import conv_layers, load_model  # noqa: E402
from alcs_onnx.op_traits import UNARY  # noqa: E402
from alcs_onnx.train import OnnxModule, verify  # noqa: E402
from alcs_onnx.train.module import escape, unescape  # noqa: E402
from alcs_onnx.train.operators import find, registered  # noqa: E402

I64, F32 = np.int64, np.float32
IMAGE = (2, 4, 9, 11)


def ints(*values: int) -> np.ndarray:
    return np.array(values, I64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, F32)


def weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(F32)


#: (id, operator, input shape, further inputs or None for absent ones, attributes, opset, outputs)
Case = tuple[str, str, tuple[int, ...], list[np.ndarray | None], dict[str, Any], int, int]


def case(
    op: str,
    shape: tuple[int, ...] = IMAGE,
    *more: np.ndarray | None,
    opset: int = 18,
    outputs: int = 1,
    **attributes: Any,
) -> Any:
    words = [f"{k}={v}" for k, v in attributes.items() if np.ndim(v) < 2]
    name = "-".join([op, "x".join(map(str, shape)), *words, str(opset)])
    return pytest.param((name, op, shape, list(more), attributes, opset, outputs), id=name)


def resize(shape: tuple[int, ...], scales: tuple[float, ...] | None, sizes: Any, **kw: Any) -> Any:
    return case(
        "Resize",
        shape,
        None,
        None if scales is None else floats(*scales),
        *([] if sizes is None else [ints(*sizes)]),
        **kw,
    )


#: Element-wise operators that need more than one image of any numbers: see the other cases.
NOT_PLAIN = ("Cast", "Clip", "Dropout", "Gelu", "Log", "Not", "Sqrt")
PLAIN = (
    *(name for name in UNARY if name in registered() and name not in NOT_PLAIN),
    "GlobalAveragePool", "GlobalMaxPool", "Shape", "ReduceMean", "ReduceL2", "ReduceL1",
    "ReduceSumSquare", "LogSoftmax", "Softmax", "Transpose", "Flatten",
)  # fmt: skip

CASES = [
    *map(case, PLAIN),
    case("Gelu", opset=20), case("Gelu", opset=20, approximate="tanh"),
    case("Elu", alpha=0.5), case("LeakyRelu", alpha=0.3), case("HardSigmoid", alpha=0.3, beta=0.4),
    case("Softmax", axis=1), case("LogSoftmax", axis=1), case("Flatten", axis=2),
    case("Flatten", axis=-1), case("Transpose", perm=[0, 2, 3, 1]),
    case("PRelu", IMAGE, weight(4, 1, 1)),
    case("Clip", IMAGE, floats(-0.5).reshape(()), floats(0.7).reshape(())),
    case("Clip", IMAGE, None, floats(0.5).reshape(())),
    case("Clip", IMAGE, floats(0.5).reshape(())), case("Clip"),
    # convolutions
    case("Conv", IMAGE, weight(6, 4, 3, 3), weight(6), pads=[1, 1, 1, 1]),
    case("Conv", IMAGE, weight(6, 4, 3, 3), pads=[0, 1, 2, 1], strides=[2, 1]),
    case("Conv", IMAGE, weight(6, 2, 3, 2), weight(6), group=2, dilations=[2, 3]),
    case("Conv", IMAGE, weight(4, 1, 3, 3), weight(4), group=4, auto_pad="SAME_UPPER",
         strides=[2, 2]),
    case("Conv", IMAGE, weight(4, 4, 2, 2), weight(4), auto_pad="SAME_LOWER", strides=[2, 3]),
    case("Conv", IMAGE, weight(4, 4, 2, 2), weight(4), auto_pad="VALID"),
    case("Conv", (2, 4, 13), weight(6, 4, 3), weight(6), pads=[2, 1], strides=[2]),
    case("Conv", (1, 2, 5, 6, 7), weight(3, 2, 2, 2, 2), weight(3)),
    case("ConvTranspose", IMAGE, weight(4, 5, 3, 3), weight(5), strides=[2, 2], pads=[1, 1, 1, 1],
         output_padding=[1, 1]),
    case("ConvTranspose", IMAGE, weight(4, 3, 2, 2), strides=[2, 2], pads=[0, 1, 1, 0], group=2),
    case("ConvTranspose", (2, 4, 9), weight(4, 5, 3), weight(5), strides=[2]),
    case("Gemm", (3, 5), weight(5, 7), weight(7)),
    case("Gemm", (5, 3), weight(7, 5), weight(1, 7), transA=1, transB=1, alpha=0.5, beta=2.0),
    case("Gemm", (3, 5), weight(5, 7)), case("MatMul", (2, 3, 4, 5), weight(5, 6)),
    # normalisation
    case("BatchNormalization", (2, 4, 9), weight(4), weight(4), weight(4), np.abs(weight(4)) + 1),
    case("InstanceNormalization", IMAGE, weight(4), weight(4), epsilon=1e-3),
    case("LayerNormalization", IMAGE, weight(9, 11), weight(9, 11), axis=2),
    case("LRN", IMAGE, size=3), case("LRN", IMAGE, size=5, alpha=0.1, beta=0.5, bias=2.0),
    # pooling
    case("MaxPool", kernel_shape=[2, 3]),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    case("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", kernel_shape=[3, 3], dilations=[2, 2]),
    case("MaxPool", (2, 4, 13), kernel_shape=[3], strides=[2]),
    case("AveragePool", kernel_shape=[3, 3], strides=[2, 2]),
    case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1],
         count_include_pad=1),
    case("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    # layout
    case("Reshape", IMAGE, ints(0, -1, 11)), case("Reshape", IMAGE, ints(0, 4, 99)),
    case("Squeeze", (2, 1, 3, 1), ints(1)), case("Squeeze", (2, 1, 3, 1)),
    case("Unsqueeze", (2, 3), ints(0, -1)), case("Unsqueeze", (2, 3), ints(1, 2)),
    case("Slice", IMAGE, ints(1, 0), ints(9, 2**31), ints(3, 2), ints(2, 3)),
    case("Slice", IMAGE, ints(-1), ints(-100), ints(3), ints(-2)),
    case("Slice", IMAGE, ints(0, 1), ints(2, -1)),
    case("Pad", IMAGE, ints(0, 2, 1, 0, 0, 1, 0, 3)),
    case("Pad", IMAGE, ints(0, 2, 0, 1), floats(1.5).reshape(()), ints(1, 2)),
    case("Pad", IMAGE, ints(0, 0, -1, 2, 0, 0, 1, -2)),
    case("Pad", IMAGE, ints(0, 0, 2, 3, 0, 0, 1, 2), mode="reflect"),
    case("Pad", IMAGE, ints(0, 0, 2, 3, 0, 0, 1, 2), mode="edge"),
    case("Gather", IMAGE, ints(0, 2, 1, 3), axis=1), case("Gather", IMAGE, ints(1, 3), axis=1),
    case("Gather", IMAGE, ints(0, 2), axis=1), case("Gather", IMAGE, ints(-1), axis=2),
    case("Gather", IMAGE, np.array(2, I64), axis=3),
    case("Gather", IMAGE, np.array([[0, -1], [2, 2]], I64), axis=1),
    case("Split", IMAGE, ints(1, 3), axis=1, outputs=2),
    case("Split", IMAGE, axis=3, outputs=3, num_outputs=3),
    case("Split", IMAGE, axis=1, outputs=2, opset=13),
    case("Expand", (2, 1, 3), ints(4, 1)), case("Tile", (2, 3), ints(2, 3)),
    case("Cast", to=7), case("Cast", to=1),
    case("DepthToSpace", (2, 8, 3, 5), blocksize=2),
    case("DepthToSpace", (2, 8, 3, 5), blocksize=2, mode="CRD"),
    case("SpaceToDepth", (2, 3, 4, 6), blocksize=2),
    # before opset 13: axes and sizes are attributes, Softmax works on all axes behind one
    case("Squeeze", (2, 1, 3, 1), axes=[1], opset=12), case("Squeeze", (2, 1, 3, 1), opset=12),
    case("Unsqueeze", (2, 3), axes=[0, -1], opset=12),
    case("Split", IMAGE, axis=1, split=[1, 3], outputs=2, opset=12),
    case("Split", IMAGE, axis=1, outputs=2, opset=12),
    case("ReduceSum", IMAGE, axes=[1, 2], opset=12),
    case("Softmax", IMAGE, opset=12), case("Softmax", IMAGE, axis=2, opset=12),
    case("LogSoftmax", IMAGE, axis=-1, opset=12), case("LogSoftmax", IMAGE, axis=0, opset=12),
    # reductions, both forms
    case("ReduceMean", IMAGE, axes=[2, 3], opset=13),
    case("ReduceMean", IMAGE, ints(2, 3), keepdims=0),
    case("ReduceMean", IMAGE, noop_with_empty_axes=1),
    case("ReduceMax", IMAGE, ints(1)), case("ReduceMin", IMAGE, ints(-1), keepdims=0),
    case("ReduceSum", IMAGE, ints(1, 2), opset=13), case("ReduceSum", opset=13),
    case("ReduceProd", IMAGE, ints(1, -1)), case("ReduceProd", IMAGE, ints(2), keepdims=0),
    case("GatherND", IMAGE, np.array([[0, 3], [1, -1]], I64)),
    case("GatherND", IMAGE, np.array([[[3, 0]], [[1, 8]]], I64), batch_dims=1),
    case("Size"),
    case("ArgMax", axis=1), case("ArgMin", axis=-1, keepdims=0),
    # arithmetic
    *(case(op, IMAGE, weight(4, 1, 11)) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min",
                                                     "Sum", "Mean", "Greater", "LessOrEqual")),
    case("Pow", IMAGE, floats(2).reshape(())), case("Mod", IMAGE, weight(11), fmod=1),
    # resize
    resize((1, 3, 5, 6), (1, 1, 2, 2), None, mode="nearest"),
    resize((1, 3, 5, 6), (1, 1, 2, 2), None, mode="nearest",
           coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    resize((1, 3, 5, 6), (1, 1, 1.7, 0.6), None, mode="nearest",
           coordinate_transformation_mode="asymmetric", nearest_mode="ceil"),
    resize((1, 3, 5, 6), None, (1, 3, 9, 4), mode="nearest", nearest_mode="round_prefer_ceil"),
    # 7 / 0.7 is 10 in float32, and a little more in float64.
    resize((1, 3, 24, 24), (1, 1, 0.7, 0.7), None, mode="nearest",
           coordinate_transformation_mode="asymmetric", nearest_mode="ceil"),
    resize((1, 3, 5, 6), (1, 1, 2, 2), None, mode="linear"),
    resize((1, 3, 5, 6), None, (1, 3, 9, 13), mode="linear",
           coordinate_transformation_mode="align_corners"),
    resize((1, 3, 5, 6), (1, 1, 2, 3), None, mode="linear",
           coordinate_transformation_mode="asymmetric"),
    resize((1, 3, 5, 6), (1, 1, 0.6, 0.6), None, mode="linear",
           coordinate_transformation_mode="pytorch_half_pixel"),
    resize((1, 3, 5, 6), (1, 1, 1.5, 2.5), None, mode="cubic"),
    resize((1, 3, 5, 6), (1, 1, 2, 2), None, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    resize((1, 3, 7), (1, 1, 2), None, mode="linear"),
]  # fmt: skip


def one_node(folder: Path, case_: Case) -> Path:
    """A file with one node, and a 1×1 Conv beside it, since a model must have one."""
    _, op, shape, more, attributes, opset, outputs = case_
    weights = {f"w{i}": array for i, array in enumerate(more) if array is not None}
    names = ["x", *(f"w{i}" if array is not None else "" for i, array in enumerate(more))]
    nodes = [
        helper.make_node(op, names, [f"y{i}" for i in range(outputs)], name="it", **attributes)
    ]
    results = [f"y{i}" for i in range(outputs)]
    nodes.append(helper.make_node("Conv", ["side", "k"], ["z"], name="side_conv"))
    weights["k"] = weight(1, 1, 1, 1)
    inputs = {"x": shape, "side": (1, 1, 2, 2)}
    return save(folder / "one.onnx", nodes, inputs, [*results, "z"], weights, opset)


@pytest.mark.parametrize("case_", CASES)
def test_operator_equals_the_runtime(case_: Case, tmp_path: Path) -> None:
    path = one_node(tmp_path, case_)
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(case_[2]) * 2).astype(F32)
    side = np.ones((1, 1, 2, 2), F32)
    expected = run_onnx(path, {"x": x, "side": side})
    model = load_model(path)
    module = OnnxModule(model)
    by_name = {"x": torch.from_numpy(x), "side": torch.from_numpy(side)}
    found = module(*(by_name[name] for name in module.input_names))
    for actual, wanted in zip(found, expected, strict=True):
        assert actual.numpy(force=True).dtype == wanted.dtype
        assert relative_difference(actual.numpy(force=True), wanted) < 1e-5


def test_every_registered_operator_is_tested() -> None:
    tested = {param.values[0][1] for param in CASES}
    elsewhere = {
        "And", "Concat", "ConstantOfShape", "Dropout", "Equal", "GreaterOrEqual", "Less", "Log",
        "Not", "Or", "Range", "Sqrt", "Where",
    }  # fmt: skip
    assert set(registered()) <= tested | elsewhere


def test_operators_that_need_a_graph(tmp_path: Path) -> None:
    node = helper.make_node
    nodes = [
        node("Abs", ["x"], ["a"]), node("Sqrt", ["a"], ["s"]), node("Log", ["a"], ["l"]),
        node("Less", ["x", "l"], ["lt"]), node("GreaterOrEqual", ["x", "s"], ["ge"]),
        node("Equal", ["x", "a"], ["eq"]), node("Not", ["eq"], ["ne"]),
        node("And", ["lt", "ne"], ["and"]), node("Or", ["and", "ge"], ["or"]),
        node("Where", ["or", "s", "l"], ["w"]), node("Concat", ["w", "x"], ["c"], axis=1),
        node("Dropout", ["c"], ["d"]), node("Shape", ["d"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["fill"],
             value=numpy_helper.from_array(floats(2.5), "v")),
        node("Mul", ["d", "fill"], ["m"]), node("Conv", ["m", "k"], ["y"]),
    ]  # fmt: skip
    path = save(tmp_path / "g.onnx", nodes, {"x": IMAGE}, ["y"], {"k": weight(3, 8, 1, 1)})
    x = np.random.default_rng(1).standard_normal(IMAGE).astype(F32)
    expected = run_onnx(path, {"x": x})
    (found,) = OnnxModule(load_model(path))(torch.from_numpy(x))
    assert relative_difference(found.detach().numpy(), expected[0]) < 1e-5


def size_chain(opset: int) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Sizes computed by integers at run time, and what is shaped, cut and filled by them."""
    node = helper.make_node
    if opset > 12:
        unsqueeze = node("Unsqueeze", ["h", "axis"], ["h1"])
    else:
        unsqueeze = node("Unsqueeze", ["h"], ["h1"], axes=[0])
    nodes = [
        node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        node("Shape", ["c"], ["s"]),
        node("Slice", ["s", "two", "four"], ["hw"]),
        node("Mul", ["hw", "both"], ["double"]),
        node("Div", ["double", "three"], ["third"]),
        node("Greater", ["third", "hw"], ["more"]),
        node("Where", ["more", "hw", "third"], ["smaller"]),
        node("Gather", ["smaller", "zero"], ["h"]),
        node("Range", ["zero", "h", "one"], ["rows"]),
        node("Gather", ["c", "rows"], ["top"], axis=2),
        unsqueeze,
        node("Slice", ["c", "begin", "h1", "axis_2"], ["cut"]),
        node("Add", ["top", "cut"], ["both_cut"]),
        node("Shape", ["both_cut"], ["t"]),
        node("ConstantOfShape", ["t"], ["fill"], value=numpy_helper.from_array(floats(1.5), "v")),
        node("Expand", ["row", "t"], ["wide"]),
        node("Sum", ["both_cut", "fill", "wide"], ["summed"]),
        node("Slice", ["t", "begin", "two"], ["nc"]),
        node("Concat", ["nc", "double"], ["sizes"], axis=0),
        node(
            "Resize",
            ["summed", "none", "none", "sizes"],
            ["r"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        node("Concat", ["nc", "rest"], ["flat"], axis=0),
        node("Reshape", ["r", "flat"], ["y"]),
    ]
    weights = {
        "k": weight(4, 3, 3, 3), "two": ints(2), "four": ints(4), "both": ints(2, 2),
        "three": ints(3, 3), "zero": np.array(0, I64), "one": np.array(1, I64), "axis": ints(0),
        "begin": ints(0), "axis_2": ints(2), "row": weight(1, 4, 1, 1), "rest": ints(-1),
        "none": floats(),
    }  # fmt: skip
    return nodes, weights


@pytest.mark.parametrize("opset", [12, 17])
def test_sizes_are_computed_at_run_time(opset: int, tmp_path: Path) -> None:
    """At batches that the module was not made for."""
    nodes, weights = size_chain(opset)
    path = save(tmp_path / "g.onnx", nodes, {"x": ("N", 3, "H", "W")}, ["y"], weights, opset)
    model = load_model(path, {"x": (1, 3, 8, 10)})
    assert any(node.op_type == "Where" for node in model.nodes)
    module = OnnxModule(model)
    for shape in ((1, 3, 8, 10), (3, 3, 8, 10)):
        x = np.random.default_rng(1).standard_normal(shape).astype(F32)
        (expected,) = run_onnx(path, {"x": x})
        assert (
            relative_difference(module(torch.from_numpy(x))[0].numpy(force=True), expected) < 1e-5
        )


MODELS = [
    "FastestDet", "efficientnet-lite0", "efficientnet-lite0_legacy", "mobilenetv2", "open-nsfw",
    "ppocrv4_det", "resnet20_cifar", "superresolution", "yolox_common_det", "yunet_n_640",
]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_real_models_equal_the_runtime(name: str, shared: Path) -> None:
    shapes = {"x": (1, 3, 160, 192)} if name == "ppocrv4_det" else None
    model = load_model(shared / "models" / f"{name}.onnx", shapes)
    assert verify(model) < 1e-4


def test_batches_equal_single_samples(shared: Path) -> None:
    for name in ("resnet20_cifar", "FastestDet", "open-nsfw"):
        model = load_model(shared / "models" / f"{name}.onnx")
        module = OnnxModule(model, channels_last=True)
        x = torch.randn(2, *model.inputs[0].shape[1:], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            both, first = module(x), module(x[:1])
        for a, b in zip(both, first, strict=True):
            assert a.shape[0] == 2
            torch.testing.assert_close(a[:1], b, rtol=1e-4, atol=1e-4)


def test_parameters_are_named_as_the_initializers(tmp_path: Path) -> None:
    module = OnnxModule(classifier(tmp_path))
    assert set(module.trained_names) >= {"stem.weight", "stem.bias", "body.weight", "head.bias"}
    assert set(module.arrays()) == set(module.trained_names)
    assert module.parameter("body.weight").shape == (8, 8, 3, 3)
    with pytest.raises(ModelError, match="'nothing'"):
        module.parameter("nothing")
    with pytest.raises(ModelError, match=r"'body.weight' has shape \[8, 8, 3, 3\]"):
        module.load({"body.weight": np.zeros((2, 2), F32)})


@pytest.mark.parametrize("name", ["a.b", "training", "%2E", "forward", "a%.b", "onnx:x"])
def test_names_survive_escaping(name: str) -> None:
    assert unescape(escape(name)) == name
    assert "." not in escape(name)
    assert not hasattr(torch.nn.Module(), escape(name))


def test_constants_that_are_no_weights_do_not_train(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Conv", ["a", "k"], ["c"]),
        helper.make_node("Flatten", ["c"], ["r"]),
        helper.make_node("MatMul", ["r", "m"], ["f"]),
        helper.make_node("Add", ["f", "bias"], ["g"]),
        helper.make_node("Add", ["g", "offset"], ["h"]),
        helper.make_node("Mul", ["h", "scale"], ["y"]),
    ]
    weights = {
        "mean": weight(3, 1, 1), "k": weight(2, 3, 2, 2), "m": weight(18, 5), "bias": weight(5),
        "offset": weight(5), "scale": weight(5),
    }  # fmt: skip
    path = save(tmp_path / "m.onnx", nodes, {"x": (1, 3, 4, 4)}, ["y"], weights)
    trained = set(OnnxModule(load_model(path)).trained_names)
    assert {"k", "m", "bias"} <= trained
    assert not {"mean", "offset", "scale"} & trained


def test_overwriting_relus_change_no_gradient(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    gradients = []
    for inplace in (False, True):
        module = OnnxModule(model, inplace=inplace)
        module(x)[0].square().sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


def test_strided_pointwise_convolutions_of_few_channels_train(tmp_path: Path) -> None:
    """In torch's channels_last format the gradient of one wrote beyond its memory, for some.

    In a process of its own, whose allocator notices: it would end this one.
    """
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((4, 2, 1, 1)).astype(np.float32)}
    proto = model([op("Conv", "x w", "y", strides=[2, 2])], weights, (8, 2, 12, 12), opset=13)
    path = store(proto, tmp_path)
    code = (
        "import sys, torch\n"
        "from alcs_onnx.graph import load_model\n"
        "from alcs_onnx.train.module import OnnxModule\n"
        "module = OnnxModule(load_model(sys.argv[1]), channels_last=True)\n"
        "for _ in range(100):\n"
        "    x = torch.randn(8, 2, 12, 12, requires_grad=True)\n"
        "    module(x)[0].square().sum().backward()\n"
        "print(float(x.grad.abs().sum()) > 0)\n"
    )
    checked = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.check=3", "MALLOC_PERTURB_": "85"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=checked, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr[-500:]


def test_unknown_operator_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="first"),
        helper.make_node("Det", ["c"], ["y"], name="strange"),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": (1, 3, 5, 5)}, ["y"], {"k": weight(2, 3, 1, 1)})
    with pytest.raises(UnsupportedError, match=r"'strange' \(Det, operator set \d+\)"):
        OnnxModule(load_model(path))


def test_what_an_operator_cannot_do_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"], name="first"),
             helper.make_node("Relu", ["s"], ["t"]), helper.make_node("Cast", ["t"], ["u"], to=7),
             helper.make_node("ReduceMax", ["c", "u"], ["y"], name="largest")]  # fmt: skip
    path = save(tmp_path / "m.onnx", nodes, {"x": (1, 3, 5, 5), "s": (1,)}, ["y"],
                {"k": weight(2, 3, 1, 1)}, 18)  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"'largest' \(ReduceMax\).*input 1 \('u'\)"):
        OnnxModule(load_model(path))


def test_newest_fitting_version_is_found(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    conv = model.node("stem")
    assert find(conv, 13) is find(conv, 20)
    assert find(helper_node("Softmax"), 12) is not find(helper_node("Softmax"), 13)
    with pytest.raises(UnsupportedError):
        find(helper_node("Clip"), 10)


def helper_node(op: str) -> Any:
    from alcs_onnx.graph import Node

    return Node("n", op, ("x",), ("y",))


def test_verify_names_the_first_node_that_differs(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    from alcs_onnx.train.verify import runtime_reference

    other = model.with_initializers({"body.bias": model.initializers["body.bias"] + 0.5})

    def reference(_model: Any, feeds: Any, names: Any) -> Any:
        return runtime_reference(other, feeds, names)

    with pytest.raises(AlcsError, match=r"first differ at node 'body' \(Conv\).*allowed 0.0001"):
        verify(model, reference)


def test_prunable_layers_are_the_conv_layers(tmp_path: Path) -> None:
    layers = {layer.name: layer.weight for layer in conv_layers(classifier(tmp_path))}
    assert layers == PRUNABLE
