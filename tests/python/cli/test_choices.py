"""The names that flags offer are those of the registries, which `--help` does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alcs_onnx.channel_importance import CHANNEL_SCORES

from alcs_onnx.cli import choices
from alcs_onnx.levels import LEVEL_SETS
from alcs_onnx.pipeline.common.workload import GROUP_METHODS
from alcs_onnx.pipeline.compare_structures import (
    DEFAULT_STRUCTURES,
    ComparisonOptions,
    SearchOptions,
)
from alcs_onnx.pipeline.compress import CompressOptions
from alcs_onnx.pipeline.optimize import METHODS, ChannelOptions
from alcs_onnx.solve import CHANNEL_SOLVERS, DEFAULT_METHOD, RULES, SOLVERS
from alcs_onnx.structures import STRUCTURES


@pytest.mark.parametrize(
    ("offered", "registry"),
    [
        (choices.GROUP_METHODS, GROUP_METHODS),
        (choices.METHODS, METHODS),
        (choices.PROJECTIONS, SOLVERS),
        (choices.CHANNEL_SCORES, CHANNEL_SCORES),
        (choices.CHANNEL_SOLVERS, CHANNEL_SOLVERS),
        (choices.STRUCTURES, STRUCTURES),
        (choices.RULES, RULES),
        (choices.LEVELS, LEVEL_SETS),
    ],
    ids=[
        "group methods",
        "methods",
        "projections",
        "scores",
        "solvers",
        "structures",
        "rules",
        "levels",
    ],
)
def test_every_registered_name_is_offered(offered, registry):
    assert sorted(offered) == sorted(registry)


def test_the_defaults_that_help_names_are_those_of_the_pipeline():
    assert DEFAULT_STRUCTURES == choices.DEFAULT_STRUCTURES
    assert SearchOptions().levels == choices.DEFAULT_LEVELS
    assert ComparisonOptions().rule == CompressOptions(levels="3bit").rule == "lamp"
    assert ChannelOptions().score == choices.CHANNEL_SCORES[0]
    assert ChannelOptions().solver == choices.CHANNEL_SOLVERS[0]
    assert choices.PROJECTIONS[0] == DEFAULT_METHOD


@pytest.mark.parametrize("command", ["optimize", "compress", "compare-structures", "profile"])
def test_help_imports_no_registry(command):
    script = (
        "import sys\n"
        "from alcs_onnx.cli import main\n"
        f"try:\n    main([{command!r}, '--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'alcs_onnx.pipeline', 'onnx', 'onnxruntime', 'scipy', 'torch'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "imported []"
