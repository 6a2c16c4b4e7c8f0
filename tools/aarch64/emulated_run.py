"""Runs a model once between the markers. For the emulated Python: needs onnxruntime and numpy only.

Usage: emulated_run.py MARKERS.so MODEL.onnx [LIBRARY.so]

One thread. The first run, which plans and touches memory for the first time, is not counted.
Prints JSON: the runtime's version and where each loaded library lies.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort


def mappings() -> dict[str, list[int]]:
    """First and last address of every mapped library."""
    found: dict[str, list[int]] = {}
    with Path("/proc/self/maps").open() as lines:
        for line in lines:
            fields = line.split()
            if len(fields) < 6 or ".so" not in fields[5]:
                continue
            start, end = (int(part, 16) for part in fields[0].split("-"))
            low, high = found.get(fields[5], [start, end])
            found[fields[5]] = [min(low, start), max(high, end)]
    return found


def main() -> None:
    markers_path, model, *library = sys.argv[1:]
    markers = ctypes.CDLL(markers_path)
    start, stop = markers.start_counting, markers.stop_counting
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for path in library:
        options.register_custom_ops_library(path)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    feeds = {
        i.name: random.standard_normal(i.shape, dtype=np.float32) for i in session.get_inputs()
    }
    session.run(None, feeds)
    start()
    session.run(None, feeds)
    stop()
    print(json.dumps({"onnxruntime": ort.__version__, "mappings": mappings()}))


if __name__ == "__main__":
    main()
