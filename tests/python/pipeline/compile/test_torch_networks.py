"""Networks as torch's exporter writes them, sparse: compiled, they are the same file still.

What is written computes what the file with the zeros does, in the runtime alone, and is that file
but for the layers that became sparse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, feed, run_each, store
from pruned_files import random_plan, with_masked_weights
from users_file import changes, new_nodes
from zoo import NETWORKS, OPEN_SIZES

import alcs_onnx
from alcs_onnx.graph import conv_layers, load_model
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.types import Shape

#: Networks that are tested with the one size that they were made with, too: one of which the
#: exporter then writes other nodes, and some that are small.
FIXED = ("shufflenet_v2", "squeezenet", "unet_resize", "yolo_c2f")


def check(data: bytes, shapes: Sequence[Shape], folder: Path, rng: np.random.Generator) -> None:
    """The file made sparse at random, compiled, and compared at `shapes` of its input `x`."""
    given = {"x": shapes[0]}
    dense = onnx.load_from_string(data)
    loaded = load_model(store(dense, folder), given)
    layers = {layer.name for layer in conv_layers(loaded)}
    assert layers == {node.name for node in dense.graph.node if node.op_type == "Conv"}
    sparse = with_masked_weights(dense, loaded, random_plan(loaded, layers, rng).keep)
    path, out = store(sparse, folder, "sparse.onnx"), folder / "out.onnx"
    assert alcs_onnx.compile_model(path, out, input_shapes=given).mac_ratio < 1
    written = onnx.load(out)
    assert not changes(sparse, written)
    assert {node.domain for node in new_nodes(sparse, written)} == {OP_DOMAIN}
    assert not any(node.op_type == "Conv" for node in written.graph.node)
    feeds = [feed(shape, rng) for shape in shapes]
    outputs = run_each(out, feeds), run_each(path, feeds, optimise=False)
    for actual, expected in zip(*outputs, strict=True):
        assert_same(actual, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_network_of_open_sizes(
    name: str, torch_network: Callable[..., bytes], tmp_path: Path, rng: np.random.Generator
) -> None:
    check(torch_network(name, open_sizes=True), OPEN_SIZES, tmp_path, rng)


@pytest.mark.parametrize("name", FIXED)
def test_network_of_one_size(
    name: str, torch_network: Callable[..., bytes], tmp_path: Path, rng: np.random.Generator
) -> None:
    check(torch_network(name), [(1, 3, 64, 64)], tmp_path, rng)
