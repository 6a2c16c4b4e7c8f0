"""Help reads names, summaries and defaults off the registries, and imports nothing for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alcs_onnx.cli import COMMANDS
from alcs_onnx.codebooks import CODEBOOKS
from alcs_onnx.importance import CHANNEL_SCORES, SCORES
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.compare_structures import ComparisonOptions, SearchOptions
from alcs_onnx.pipeline.compress import CompressOptions
from alcs_onnx.pipeline.optimize import METHODS, ChannelOptions
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS
from alcs_onnx.solve import CHANNEL_SOLVERS, RULES, SOLVERS
from alcs_onnx.structures import RANKED, STRUCTURES
from alcs_onnx.target import SCHEMES

REGISTRIES = {
    "methods": METHODS,
    "structures": STRUCTURES,
    "scores": SCORES,
    "channel scores": CHANNEL_SCORES,
    "solvers": SOLVERS,
    "channel solvers": CHANNEL_SOLVERS,
    "rules": RULES,
    "levels": CODEBOOKS,
    "targets": SCHEMES,
}


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=list(REGISTRIES))
def test_every_row_names_something_and_says_what_it_is(registry):
    for name, choice in registry.items():
        assert choice is not None
        assert registry.summary(name)
    assert registry.default in registry


def test_what_is_registered_is_called_so():
    assert all(structure.name == name for name, structure in STRUCTURES.items())
    assert all(levels.name == name for name, levels in CODEBOOKS.items())


def test_every_structure_is_a_method_or_another_method_has_its_name():
    assert set(RANKED) <= set(METHODS)
    others = {"block-int8", "channel", "channel-int8", "hybrid", "int8", "simd-int8"}
    assert set(METHODS) - set(GROUP_METHODS) == others


def test_the_defaults_that_help_names_are_those_of_the_pipeline():
    assert ComparisonOptions().rule == CompressOptions(levels="3bit").rule == RULES.default
    assert CompressOptions(levels="3bit").structure == STRUCTURES.default == METHODS.default
    assert set(SearchOptions().levels) <= set(CODEBOOKS)
    assert ChannelOptions().score == CHANNEL_SCORES.default
    assert ChannelOptions().solver == CHANNEL_SOLVERS.default
    assert Measuring().target == SCHEMES.default


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_that_is_slow(command):
    script = (
        "import sys\n"
        "from alcs_onnx.cli import main\n"
        f"try:\n    main([{command!r}, '--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'scipy', 'torch'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "imported []"
