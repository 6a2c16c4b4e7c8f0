"""MaxPool -> SimdMaxPool: when, and that it means the same with and without the library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store

from alcs_onnx import ort
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import load_model, serialize
from alcs_onnx.rewrite import rewrite
from alcs_onnx.rewrite.pooling import WINDOWS
from alcs_onnx.sparse_format import OP_CONV, OP_MAX_POOL

Rng = np.random.Generator
POOL: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def pooled(tmp_path: Path, rng: Rng, size: int = 17, between: list | None = None, **pool):
    """x -> conv -> (between, which reads a and writes b) -> pool -> y, on disk and loaded."""
    between = between or [op("LeakyRelu", "a", "b")]
    nodes = [op("Conv", "x w", "a", "conv"), *between, op("MaxPool", "b", "y", "pool", **pool)]
    weights = {"w": conv_weight(rng, 12, 8, 1, 1), "p": conv_weight(rng, 12, 12, 1, 1)}
    shape = (2, 8, size, size + 3)
    return load_model(store(model(nodes, weights, shape), tmp_path)), shape


@pytest.mark.parametrize(
    "pool",
    [
        POOL,
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 2, 0]},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [16, 17])
def test_pools_are_replaced(tmp_path: Path, rng: Rng, pool: dict, size: int) -> None:
    loaded, shape = pooled(tmp_path, rng, size, **pool)
    result = rewrite(loaded).model
    assert [node.op_type for node in result.nodes] == [OP_CONV, OP_MAX_POOL]
    written = serialize(result)
    onnx.checker.check_model(written, full_check=True)
    x = feed(shape, rng)
    expected = run(serialize(loaded), x, optimise=False)
    assert_same(run(written, x), expected)  # by the function body
    with_library = ort.run(ort.create_session(written), x)
    assert_same(list(with_library.values()), expected)


@pytest.mark.parametrize(
    "pool",
    [
        {"kernel_shape": [3, 2], "strides": [2, 2]},
        {"kernel_shape": [7, 7], "strides": [1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "dilations": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
def test_other_windows_stay(tmp_path: Path, rng: Rng, pool: dict) -> None:
    result = rewrite(pooled(tmp_path, rng, **pool)[0]).model
    assert result.nodes[-1].op_type == "MaxPool"


def test_a_pool_with_indices_stays(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("MaxPool", "a", "p i", "pool", **POOL),
        op("Cast", "i", "f", to=onnx.TensorProto.FLOAT),
        op("Add", "p f", "y"),
    ]
    loaded = load_model(
        store(model(nodes, {"w": conv_weight(rng, 8, 8, 1, 1)}, (1, 8, 9, 9)), tmp_path)
    )
    assert rewrite(loaded).model.nodes[1].op_type == "MaxPool"


@pytest.mark.parametrize(
    ("between", "becomes"),
    [
        ([op("Relu", "a", "b")], "MaxPool"),
        ([op("Concat", "a a", "b", axis=1)], "MaxPool"),
        ([op("Softmax", "a", "b", axis=1)], OP_MAX_POOL),  # plain layout in any case
        ([op("Conv", "a p", "b", "second")], OP_MAX_POOL),
    ],
    ids=["activation", "concat", "softmax", "conv"],
)
def test_pools_behind_a_conv_left_alone_stay(
    tmp_path: Path, rng: Rng, between: list, becomes: str
) -> None:
    """There the activations are blocked, and ONNX Runtime's own pool reads them as they are."""
    loaded, _ = pooled(tmp_path, rng, between=between, **POOL)
    result = rewrite(loaded, excluded=["conv"]).model
    assert result.nodes[-1].op_type == becomes


def test_a_pool_between_integers_stays(tmp_path: Path, rng: Rng) -> None:
    """The runtime pools the integers themselves."""
    between = [op("QuantizeLinear", "a s z", "q"), op("DequantizeLinear", "q s z", "b")]
    nodes = [op("Conv", "x w", "a", "conv"), *between, op("MaxPool", "b", "y", "pool", **POOL)]
    weights = {"w": conv_weight(rng, 12, 8, 1, 1), "s": np.float32(0.1), "z": np.uint8(128)}
    loaded = load_model(store(model(nodes, weights, (2, 8, 17, 20)), tmp_path))
    ops = [node.op_type for node in rewrite(loaded).model.nodes]
    assert ops == [OP_CONV, "QuantizeLinear", "DequantizeLinear", "MaxPool"]


def test_a_written_pool_is_read_back(tmp_path: Path, rng: Rng) -> None:
    loaded, shape = pooled(tmp_path, rng, **POOL)
    again = load_model(store(onnx.load_from_string(serialize(rewrite(loaded).model)), tmp_path))
    assert again.nodes[-1].is_op("MaxPool")
    x = feed(shape, rng)
    assert_same(run(serialize(again), x), run(serialize(loaded), x))


def pool_model(shape: tuple, **attributes: object) -> bytes:
    node = op("SimdMaxPool", "x", "y", "pool", domain="ai.alcs", **attributes)
    return model([node], {}, shape, domains={"ai.alcs": 1}).SerializeToString()


GOOD = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pads": [0, 0, 2, 0]}, "pads of 2 for a window of 2"),
        ({"pads": [0, 0]}, "attribute 'pads' has 2 entries where 4 are needed"),
        ({"kernel_shape": [2]}, "has 2 entries where 1 are needed"),
        ({"strides": [0, 2]}, "strides is 0"),
        ({"strides": 2}, "attribute 'strides' has 0 entries where 2 are needed"),
    ],
    ids=str,
)
def test_a_wrong_pool_is_refused(change: dict, reason: str) -> None:
    with pytest.raises(AlcsError, match=reason):
        ort.create_session(pool_model((1, 4, 8, 8), **(GOOD | change)))


def test_sizes_may_change_from_run_to_run(rng: Rng) -> None:
    """Also with more images and threads; too small an image is refused by name."""
    source = pool_model((None, 4, None, None), **GOOD)
    session = ort.create_session(source, threads=2)
    for shape in [(1, 4, 8, 8), (3, 4, 5, 9), (2, 4, 300, 200)]:
        x = feed(shape, rng)["x"]
        expected = x[:, :, : shape[2] // 2 * 2, : shape[3] // 2 * 2]
        expected = expected.reshape(*shape[:2], shape[2] // 2, 2, shape[3] // 2, 2).max((3, 5))
        np.testing.assert_array_equal(ort.run(session, {"x": x})["y"], expected)
    with pytest.raises(AlcsError, match=r"'pool'.*the kernel is larger"):
        ort.run(session, {"x": np.zeros((1, 4, 1, 8), np.float32)})


def test_the_list_of_windows_is_that_of_the_kernels() -> None:
    registry = Path(__file__).parents[3] / "runtime/src/kernels/kernels.inc"
    rows = re.findall(r"^ALCS_MAX_POOL\((\w+), (\d), (\d)\)", registry.read_text(), re.MULTILINE)
    for isa in {row[0] for row in rows}:
        assert {(int(k), int(s)) for i, k, s in rows if i == isa} == WINDOWS
