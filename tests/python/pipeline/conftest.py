"""A network and its compiled form, one pair for the tests of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_models import residual_net

import alcs_onnx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def network(folder: Path) -> Path:
    return residual_net(folder / "net.onnx")


@pytest.fixture(scope="module")
def compiled(network: Path, folder: Path) -> Path:
    out = folder / "compiled.onnx"
    alcs_onnx.compile_model(network, out)
    return out
