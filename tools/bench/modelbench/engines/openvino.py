"""OpenVINO on the CPU, held to float32."""

from __future__ import annotations

from modelbench.engines.api import Feeds, Outputs, Run


class OpenVino:
    """Adapter for OpenVINO. Its sparse kernels are for int8 only."""

    name = "openvino"
    package = "openvino"
    uses_zeros = False

    def version(self) -> str:
        """Version of the installed package."""
        from importlib.metadata import version

        import openvino  # type: ignore[import-not-found]  # noqa: F401 - it has to load

        return version("openvino")

    def load(self, path: str, feeds: Feeds, threads: int) -> Run:
        """Compile for one request at a time."""
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
        for name, array in feeds.items():
            request.set_tensor(name, openvino.Tensor(array))

        def run() -> Outputs:
            request.infer()
            return [tensor.data for tensor in request.output_tensors]

        return run
