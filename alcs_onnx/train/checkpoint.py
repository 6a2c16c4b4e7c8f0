"""Checkpoints: one file per stage, replaced atomically after every epoch."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alcs_onnx.documents import from_plain, plain
from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.files import make_folder, replacing
from alcs_onnx.graph import Model
from alcs_onnx.train.config import EpochRecord, TrainHistory
from alcs_onnx.train.run import Start, TrainRun
from alcs_onnx.types import BoolArray, InitializerName, LayerName, WeightMask

_FORMAT = 1
#: Settings that do not change what is computed, or only its rounding.
_FREE = frozenset({"threads", "device", "evaluate"})


@dataclass(frozen=True)
class State:
    """Everything needed to go on after `epoch` epochs of a stage.

    Random numbers need no entry: each epoch is seeded by its own number.
    """

    epoch: int
    history: TrainHistory
    predicted_ms: float | None
    tensors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Meta:
    """What a checkpoint says of itself, as JSON beside its tensors."""

    identity: Mapping[str, Any]
    epoch: int
    predicted_ms: float | None
    records: tuple[EpochRecord, ...]


class Checkpoint:
    """The checkpoint file of one stage in a folder, tied to what is being trained."""

    def __init__(self, folder: Path, stage: str, identity: Mapping[str, Any]) -> None:
        self.path = folder / f"{stage}.pt"
        self._identity = {"format": _FORMAT, **identity}

    def clear(self) -> None:
        """Forget an earlier run."""
        if self.path.is_file():
            self.path.unlink()

    def save(self, state: State) -> None:
        """Write `state` beside the file and move it into place; raises `OutputError`."""
        meta = _Meta(self._identity, state.epoch, state.predicted_ms, state.history.records)
        value = {
            "meta": json.dumps(plain(meta)),
            "tensors": {
                kind: {name: tensor.detach().cpu() for name, tensor in tensors.items()}
                for kind, tensors in state.tensors.items()
            },
        }
        make_folder(self.path.parent)
        try:
            # Not by its name: torch writes that into the file.
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                torch.save(value, file)
        except RuntimeError as error:  # what torch makes of a full disk
            raise OutputError(f"cannot write {self.path}: {error}") from None

    def load(self) -> State | None:
        """The saved state; None where there is no file.

        Raises `AlcsError` for a damaged file, or for one of another model or other settings.
        """
        if not self.path.is_file():
            return None
        try:
            value = torch.load(self.path, map_location="cpu", weights_only=True)
            meta = from_plain(json.loads(value["meta"]), _Meta)
            history = TrainHistory(meta.records)
            state = State(meta.epoch, history, meta.predicted_ms, value["tensors"])
        except (
            AlcsError,
            OSError,
            RuntimeError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            pickle.UnpicklingError,
        ) as error:
            raise AlcsError(
                f"checkpoint '{self.path}' cannot be read: {' '.join(str(error).split())[:200]}"
            ) from None
        found, expected = meta.identity, json.loads(json.dumps(plain(self._identity)))
        for key in sorted(expected.keys() | found.keys()):
            if expected.get(key) != found.get(key):
                raise AlcsError(
                    f"checkpoint '{self.path}' is of another run: "
                    f"{_difference(key, found.get(key), expected.get(key))}"
                )
        return state


def _difference(key: str, found: Any, expected: Any) -> str:
    texts = [str(found), str(expected)]
    if max(map(len, texts)) > 40:
        return f"{key} differs"
    return f"{key} was {texts[0]}, is now {texts[1]}"


def open_checkpoint(
    model: Model,
    prunable: Mapping[LayerName, InitializerName],
    run: TrainRun,
    start: Start,
    stages: Sequence[str],
    fixed: Mapping[LayerName, WeightMask] | None = None,
) -> tuple[Checkpoint | None, State | None]:
    """The checkpoint of the first of `stages`, and the state that it goes on from, if any.

    A run that is not resumed forgets what earlier ones left of all of `stages`. `fixed` are
    masks of weights that keep their values. Raises as `Checkpoint.load`.
    """
    if run.checkpoint is None:
        return None, None
    known = _identity(model, prunable, run, start, fixed or {})
    stores = [Checkpoint(run.checkpoint, stage, known) for stage in stages]
    if run.resume:
        return stores[0], stores[0].load()
    for store in stores:
        store.clear()
    return stores[0], None


def _identity(
    model: Model,
    prunable: Mapping[LayerName, InitializerName],
    run: TrainRun,
    start: Start,
    fixed: Mapping[LayerName, WeightMask],
) -> dict[str, Any]:
    """What a checkpoint must agree on: model, settings, layers, start, and the fingerprint."""
    # By layer, and by initializer what is no layer's weight.
    masks: dict[str, BoolArray] = {**start.keep}
    masks |= {f"fixed {layer}": mask for layer, mask in fixed.items()}
    masks |= start.keep_vectors
    digest = hashlib.sha256()
    for group in (start.weights, masks):
        for name in sorted(group):
            digest.update(name.encode() + b"\0" + np.ascontiguousarray(group[name]).tobytes())
    settings = {k: v for k, v in run.config.as_dict().items() if k not in _FREE}
    return {
        "model": model.digest,
        "layers": hashlib.sha256(repr(sorted(prunable.items())).encode()).hexdigest(),
        "purpose": run.fingerprint,
        "start": digest.hexdigest(),
        **settings,
    }
