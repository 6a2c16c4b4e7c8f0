"""The tools that look at the NEON kernels without an Arm machine (tools/aarch64).

They run where the environment says what is there: see custom_ops/test_compat.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from environment import environment_path
from op_models import Case, make_model, random_tensors

TOOLS = Path(__file__).resolve().parents[3] / "tools" / "aarch64"


@pytest.fixture(autouse=True)
def tools_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


def test_instruction_counts_repeat_and_fall_with_density(tmp_path: Path) -> None:
    world = environment_path("ALCS_AARCH64_DIR")
    library = environment_path("ALCS_AARCH64_LIBRARY")
    from emulation import Emulator

    emulator = Emulator(world, tmp_path)

    def count(density: float) -> tuple[int, int]:
        case = Case(in_channels=32, out_channels=32, size=(28, 28), density=density)
        counts = emulator.count(make_model(case, random_tensors(case)), library)
        return counts.total, counts.fma

    dense, sparse = count(1), count(0.25)
    # Python's own part of a run (hashes, addresses) may differ by a few instructions.
    assert count(0.25)[1] == sparse[1]
    assert abs(count(0.25)[0] - sparse[0]) < 0.02 * sparse[0]
    assert sparse[0] < dense[0]
    # 28 x 28 pixels in vectors of 4, of which some are computed for nothing.
    assert dense[1] >= 32 * 32 * 9 * 28 * 28 / 4


@pytest.mark.parametrize("kernels", ["OBJECT", "DOT_OBJECT"])
def test_inner_loops_are_mostly_multiply_adds(kernels: str) -> None:
    library = environment_path("ALCS_AARCH64_LIBRARY")
    if shutil.which("aarch64-linux-gnu-objdump") is None:
        pytest.skip("no aarch64-linux-gnu-objdump")
    import inner_loops

    tree = library.resolve().parents[1]
    built: Path = getattr(inner_loops, kernels)
    path = tree / built.relative_to(inner_loops.REPOSITORY / "build/aarch64")
    if not path.exists():
        pytest.skip(f"no {path.name} beside the library")
    # Nearly all work is done in whole vectors, in tiles of 4 rows and more at their full width.
    tiles = [i for i in inner_loops.find_loops(path) if i.kind == "tile" and i.mode == "full"]
    tiles = [i for i in tiles if i.rows >= 4]
    assert {i.rows for i in tiles} == {8, 4}
    for tile in tiles:
        if tile.vectors < max(i.vectors for i in tiles if i.rows == tile.rows):
            continue
        assert tile.share >= 0.70, (tile.kernel, tile.vectors, tile.mix)
        assert "store" not in tile.mix, f"{tile.kernel} spills accumulators"
