"""DeepSparse: finds zeros among the weights of a dense ONNX file by itself."""

from __future__ import annotations

import os

from modelbench.engines.api import Feeds, Outputs, Run


class DeepSparse:
    """Adapter for DeepSparse; 1.8.0 is its last version and needs numpy 1 and onnx 1.14."""

    name = "deepsparse"
    package = "deepsparse==1.8.0"
    uses_zeros = True

    def version(self) -> str:
        """Version of the installed package."""
        os.environ["NM_DISABLE_ANALYTICS"] = "1"  # it would call home
        from importlib.metadata import version

        import deepsparse  # noqa: F401 - it has to load

        return version("deepsparse")

    def load(self, path: str, feeds: Feeds, threads: int) -> Run:
        """Compile for one request at a time."""
        self.version()
        from deepsparse import Engine

        batch = next(iter(feeds.values())).shape[0]
        engine = Engine(model=path, batch_size=batch, num_cores=threads)
        inputs = [feeds[name] for name in engine.input_names]

        def run() -> Outputs:
            # Checking the inputs' shapes takes time, and they are the same in every run.
            outputs: Outputs = engine.run(inputs, val_inp=False)
            return outputs

        return run
