"""The registry of networks written in torch; import it only where torch is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from .blocks import export, randomise
from .densenet import densenet121
from .efficientnet import efficientnet_b0
from .googlenet import googlenet
from .mobilenet import mobilenet_v3
from .resnets import regnet_y, resnext50
from .shufflenet import shufflenet_v2
from .squeezenet import squeezenet
from .unet import unet, unet_resize
from .yolo import yolo_c2f

#: Each network and the side of the images that it is tested with.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "densenet121": (densenet121, 64),
    "googlenet": (googlenet, 64),
    "shufflenet_v2": (shufflenet_v2, 64),
    "mobilenet_v3": (mobilenet_v3, 64),
    "regnet_y": (regnet_y, 64),
    "resnext50": (resnext50, 64),
    "efficientnet_b0": (efficientnet_b0, 64),
    "squeezenet": (squeezenet, 64),
    "unet": (unet, 64),
    "unet_resize": (unet_resize, 64),
    "yolo_c2f": (yolo_c2f, 64),
}


@cache
def network(name: str, open_sizes: bool = False) -> bytes:
    """The ONNX file of a network, with the same random weights at every call.

    With `open_sizes` for any number "N" of images of any height "H" and width "W".
    """
    factory, size = NETWORKS[name]
    shape = (1, 3, size, size)
    open_axes = {0: "N", 2: "H", 3: "W"} if open_sizes else {}
    with _one_thread():
        return export(randomise(factory(), shape), shape, open_axes)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads wait for one another where other processes are busy: it takes far longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
