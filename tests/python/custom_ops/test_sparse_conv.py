"""The custom-op library inside ONNX Runtime: what it computes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from op_models import Case, Tensors, dense_twin, expected, make_model, random_tensors
from op_sessions import ORT_ERRORS, create_session, refusal

from alcs_onnx.graph.activations import GATES
from alcs_onnx.ort import get_library_path


def check(case: Case, tensors: Tensors, output: np.ndarray) -> None:
    y, bound = expected(case, tensors)
    assert output.shape == y.shape
    assert output.dtype == np.float32
    worst = np.max(np.abs(output - y) - bound, initial=0)
    assert worst <= 0, f"{case}: {worst} beyond the rounding error of float32"


def run(case: Case, threads: int = 1, **options: Any) -> None:
    tensors = random_tensors(case)
    session = create_session(make_model(case, tensors, **options), threads)
    check(case, tensors, session.run(None, tensors.feeds)[0])


ONE_D = Case(size=(37,), kernel=(5,), strides=(1,), pads=(2, 2), dilations=(1,), in_channels=6)
DEPTHWISE = Case(in_channels=12, out_channels=12, group=12, simd_group=1, density=1)

CASES = {
    "3x3": Case(),
    "1x1": Case(kernel=(1, 1), pads=(0,) * 4, in_channels=24, size=(7, 7)),
    "1x1 stride 2": Case(kernel=(1, 1), pads=(0,) * 4, strides=(2, 2), in_channels=24),
    "7x7 stride 2": Case(kernel=(7, 7), pads=(3,) * 4, strides=(2, 2), size=(33, 31)),
    "strides differ": Case(strides=(2, 3), size=(17, 20)),
    "pads differ": Case(pads=(0, 2, 1, 0)),
    "no padding": Case(pads=(0,) * 4, kernel=(3, 2)),
    "dilated": Case(dilations=(2, 3), pads=(2, 3, 2, 3), size=(15, 17)),
    "dilated and strided": Case(dilations=(2, 2), strides=(2, 2), pads=(2,) * 4, size=(15, 17)),
    "grouped": Case(in_channels=12, out_channels=18, group=3),
    "depthwise": DEPTHWISE,
    "depthwise 5x5 stride 2": replace(DEPTHWISE, kernel=(5, 5), strides=(2, 2), pads=(2,) * 4),
    "depthwise multiplier": replace(DEPTHWISE, out_channels=24, simd_group=2, density=0.7),
    "1-D": ONE_D,
    "1-D strided": replace(ONE_D, strides=(3,), dilations=(2,), pads=(4, 1)),
    "1-D depthwise": replace(ONE_D, in_channels=8, group=8, simd_group=1),
    "groups of 16": Case(out_channels=32, simd_group=16),
    "groups of 8, padded block": Case(out_channels=11, simd_group=8),
    "groups of 5": Case(out_channels=13, simd_group=5),
    "whole column": Case(out_channels=12, simd_group=12),
    "dense": Case(density=1),
    "nearly empty": Case(density=0.01, in_channels=32),
    "empty": Case(density=0),
    "one pixel": Case(size=(1, 1)),
    "batch": Case(batch=3),
    "Relu": Case(low=0),
    "Relu6": Case(low=0, high=6),
    "LeakyRelu": Case(slope=0.1),
    "residual": Case(residual=True),
    "residual, Relu": Case(residual=True, low=0, batch=2),
    "residual, 1-D": replace(ONE_D, residual=True),
    "residual, depthwise": replace(DEPTHWISE, residual=True, low=0),
    "HardSwish": Case(gate=1),
    "Silu": Case(gate=2),
    "HardSwish, 1x1": Case(gate=1, kernel=(1, 1), pads=(0,) * 4, in_channels=24, size=(7, 7)),
    "Silu, 7x7 stride 2": Case(
        gate=2, kernel=(7, 7), pads=(3,) * 4, strides=(2, 2), size=(83, 91), batch=2
    ),
    "HardSwish, depthwise": replace(DEPTHWISE, gate=1, size=(40, 50)),
    "Silu, depthwise stride 2": replace(DEPTHWISE, gate=2, strides=(2, 2)),
    "Silu, 1-D": replace(ONE_D, gate=2),
    "residual, HardSwish": Case(residual=True, gate=1, batch=2),
    "residual, Silu, depthwise": replace(DEPTHWISE, residual=True, gate=2),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_output(name: str, threads: int) -> None:
    run(CASES[name], threads)


@pytest.mark.parametrize("name", ["3x3", "dilated", "grouped", "depthwise", "1-D", "residual"])
def test_expectation_agrees_with_onnxruntime(name: str) -> None:
    case = CASES[name]
    tensors = random_tensors(case)
    session = ort.InferenceSession(dense_twin(case, tensors), providers=["CPUExecutionProvider"])
    check(case, tensors, session.run(None, tensors.feeds)[0])


@pytest.mark.parametrize("name", ["3x3", "residual", "1-D", "depthwise 5x5 stride 2"])
def test_dynamic_batch(name: str) -> None:
    case = CASES[name]
    session = create_session(make_model(case, random_tensors(case), dynamic=(0,)))
    for batch in (1, 4, 2, 1):
        batched = replace(case, batch=batch)
        tensors = random_tensors(batched)
        check(batched, tensors, session.run(None, tensors.feeds)[0])


def test_more_sizes_than_plans_are_kept() -> None:
    case = Case()
    session = create_session(make_model(case, random_tensors(case), dynamic=(0, 2, 3)))
    for size in [*range(4, 16), *range(4, 16)]:
        sized = replace(case, size=(size, size + 1))
        tensors = random_tensors(sized)
        check(sized, tensors, session.run(None, tensors.feeds)[0])


def test_empty_batch() -> None:
    case = Case()
    session = create_session(make_model(case, random_tensors(case), dynamic=(0,)))
    x = np.zeros((0, 8, 9, 11), np.float32)
    assert session.run(None, {"x": x})[0].shape == (0, 8, 9, 11)


@pytest.mark.parametrize(
    ("case", "dynamic", "shape"),
    [
        (Case(strides=(2, 2)), (), [1, 8, 5, 6]),
        (Case(strides=(2, 2)), (0,), ["d0", 8, 5, 6]),
        (Case(), (0, 2, 3), ["d0", 8, "d2", "d3"]),
        (Case(strides=(2, 2)), (2,), [1, 8, "((d2-1)/2+1)", 6]),
        (ONE_D, (), [1, 8, 37]),
    ],
)
def test_output_shape_is_inferred(
    case: Case, dynamic: tuple[int, ...], shape: list[int | str]
) -> None:
    session = create_session(make_model(case, random_tensors(case), dynamic=dynamic))
    assert session.get_outputs()[0].shape == shape


def test_threads_share_a_session() -> None:
    case = Case(in_channels=32, out_channels=32, size=(20, 20), residual=True)
    tensors = random_tensors(case)
    session = create_session(make_model(case, tensors, dynamic=(0, 2, 3)), threads=2)
    others = [random_tensors(replace(case, batch=b, size=(10 + b, 20))) for b in (1, 2, 3)]
    alone = [session.run(None, t.feeds)[0] for t in others]
    wrong: list[int] = []

    def work(first: int) -> None:
        for i in range(first, first + 40):
            k = i % len(others)
            if not np.array_equal(session.run(None, others[k].feeds)[0], alone[k]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_threads_do_not_change_the_result() -> None:
    case = Case(in_channels=32, out_channels=48, size=(28, 28))
    tensors = random_tensors(case)
    model = make_model(case, tensors)
    one, two = (create_session(model, threads).run(None, tensors.feeds)[0] for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_two_sessions_and_a_session_after_them() -> None:
    case = Case()
    tensors = random_tensors(case)
    model = make_model(case, tensors)
    sessions = [create_session(model), create_session(model)]
    for session in sessions:
        check(case, tensors, session.run(None, tensors.feeds)[0])
    del session, sessions
    check(case, tensors, create_session(model).run(None, tensors.feeds)[0])


def first_swapped(positions: np.ndarray) -> np.ndarray:
    swapped = positions.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    return swapped


BAD_INITIALIZERS = {
    "unsorted": lambda t: {"positions": first_swapped(t.positions)},
    "repeated": lambda t: {"positions": np.sort(np.append(t.positions[1:], t.positions[-1]))},
    "negative": lambda t: {"positions": np.append(np.int32(-1), t.positions[1:])},
    "beyond the last": lambda t: {"positions": np.append(t.positions[:-1], np.int32(2 * 72))},
    "far beyond": lambda t: {"positions": np.append(t.positions[:-1], np.int32(2**31 - 1))},
    "fewer values": lambda t: {"values": t.values[:-1]},
    "fewer positions": lambda t: {"positions": t.positions[:-1]},
    "other group size": lambda t: {"values": t.values.reshape(-1, 2)},
    "flat values": lambda t: {"values": t.values.reshape(-1)},
    "positions in a column": lambda t: {"positions": t.positions.reshape(-1, 1)},
    "short bias": lambda t: {"bias": t.bias[:-1]},
    "no bias": lambda t: {"bias": t.bias[:0]},
    "scalar bias": lambda t: {"bias": t.bias[0].reshape(())},
}


@pytest.mark.parametrize("name", BAD_INITIALIZERS)
def test_bad_weights_are_refused(name: str) -> None:
    case = Case()
    tensors = random_tensors(case)
    bad = BAD_INITIALIZERS[name](tensors)
    bad = {k: v.astype(np.int32) if k == "positions" else v for k, v in bad.items()}
    message = refusal(make_model(case, tensors, initializers=bad, node_name="layer3.conv"))
    assert "SimdSparseConv node 'layer3.conv': " in message


@pytest.mark.parametrize("name", ["values", "positions", "bias"])
def test_weights_that_are_not_constant_are_refused(name: str) -> None:
    case = Case()
    model = make_model(case, random_tensors(case), initializers={name: None})
    message = refusal(model)
    assert f"node 'sparse_conv': input '{name}' has to be a constant initializer" in message


BAD_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "no out_channels": {"out_channels": None},
    "no slope": {"slope": None},
    "no pads": {"pads": None},
    "float out_channels": {"out_channels": 8.0},
    "zero out_channels": {"out_channels": 0},
    "negative in_channels": {"in_channels": -8},
    "huge in_channels": {"in_channels": 2**62},
    "zero simd_group": {"simd_group": 0},
    "huge simd_group": {"simd_group": 2**40},
    "group does not divide": {"group": 3},
    "zero group": {"group": 0},
    "three axes": {"kernel_shape": [3, 3, 3]},
    "one axis of two": {"kernel_shape": [3]},
    "empty kernel": {"kernel_shape": [0, 3]},
    "huge kernel": {"kernel_shape": [2**32, 2**32]},
    "zero stride": {"strides": [0, 1]},
    "one stride": {"strides": [1]},
    "negative pad": {"pads": [0, 0, -1, 0]},
    "two pads": {"pads": [1, 1]},
    "zero dilation": {"dilations": [1, 0]},
    "huge dilation": {"dilations": [2**62, 2**62]},
    "empty range": {"low": 1.0, "high": 0.0},
    "slope that is no number": {"slope": float("nan")},
    "gate beyond the last": {"gate": len(GATES) + 1},
    "gate -1": {"gate": -1},
    "gate beyond 32 bits": {"gate": 2**32 + 1},
    "float gate": {"gate": 1.0},
    "gate by name": {"gate": "silu"},
    "gates": {"gate": [1]},
    "gate and slope": {"gate": 1, "slope": 0.5},
    "gate and Relu": {"gate": 2, "low": 0.0},
    "gate and an upper bound": {"gate": 2, "high": 6.0},
    "kernel larger than the input": {"dilations": [9, 9]},
}


@pytest.mark.parametrize("name", BAD_ATTRIBUTES)
def test_bad_attributes_are_refused(name: str) -> None:
    case = Case()
    model = make_model(case, random_tensors(case), attributes=BAD_ATTRIBUTES[name])
    message = refusal(model)
    assert "SimdSparseConv node 'sparse_conv': " in message
    assert "gate" in message or "gate" not in BAD_ATTRIBUTES[name]


def test_long_node_names_are_told_whole() -> None:
    case = Case()
    name = "model/" + "block/" * 100 + "conv"
    model = make_model(case, random_tensors(case), attributes={"group": 0}, node_name=name)
    assert f"node '{name}'" in refusal(model)


def test_input_of_other_rank_or_channels_is_refused() -> None:
    case = Case()
    tensors = random_tensors(case)
    wrong_channels = make_model(case, tensors, dynamic=(0, 1, 2, 3))
    session = create_session(wrong_channels)
    x = np.zeros((1, 9, 9, 11), np.float32)
    with pytest.raises(ORT_ERRORS, match=r"'sparse_conv': input 'X' has the shape \[1, 9, 9, 11\]"):
        session.run(None, {"x": x})
    check(case, tensors, session.run(None, tensors.feeds)[0])

    tensors.feeds["x"] = tensors.feeds["x"][0]
    message = refusal(make_model(case, tensors))
    assert "node 'sparse_conv': input 'X' has the shape [8, 9, 11]" in message


def test_residual_of_other_shape_is_refused() -> None:
    case = Case(residual=True)
    session = create_session(make_model(case, random_tensors(case), dynamic=(0, 2, 3)))
    feeds = random_tensors(case).feeds
    feeds["r"] = feeds["r"][:, :, :-1]
    with pytest.raises(ORT_ERRORS, match="'sparse_conv': input 'residual' has the shape"):
        session.run(None, feeds)


def test_too_small_an_input_is_refused() -> None:
    case = Case(pads=(0,) * 4)
    session = create_session(make_model(case, random_tensors(case), dynamic=(2, 3)))
    with pytest.raises(ORT_ERRORS, match="'sparse_conv': "):
        session.run(None, {"x": np.zeros((1, 8, 2, 11), np.float32)})


def in_subprocess(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a Python of its own, where this folder can be imported."""
    paths = [str(Path(__file__).parent), *sys.path]
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


RUN_ONE = """
    from test_sparse_conv import CASES, run
    run(CASES["3x3"])
"""


def test_unknown_forced_isa_is_refused() -> None:
    done = in_subprocess(RUN_ONE, ALCS_FORCE_ISA="sse9")
    assert done.returncode == 1
    assert "node 'sparse_conv': " in done.stderr
    assert "sse9" in done.stderr


@pytest.mark.parametrize("isa", ["reference", "scalar"])
def test_forced_isa_runs(isa: str) -> None:
    done = in_subprocess(RUN_ONE, ALCS_FORCE_ISA=isa)
    assert done.returncode == 0, done.stderr


def test_library_exports_what_others_call() -> None:
    done = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", str(get_library_path())],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split()[0] for line in done.stdout.splitlines()}
    assert names == {"RegisterCustomOps", "alcs_isa"}
