"""XNNPACK through LiteRT, which runs float networks in it by default."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelbench.engines.api import Feeds, Outputs, Run


class LiteRt:
    """Adapter for LiteRT.

    It reads only TFLite files: `tflite_writer` makes one of a plain image classifier.
    """

    name = "litert"
    package = "ai-edge-litert onnx"
    uses_zeros = False

    def version(self) -> str:
        """Version of the installed package."""
        from importlib.metadata import version

        import onnx  # noqa: F401 - the file is converted here
        from ai_edge_litert.interpreter import (  # type: ignore[import-not-found]
            Interpreter,  # noqa: F401 - it has to load
        )

        return version("ai-edge-litert")

    def load(self, path: str, feeds: Feeds, threads: int) -> Run:
        """Convert and load."""
        from ai_edge_litert.interpreter import Interpreter

        from modelbench.engines.tflite_writer import write_tflite

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.tflite"
            names, _ = write_tflite(path, file)
            interpreter = Interpreter(str(file), num_threads=threads)
            interpreter.allocate_tensors()
        for name, detail in zip(names, interpreter.get_input_details(), strict=True):
            array = feeds[name]
            nhwc = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
            interpreter.set_tensor(detail["index"], nhwc)
        outputs = [detail["index"] for detail in interpreter.get_output_details()]

        def run() -> Outputs:
            interpreter.invoke()
            arrays = [interpreter.get_tensor(index) for index in outputs]
            return [a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for a in arrays]

        return run
