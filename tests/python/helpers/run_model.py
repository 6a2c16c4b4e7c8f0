"""Runs a model in whatever ONNX Runtime this Python imports, with the custom-op library or not.

Usage: run_model.py LIBRARY MODEL INPUTS.npz OUTPUTS.npz    (LIBRARY '' for none)

Started in a process of its own, under other runtimes and other processors, so it needs nothing
but onnxruntime and numpy. Prints the runtime's version; a refusal goes to stderr, status 3.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime as ort

REFUSED = 3


def main() -> int:
    library, model, inputs, outputs = sys.argv[1:]
    print(ort.__version__)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    try:
        if library:
            options.register_custom_ops_library(library)
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        print(error, file=sys.stderr)
        return REFUSED
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, dict(np.load(inputs)))
    np.savez(outputs, **dict(zip(names, results, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
