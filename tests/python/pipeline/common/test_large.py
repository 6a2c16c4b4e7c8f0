"""Models beyond what one protobuf message holds, with the limits brought down to try it."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import run
from small_models import residual_net

from alcs_onnx import api, ort
from alcs_onnx.graph import load_model, loadable, with_outputs
from alcs_onnx.pipeline.common.runnable import open_runnable
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.serialized import StoredModel

QUICK = Measuring(warmup=1, iterations=4)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message holds little more than the nodes."""
    monkeypatch.setattr("alcs_onnx.graph.save._LIMIT", 2_000)
    monkeypatch.setattr("alcs_onnx.graph.tensors.LARGEST", 2_000)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model whose weights lie in a file beside it, as any larger than 2 GB."""
    path = residual_net(tmp_path / "large.onnx")
    proto = onnx.load(path)
    onnx.save(proto, path, save_as_external_data=True, location="large.bin", size_threshold=64)
    return path


def assert_same(first: Path, second: Path) -> None:
    x = {"x": np.random.default_rng(0).standard_normal((3, 3, 12, 12)).astype(np.float32)}
    np.testing.assert_allclose(run(second, x)[0], run(first, x)[0], rtol=1e-4, atol=1e-5)


def test_the_file_runs_where_it_lies(large: Path) -> None:
    file = open_runnable(large)
    assert isinstance(file.data, StoredModel)
    assert file.data.path == large


def test_temporary_files_are_gone_with_the_value(large: Path) -> None:
    stored = loadable(load_model(large))
    assert isinstance(stored, StoredModel)
    inner = with_outputs(stored, ["block1"])
    assert isinstance(inner, StoredModel)
    assert [value.name for value in ort.create_session(inner).outputs] == ["block1"]
    folder = stored.path.parent
    assert folder.is_dir()
    del stored
    gc.collect()
    assert folder.is_dir()
    del inner
    gc.collect()
    assert not folder.exists()


def test_compile(large: Path, tmp_path: Path) -> None:
    result = api.compile_model(large, tmp_path / "out.onnx")
    assert result.check.passed
    assert (tmp_path / "out.onnx.data").is_file()
    assert_same(large, tmp_path / "out.onnx")


@pytest.mark.parametrize("threads", [1, 2])
def test_bench(large: Path, threads: int) -> None:
    how = Measuring(threads, warmup=1, iterations=4)
    result = api.bench([large, large], measuring=how, min_seconds=0.0)
    assert [len(row.samples) for row in result.rows] == [4, 4]


def test_optimize(large: Path, tmp_path: Path) -> None:
    result = api.optimize(large, "85%", tmp_path / "out.onnx", measuring=QUICK)
    assert result.status in {"met", "missed"}
    assert result.check is not None
    assert result.check.passed
    assert (tmp_path / "out.onnx.data").is_file()


def test_a_budget_that_is_met_already_copies_the_model(large: Path, tmp_path: Path) -> None:
    result = api.optimize(large, "1000ms", tmp_path / "out.onnx", measuring=QUICK)
    assert result.status == "unchanged"
    assert_same(large, tmp_path / "out.onnx")
