"""Fixtures shared by all Python tests."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from skip_budget import SkipBudget

_REPOSITORY = Path(__file__).resolve().parents[2]


# How long a case takes says nothing: machines are shared.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(SkipBudget())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker("real_models")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared models and data: $ALCS_SHARED, or `shared` beside the repository."""
    place = Path(os.environ.get("ALCS_SHARED", _REPOSITORY.parent / "shared"))
    if not (place / "models").is_dir():
        pytest.skip(f"no shared models at {place}; set ALCS_SHARED")
    return place


@pytest.fixture(scope="session")
def torch_network() -> Callable[..., bytes]:
    """`zoo.torch_models.network`: each file is exported once in a process."""
    pytest.importorskip("torch")
    from zoo.torch_models import network

    return network


@pytest.fixture
def seed() -> int:
    """The seed of $ALCS_TEST_SEED, which may be `random`: a new one for each test, printed.

    It is fixed otherwise: whoever changes something unrelated is not handed a failure that a new
    seed has found.
    """
    given = os.environ.get("ALCS_TEST_SEED", "0")
    value = random.SystemRandom().randrange(2**31) if given == "random" else int(given)
    print(f"seed: ALCS_TEST_SEED={value}")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def few_samples() -> Iterator[None]:
    """For modules that do not look at what is measured in this process: it is soon over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alcs_onnx.pipeline.common.workload.MIN_SECONDS", 0.02)
        patch.setattr("alcs_onnx.latency.contributions.MIN_SECONDS", 0.01)
        yield
