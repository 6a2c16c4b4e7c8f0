"""A model as the runtime loads it: its bytes, or a file where these are too many."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A model in the file at `path`, whose weights lie in other files beside it.

    `folder`, if there is one, was made for it and is gone with the last value that holds it.
    """

    path: Path
    folder: tempfile.TemporaryDirectory[str] | None = None


#: Protobuf messages end at 2 GB; larger models are files.
Serialized = bytes | StoredModel
