"""Random files, and what is written of them, in ONNX Runtime: outputs agree at every batch.

The original file itself is what results are compared with: as it is where nothing is pruned, and
with masked weights where weights are. Where channels are removed it is the model that ignores them,
which in turn has to agree with itself outside of its file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.printer
import pytest
from all_tensors import assert_names_mean_the_same
from coupling_helpers import random_keep
from graph_helpers import assert_same, run
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from opset_network import OPSETS
from pruned_files import random_plan, with_masked_weights
from random_files import files
from users_file import changed_constants, changes, new_nodes

from alcs_onnx import coupling
from alcs_onnx.graph import Model, load_model, serialize
from alcs_onnx.graph.proto import name_nodes
from alcs_onnx.graph.upgrade import upgrade
from alcs_onnx.rewrite import compile_sparse, masked, rewrite, shrink
from alcs_onnx.sparse_format import OP_DOMAIN

BATCHES = (1, 2, 5)
VERSIONS = (9, 11, 13, 17, OPSETS[-1])
Feeds = Mapping[int, Mapping[str, np.ndarray]]


def read(proto: onnx.ModelProto) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        path.write_bytes(proto.SerializeToString())
        return load_model(path)


def feeds_of(proto: onnx.ModelProto, rng: np.random.Generator) -> Feeds:
    sizes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim[1:]]
        for info in proto.graph.input
    }
    return {
        batch: {n: rng.standard_normal((batch, *s)).astype(np.float32) for n, s in sizes.items()}
        for batch in BATCHES
    }


def check_compiled(proto: onnx.ModelProto, loaded: Model, feeds: Feeds) -> None:
    """Loading and compiling change nothing of what the original gives, nor else of the file."""
    data = proto.SerializeToString()
    compiled = compile_sparse(loaded).model
    for model in (loaded, compiled):
        written = serialize(model)
        for values in feeds.values():
            assert_same(run(written, values), run(data, values, optimise=False))
        assert not changes(proto, onnx.load_from_string(written))
    assert not new_nodes(proto, onnx.load_from_string(serialize(loaded)))
    assert any(node.domain == OP_DOMAIN for node in compiled.nodes)


def check_plan(
    proto: onnx.ModelProto, loaded: Model, feeds: Feeds, rng: np.random.Generator
) -> None:
    file = upgrade(proto)
    name_nodes(file.graph)
    convs = {node.name for node in file.graph.node if node.op_type == "Conv"}
    plan = random_plan(loaded, convs, rng)
    excluded = [name for name in plan.keep if rng.random() < 0.3]
    pruned = rewrite(loaded, plan, excluded).model
    written = serialize(pruned)
    expected = with_masked_weights(file, loaded, plan.keep).SerializeToString()
    for values in feeds.values():
        assert_same(run(written, values), run(expected, values, optimise=False))
    assert not changes(proto, onnx.load_from_string(written), changed_constants(pruned))


def check_channels(
    proto: onnx.ModelProto, loaded: Model, feeds: Feeds, rng: np.random.Generator
) -> None:
    analysed = coupling.analyse(loaded)
    keep = random_keep(analysed, rng)
    ignoring = masked(loaded, analysed, keep)
    small = shrink(loaded, analysed, keep)
    expected, written = serialize(ignoring), serialize(small)
    assert_same(run(expected, feeds[1]), run(serialize(ignoring.detached()), feeds[1]))
    for values in feeds.values():
        assert_same(run(written, values), run(expected, values))
    assert not changes(proto, onnx.load_from_string(written), changed_constants(small))


def each_file(
    opset: int, count: int, check: Callable[[onnx.ModelProto, Model, np.random.Generator], None]
) -> None:
    """Always the same files: a failure in one run is a failure in all."""

    @settings(
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        max_examples=count,
        suppress_health_check=list(HealthCheck),
    )
    @given(files(opset), st.integers(0, 2**20))
    def run_check(proto: onnx.ModelProto, seed: int) -> None:
        note(onnx.printer.to_text(proto))  # told when it fails
        check(proto, read(proto), np.random.default_rng(seed))

    run_check()


@pytest.mark.parametrize("opset", VERSIONS)
def test_random_file(opset: int) -> None:
    def check(proto: onnx.ModelProto, loaded: Model, rng: np.random.Generator) -> None:
        feeds = feeds_of(proto, rng)
        assert_names_mean_the_same(proto.SerializeToString(), loaded, feeds[1])
        check_compiled(proto, loaded, feeds)
        check_plan(proto, loaded, feeds, rng)
        check_channels(proto, loaded, feeds, rng)

    each_file(opset, 40, check)


def test_random_files_have_what_they_are_to_test() -> None:
    """Else the test above would prove little."""
    found: list[set[str]] = []

    def look(proto: onnx.ModelProto, loaded: Model, rng: np.random.Generator) -> None:
        keep = random_keep(coupling.analyse(loaded), rng)
        kinds = {node.domain or node.op_type for node in proto.graph.node}
        found.append(kinds | ({"prunable"} if keep else set()))

    each_file(17, 60, look)
    for kind, least in {"prunable": 0.6, "Shape": 0.3, "If": 0.1, "local": 0.1, "Constant": 0.1,
                        "Identity": 0.1, "Add": 0.1, "Resize": 0.05}.items():  # fmt: skip
        share = np.mean([kind in kinds for kinds in found])
        assert share >= least, f"{kind}: {share:.0%}"
