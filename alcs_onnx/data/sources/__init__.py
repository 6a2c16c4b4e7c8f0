"""The kinds of data that can be loaded, in the order in which they are tried.

A source is one file with three functions: `matches(spec)`, whether the specification is one of its
kind, `load(spec, model, options)`, what to train with, and `pictures(spec, model, options)`, what
to calibrate with. To add a source, write the file and add it to `SOURCES`.
"""

from __future__ import annotations

from typing import Protocol

from alcs_onnx.data.options import DataOptions, PictureOptions
from alcs_onnx.data.pool import Pool
from alcs_onnx.data.samples import Data
from alcs_onnx.data.sources import folder, function, npz
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model


class Source(Protocol):
    """One kind of data."""

    def matches(self, spec: str) -> bool:
        """Whether `spec` is of this kind."""
        ...

    def load(self, spec: str, model: Model, options: DataOptions) -> Data:
        """Load `spec` for `model`; raises `DataError` where it does not fit."""
        ...

    def pictures(self, spec: str, model: Model, options: PictureOptions) -> Pool:
        """What `spec` offers to calibrate with; raises `DataError` where it does not fit."""
        ...


#: The first that matches wins.
SOURCES: tuple[Source, ...] = (folder, function, npz)


def load_data(spec: str, model: Model, options: DataOptions | None = None) -> Data:
    """Open `spec`: a folder of images, an .npz file, or `module:function`.

    Raises `DataError` where it is missing, malformed, or does not fit the model.
    """
    return find_source(spec).load(spec, model, options or DataOptions())


def find_source(spec: str) -> Source:
    """The source that `spec` is of; raises `DataError` where there is none."""
    for source in SOURCES:
        if source.matches(spec):
            return source
    raise DataError(
        f"data '{spec}' not found: give a folder of images, an .npz file or module:function"
    )
