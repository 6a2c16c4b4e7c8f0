"""Networks of many kinds with random weights, as ONNX, for tests of whole-graph reasoning.

`torch_models` holds well-known topologies written in torch; `handmade` holds graphs of what
torch does not write.
"""
