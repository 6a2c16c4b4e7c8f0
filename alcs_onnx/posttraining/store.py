"""The levels of layers, kept in a folder for an interrupted run, or one of another budget."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alcs_onnx.files import make_folder, replacing
from alcs_onnx.graph import Model
from alcs_onnx.posttraining.layer_levels import LayerLevels
from alcs_onnx.posttraining.stages import Fed

#: Raised whenever what is found for the same model and pictures changes.
_VERSION = 3


@dataclass(frozen=True)
class LevelStore:
    """A file for each layer in `folder`; without a folder nothing is kept."""

    folder: Path | None = None

    @classmethod
    def of(
        cls, folder: Path | None, model: Model, fed: Fed, settings: Sequence[object]
    ) -> LevelStore:
        """A folder of its own in `folder` for the same model, inputs and settings."""
        if folder is None:
            return cls()
        digest = hashlib.sha256(repr((_VERSION, model.digest, *settings)).encode())
        for feeds in fed():
            for name, array in feeds.items():
                digest.update(repr((name, array.shape)).encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return cls(folder / f"levels-{digest.hexdigest()[:12]}")

    def load(self, layer: str) -> LayerLevels | None:
        """What is kept of a layer; None where there is nothing, or nothing that can be read."""
        if self.folder is None:
            return None
        try:
            with np.load(self._path(layer), allow_pickle=False) as file:
                return LayerLevels(
                    file["counts"],
                    tuple(file["errors"].tolist()),
                    tuple(file["losses"].tolist()),
                    file["ranks"],
                )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, layer: str, levels: LayerLevels) -> None:
        """Keep the levels of a layer; raises `OutputError` where that is impossible."""
        if self.folder is None:
            return
        make_folder(self.folder)
        with replacing(self._path(layer)) as path, path.open("wb") as file:
            np.savez(
                file,
                counts=levels.counts,
                errors=np.array(levels.errors),
                losses=np.array(levels.losses),
                ranks=levels.ranks,
            )

    def _path(self, layer: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{hashlib.sha256(layer.encode()).hexdigest()[:16]}.npz"
