"""Counts the instructions of one run of a model in an emulated arm64 ONNX Runtime."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Counts:
    """Instructions executed; `fma` to `store` are those of vector registers."""

    total: int
    fma: int
    load: int
    store: int
    by_library: dict[str, int]
    onnxruntime: str


class Emulator:
    """An unpacked arm64 world (make_root.sh) and the counting tools, built into `folder`."""

    def __init__(self, world: Path, folder: Path) -> None:
        self._root, self._site = world / "root", world / "site"
        self._plugin = folder / "libcount_instructions.so"
        self._markers = folder / "libmarkers.so"
        options = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
        for compiler, source, output, extra in (
            ("cc", "count_instructions.c", self._plugin, ["-fvisibility=hidden"]),
            ("aarch64-linux-gnu-gcc", "markers.c", self._markers, ["-nostdlib"]),
        ):
            command = [compiler, *options, *extra, "-o", str(output), str(HERE / source)]
            subprocess.run(command, check=True)

    def count(self, model: bytes, library: Path | None = None) -> Counts:
        """Counts one run of `model` on one thread, after one that is not counted."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model.onnx").write_bytes(model)
            counts = folder / "counts"
            command = ["qemu-aarch64", "-cpu", "cortex-a76", "-L", str(self._root)]
            command += ["-plugin", f"{self._plugin},out={counts}"]
            command += [str(self._root / "usr/bin/python3"), str(HERE / "emulated_run.py")]
            command += [str(self._markers), str(folder / "model.onnx")]
            done = subprocess.run(
                command + ([str(library.resolve())] if library else []),
                env={**os.environ, "PYTHONPATH": str(self._site)},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            lines = counts.read_text().splitlines()
        about = json.loads(done.stdout)
        by_library: dict[str, int] = {}
        for line in lines[1:]:
            fields = line.split()
            address, executions, instructions = int(fields[0], 16), int(fields[1]), int(fields[2])
            owner = "other"
            for path, (low, high) in about["mappings"].items():
                if low <= address < high:
                    owner = Path(path).name.split(".so")[0]
            by_library[owner] = by_library.get(owner, 0) + executions * instructions
        total, fma, load, store = (int(field) for field in lines[0].split()[1:])
        by_library = {k: n for k, n in by_library.items() if n > total // 1000}
        return Counts(total, fma, load, store, by_library, about["onnxruntime"])
