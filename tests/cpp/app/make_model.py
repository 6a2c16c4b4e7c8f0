"""Writes the model that the application runs: one convolution, sparse and in ONNX's own Conv.

Usage: make_model.py OUT.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parents[2] / "python/helpers"))
from op_models import Case, dense_twin, make_model, random_tensors


def main() -> None:
    case = Case(in_channels=16, out_channels=24, size=(20, 22), strides=(2, 1))
    tensors = random_tensors(case)
    model = onnx.load_from_string(make_model(case, tensors))
    dense = onnx.load_from_string(dense_twin(case, tensors)).graph
    dense.node[-1].output[0] = dense.output[0].name = "y_dense"
    model.graph.node.extend(dense.node)
    model.graph.initializer.extend(dense.initializer)
    model.graph.output.extend(dense.output)
    onnx.save(model, sys.argv[1])


if __name__ == "__main__":
    main()
