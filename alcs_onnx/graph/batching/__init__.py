"""The same model for any number of samples at once, where its operators allow it.

`free_batch` proves it: the graph is written anew where it repeats the file's own batch (`targets`),
every node works sample by sample (`rules`), and inference at a second batch finds the first axis of
every tensor following (`free`).
"""

from alcs_onnx.graph.batching.free import Batching, free_batch

__all__ = ["Batching", "free_batch"]
