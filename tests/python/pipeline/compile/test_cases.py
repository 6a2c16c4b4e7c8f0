"""Small models of kinds that went wrong, from end to end: what is written computes the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from coupling_helpers import prunable, random_keep
from graph_helpers import assert_same, run
from onnx import helper

import alcs_onnx
from alcs_onnx import coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import load_model, serialize
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.rewrite import masked, shrink

Rng = np.random.Generator

#: Files that `compile` refuses, by the beginning of their names, and words of the line.
REFUSED = {
    "k13_saved_by_ort_extended": "saved by ONNX Runtime after optimisation",
    "misleading_no_Conv_node_convs_in_If": "are inside node 'If_2' (If)",
}
#: The runtime itself ends the process over these.
CRASHES = ("k15_split_with_empty_output_name",)
#: Files, and so what is written of them, that the runtime's own optimisations compute wrongly.
FUSED_WRONGLY = ("refused_pad0_maxpool",)
#: Files of which no channel can go.
NOTHING_TO_LOSE = (
    "WRONG_opset10_resize_nearest_downscale",
    "WRONG_opset11_hardmax_axis1",
    "empty_reason_and_frozen_ORT_FusedConv",
    "k09_weight_is_graph_output",
    "k11_int_input_selects_branch",
    "k13_saved_by_ort_extended",
    "misleading_no_Conv_node_convs_in_If",
    "refused_opset11_softmax_inside_If_branches_shape_inference",
    "refused_opset7_batchnorm_spatial0",
    "refused_pad0_maxpool_ORT_fuses_it_wrongly",
)
#: Files that fold samples into another axis: the model that ignores channels finds them in one.
OF_ONE_SAMPLE = ("k18_reshape_1_folds_batch",)
#: Open sizes that count samples; others are given beside the file. They all differ.
BATCHES = {"N": 5, "M": 2, "batch": 3}
#: Inputs that not any value will do for.
VALUES = {"sr": 16000}


def cases() -> list[str]:
    """The files' names; where there are none, one that is skipped."""
    shared = os.environ.get("ALCS_SHARED", Path(__file__).resolve().parents[5] / "shared")
    folder = Path(shared) / "cases"
    names = [path.name for path in folder.glob("*.onnx") if not path.name.startswith(CRASHES)]
    return sorted(names) or ["none"]


@pytest.fixture
def case(shared: Path, request: pytest.FixtureRequest) -> Path:
    path = shared / "cases" / str(request.param)
    if not path.is_file():
        pytest.skip(f"no shared models at {path}; set ALCS_SHARED")
    return path


def given_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    beside = path.with_name(f"{path.name}.shapes.json")
    found = json.loads(beside.read_text()) if beside.exists() else {}
    return {name: tuple(shape) for name, shape in found.items()}


def feeds(path: Path, rng: Rng, batches: Mapping[str, int] = BATCHES) -> dict[str, Any]:
    """Random inputs, with several samples wherever their number is open."""
    given, graph = given_shapes(path), onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    values: dict[str, Any] = {}
    for info in graph.input:
        tensor = info.type.tensor_type
        sizes = given.get(info.name, (1,) * len(tensor.shape.dim))
        shape = [
            d.dim_value or batches.get(d.dim_param, s)
            for d, s in zip(tensor.shape.dim, sizes, strict=True)
        ]
        value = rng.standard_normal(shape) if info.name not in VALUES else VALUES[info.name]
        if info.name not in weights:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            values[info.name] = np.asarray(value, dtype)
    return values


def flat(outputs: Iterable[Any]) -> list[np.ndarray]:
    """Outputs that are sequences taken apart."""
    return [x for output in outputs for x in (output if isinstance(output, list) else [output])]


def same(
    actual: bytes | Path, expected: bytes | Path, values: Mapping[str, Any], optimise: bool = True
) -> None:
    """All outputs agree; where values are not finite or no numbers, they are equal."""
    outputs = run(actual, values, optimise), run(expected, values, optimise=False)
    for one, other in zip(*map(flat, outputs), strict=True):
        if other.dtype.kind == "f" and np.isfinite(other).all():
            assert_same([one], [other], 1e-2 if other.dtype == np.float16 else 1e-4)
        else:
            assert np.array_equal(one, other, equal_nan=other.dtype.kind == "f")


@pytest.mark.parametrize("case", cases(), indirect=True)
def test_case_is_compiled(case: Path, tmp_path: Path, rng: Rng) -> None:
    out = tmp_path / "out.onnx"
    settings = InputSettings.of(given_shapes(case), {})
    refused = [words for name, words in REFUSED.items() if case.name.startswith(name)]
    if refused:
        with pytest.raises(AlcsError) as error:
            alcs_onnx.compile_model(case, out, inputs=settings)
        assert refused[0] in str(error.value)
        assert "\n" not in str(error.value)
        assert not out.exists()
        return
    alcs_onnx.compile_model(case, out, inputs=settings)
    same(out, case, feeds(case, rng), optimise=not case.name.startswith(FUSED_WRONGLY))


@pytest.mark.parametrize("case", cases(), indirect=True)
def test_case_loses_channels(case: Path, rng: Rng) -> None:
    """Where it has channels to lose: it computes what the model does that ignores them."""
    loaded = load_model(case, given_shapes(case), needs_conv=False)
    analysed = coupling.analyse(loaded)
    assert bool(prunable(analysed)) != case.name.startswith(NOTHING_TO_LOSE)
    keep = random_keep(analysed, rng)
    small, dense = shrink(loaded, analysed, keep), masked(loaded, analysed, keep)
    assert (small.weight_bytes < loaded.weight_bytes) == bool(keep)
    batches = {} if case.name.startswith(OF_ONE_SAMPLE) else BATCHES
    optimise = not case.name.startswith(FUSED_WRONGLY)
    same(serialize(small), serialize(dense), feeds(case, rng, batches), optimise)
