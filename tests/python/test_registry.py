"""Registries and packages whose names are imported on first use."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from alcs_onnx.errors import AlcsError, TargetError
from alcs_onnx.registry import Registry, Row

#: Packages of which some names are imported on first use.
LAZY = [
    "alcs_onnx",
    "alcs_onnx.importance",
    "alcs_onnx.codebooks",
    "alcs_onnx.pipeline.compare_structures",
    "alcs_onnx.pipeline.optimize",
    "alcs_onnx.solve",
    "alcs_onnx.structures",
    "alcs_onnx.target",
]

COLOURS: Registry[type] = Registry(
    "colour",
    "alcs_onnx.registry",
    {"red": Row("errors:TargetError", "warm"), "blue": Row("nowhere:Blue", "cold, absent")},
)


def test_names_are_read_without_importing_what_they_name():
    assert list(COLOURS) == ["red", "blue"]
    assert len(COLOURS) == 2
    assert "blue" in COLOURS
    assert COLOURS.default == "red"
    assert COLOURS.summary("blue") == "cold, absent"
    assert COLOURS.help == "red = warm; blue = cold, absent"


def test_what_a_row_names_is_imported_when_it_is_looked_up():
    assert COLOURS["red"] is COLOURS.named("red") is TargetError
    with pytest.raises(ModuleNotFoundError):
        COLOURS["blue"]


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(AlcsError, match=r"colour 'green' is not known: use blue, red$"):
        COLOURS.named("green")
    with pytest.raises(AlcsError, match="colour 'green://x' is not known"):
        COLOURS.check("green", given="green://x")
    with pytest.raises(KeyError):
        COLOURS["green"]
    assert COLOURS.get("green") is None


@pytest.mark.parametrize("package", LAZY)
def test_every_exported_name_is_there(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize("package", LAZY)
def test_importing_a_package_is_cheap(package):
    script = f"import sys, {package}; print({{'numpy', 'onnx', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
