"""The same library file under older ONNX Runtimes, and its arm64 build under emulation.

These need downloads, so they run where the environment says what is there:
ALCS_COMPAT_DIR (made by tools/fetch_runtimes.sh), and ALCS_AARCH64_DIR (tools/aarch64/make_root.sh)
with ALCS_AARCH64_LIBRARY, the library built for arm64.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from environment import environment_path
from graph_helpers import assert_same, feed, run
from op_models import Case, Tensors, expected, make_model, random_tensors
from quant_models import X, net, pruned, with_values
from run_model import REFUSED

from alcs_onnx.graph import save_model, serialize
from alcs_onnx.ort import get_library_path
from alcs_onnx.rewrite import rewrite

SCRIPT = Path(__file__).parents[1] / "helpers" / "run_model.py"
CASES = {
    "residual": Case(in_channels=16, out_channels=24, residual=True, low=0.0, batch=2),
    "depthwise": Case(in_channels=8, group=8, simd_group=1, strides=(2, 2), density=1),
    "gate": Case(gate=2),
    "1-D": Case(size=(37,), kernel=(5,), strides=(1,), pads=(2, 2), dilations=(1,)),
}


@dataclass
class Runner:
    """A Python with some ONNX Runtime, and the library that fits it."""

    command: list[str]
    site: Path
    library: Path

    def run(self, folder: Path, case: Case) -> tuple[subprocess.CompletedProcess[str], Tensors]:
        tensors = random_tensors(case)
        (folder / "model.onnx").write_bytes(make_model(case, tensors, dynamic=(0,)))
        np.savez(folder / "inputs.npz", allow_pickle=False, **tensors.feeds)
        return self.run_files(folder, "model.onnx"), tensors

    def run_files(
        self, folder: Path, model: str, with_library: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs `model` on `inputs.npz`, both in `folder`, into `outputs.npz`."""
        library = self.library if with_library else ""
        arguments = [library, *(folder / n for n in (model, "inputs.npz", "outputs.npz"))]
        return subprocess.run(
            [*self.command, str(SCRIPT), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(self.site)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def check(self, folder: Path, case: Case) -> str:
        """Runs `case`, compares with what it should give, and returns the runtime's version."""
        done, tensors = self.run(folder, case)
        assert done.returncode == 0, done.stderr
        y, bound = expected(case, tensors)
        with np.load(folder / "outputs.npz") as outputs:
            assert np.all(np.abs(outputs["y"] - y) <= bound)
        return done.stdout.strip()


def older_runtime(version: str) -> Runner:
    site = environment_path("ALCS_COMPAT_DIR") / version
    assert site.is_dir(), f"{site} does not exist"
    return Runner([sys.executable], site, get_library_path())


@pytest.mark.parametrize("version", ["1.18.1", "1.22.1"])
@pytest.mark.parametrize("name", CASES)
def test_older_runtimes_run_it(version: str, name: str, tmp_path: Path) -> None:
    assert older_runtime(version).check(tmp_path, CASES[name]) == version


@pytest.mark.parametrize("version", ["1.18.1", "1.22.1"])
@pytest.mark.parametrize("with_library", [True, False])
def test_older_runtimes_run_quantized_weights(
    version: str, with_library: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Decoded by the library, and by the function body; one layer is left a Conv."""
    loaded = net(tmp_path, rng, m=20, group=2, opset=13)
    plan, levels = pruned(loaded, rng, "3bit", 4, 0.3, per_channel=True)
    feeds = feed(X, rng)
    (y,) = run(serialize(with_values(loaded, levels)), feeds)
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **feeds)
    for left in ([], ["first"]):
        result = rewrite(loaded, plan, excluded=left, quantized=levels)
        save_model(result.model, tmp_path / "quantized.onnx")
        runner = older_runtime(version)
        done = runner.run_files(tmp_path, "quantized.onnx", with_library)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == version
        with np.load(tmp_path / "outputs.npz") as outputs:
            assert_same([outputs["y"]], [y])


def test_a_runtime_too_old_is_refused_clearly(tmp_path: Path) -> None:
    done, _ = older_runtime("1.17.3").run(tmp_path, CASES["1-D"])
    assert done.stdout.strip() == "1.17.3"
    assert done.returncode == REFUSED, done.stderr
    reason = "needs ONNX Runtime 1.18 or newer, and this is ONNX Runtime 1.17.3"
    assert reason in done.stderr


@pytest.mark.parametrize("name", CASES)
def test_arm64_build_runs_under_emulation(name: str, tmp_path: Path) -> None:
    folder = environment_path("ALCS_AARCH64_DIR")
    root = folder / "root"
    runner = Runner(
        ["qemu-aarch64", "-cpu", "cortex-a76", "-L", str(root), str(root / "usr/bin/python3")],
        folder / "site",
        environment_path("ALCS_AARCH64_LIBRARY"),
    )
    assert runner.check(tmp_path, CASES[name])
