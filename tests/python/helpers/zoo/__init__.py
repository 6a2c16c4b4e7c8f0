"""Networks of many kinds with random weights, as ONNX, for tests of whole-graph reasoning.

`torch_models` holds well-known topologies written in torch; `handmade` holds graphs of what
torch does not write.
"""

#: Names of the networks in `torch_models`, which needs torch.
NETWORKS = (
    "densenet121",
    "googlenet",
    "shufflenet_v2",
    "mobilenet_v3",
    "regnet_y",
    "resnext50",
    "efficientnet_b0",
    "squeezenet",
    "unet",
    "unet_resize",
    "yolo_c2f",
)
#: Sizes of images that each of them takes where it is exported with open sizes.
OPEN_SIZES = ((1, 3, 32, 32), (2, 3, 64, 32), (5, 3, 32, 32))
