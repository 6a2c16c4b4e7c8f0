"""What is written is the user's file, but for what was changed: `users_file` says precisely."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from all_tensors import assert_names_mean_the_same
from coupling_helpers import random_keep
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph
from users_file import changed_constants, changes, new_nodes
from zoo import NETWORKS, OPEN_SIZES
from zoo.handmade import GRAPHS

from alcs_onnx import coupling
from alcs_onnx.errors import ModelError, UnsupportedError
from alcs_onnx.graph import Model, conv_layers, load_model, serialize
from alcs_onnx.rewrite import compile_sparse, random_model, shrink
from alcs_onnx.sparse_format import OP_DOMAIN

Rng = np.random.Generator
SHAPES = {"ppocrv4_det.onnx": {"x": (1, 3, 96, 96)}}
#: The runtime itself ends the process over these.
CRASHES = ("k15_split_with_empty_output_name",)
MODELS = (
    "FastestDet.onnx",
    "efficientnet-lite0.onnx",
    "efficientnet-lite0_legacy.onnx",
    "mobilenetv2.onnx",
    "open-nsfw.onnx",
    "ppocrv4_det.onnx",
    "resnet20_cifar.onnx",
    "superresolution.onnx",
    "yolox_common_det.onnx",
    "yunet_n_640.onnx",
)


def variants(loaded: Model, rng: Rng) -> Iterator[tuple[str, Model]]:
    """What the commands make of a model."""
    yield "unchanged", loaded.as_loaded()  # before subnormal weights were made zeros
    yield "compiled", compile_sparse(loaded).model
    layers = [layer.name for layer in conv_layers(loaded)]
    densities = dict.fromkeys(layers[::2], 0.5)
    yield "pruned", random_model(loaded, densities, 4, 1, layers[1::3]).model
    analysed = coupling.analyse(loaded)
    yield "with fewer channels", shrink(loaded, analysed, random_keep(analysed, rng))


def check(path: Path, rng: Rng, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Model:
    """Every variant of the file is the file but for what is allowed, and valid."""
    original = onnx.load(path)
    loaded = load_model(path, shapes, needs_conv=False)
    for what, model in variants(loaded, rng):
        data = serialize(model)
        written = onnx.load_from_string(data)
        found = changes(original, written, changed_constants(model))
        new = new_nodes(original, written)
        if what == "unchanged":
            found += [f"{node.op_type} '{node.name}' is new" for node in new]
        if what == "compiled":
            found += [f"'{node.name}' is not ours" for node in new if not is_ours(node, model)]
        assert not found, f"{what}: {found}"
        onnx.checker.check_model(data, full_check=True)
    return loaded


def is_ours(node: onnx.NodeProto, model: Model) -> bool:
    """One of the library's operators, or a Cast from or to float16 beside one."""
    half = {name for name, dtype in model.dtypes.items() if dtype == np.float16}
    cast = node.op_type == "Cast" and not half.isdisjoint([*node.input, *node.output])
    return node.domain == OP_DOMAIN or cast


def feeds(loaded: Model, rng: Rng) -> dict[str, np.ndarray]:
    return {info.name: rng.uniform(0, 1, info.shape).astype(info.dtype) for info in loaded.inputs}


@pytest.mark.parametrize("name", MODELS)
def test_real_model(shared: Path, rng: Rng, name: str) -> None:
    path = shared / "models" / name
    loaded = check(path, rng, SHAPES.get(name))
    common = assert_names_mean_the_same(path.read_bytes(), loaded, feeds(loaded, rng))
    assert len(common) > len(conv_layers(loaded))


@pytest.mark.parametrize("name", GRAPHS)
def test_handmade_graph(tmp_path: Path, rng: Rng, name: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(GRAPHS[name]().SerializeToString())
    loaded = check(path, rng)
    assert assert_names_mean_the_same(path.read_bytes(), loaded, feeds(loaded, rng))


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_network_at_open_sizes(
    torch_network: Callable[..., bytes], tmp_path: Path, rng: Rng, name: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(torch_network(name, open_sizes=True))
    loaded = check(path, rng, {"x": OPEN_SIZES[0]})
    common = assert_names_mean_the_same(path.read_bytes(), loaded, feeds(loaded, rng))
    assert len(common) > len(conv_layers(loaded))


def test_cases(shared: Path, rng: Rng) -> None:
    """Small models of kinds that went wrong."""
    paths = sorted((shared / "cases").glob("*.onnx"))
    if not paths:
        pytest.skip(f"no shared models at {shared / 'cases'}; set ALCS_SHARED")
    compared = 0
    for path in paths:
        if path.name.startswith(CRASHES):
            with pytest.raises(ModelError, match="on which ONNX Runtime crashes"):
                load_model(path)
            continue
        sizes = path.with_name(f"{path.name}.shapes.json")
        shapes = json.loads(sizes.read_text()) if sizes.exists() else None
        try:
            loaded = check(path, rng, shapes)
        except UnsupportedError:
            continue  # of what may be refused, the tests of commands know
        except AssertionError as error:
            raise AssertionError(f"{path.name}: {error}") from error
        try:
            assert_names_mean_the_same(path.read_bytes(), loaded, feeds(loaded, rng))
        except (Fail, InvalidGraph):
            continue  # the runtime has no such operators, or takes no such values
        compared += 1
    assert compared > len(paths) / 2
