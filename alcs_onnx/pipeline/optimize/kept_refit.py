"""A refit that is kept, so that an interrupted run goes on from the very weights it began with.

Refitting again gives the same weights but for rounding, which differs between machines and numbers
of threads; a training checkpoint goes with one start to the last bit.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from alcs_onnx.files import make_folder, replacing
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.posttraining import Refit
from alcs_onnx.types import BoolArray, FloatArray


def kept_refit(
    run: Run, model: Model, keep: Mapping[str, BoolArray], make: Callable[[], Refit]
) -> Refit:
    """What `make` gives for the plan `keep` of `model`; of a run that is resumed what it gave then.

    Only where training follows that has a checkpoint folder.
    """
    folder = run.checkpoint.folder
    if folder is None or not run.trains:
        return make()
    digest = hashlib.sha256(model.digest.encode())
    for name, mask in keep.items():
        digest.update(name.encode() + b"\0" + np.packbits(mask).tobytes())
    path = folder / f"refit-{digest.hexdigest()[:16]}.npz"
    found = _load(path) if run.checkpoint.resume else None
    if found is None:
        found = make()
        make_folder(folder)
        _save(path, found)
    return found


def _load(path: Path) -> Refit | None:
    """None where there is nothing, or nothing that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, FloatArray] = _named(file, "array")
            supports: dict[str, BoolArray] = _named(file, "support")
            layers = zip(file["layers"].tolist(), file["errors"].tolist(), strict=True)
            errors = {name: (before, after) for name, (before, after) in layers}
            return Refit(arrays, supports, errors, tuple(file["notes"].tolist()))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _named(file: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Names may be anything, and are no names of parts of a file."""
    return {name: file[f"{kind}{i}"] for i, name in enumerate(file[f"{kind} names"].tolist())}


def _save(path: Path, found: Refit) -> None:
    """Raises `OutputError` where that is impossible."""
    tensors: dict[str, Any] = {
        "layers": _texts(found.errors),
        "errors": np.array(list(found.errors.values()), np.float64).reshape(-1, 2),
        "notes": _texts(found.notes),
    }
    for kind, values in (("array", found.arrays), ("support", found.supports)):
        tensors[f"{kind} names"] = _texts(values)
        tensors |= {f"{kind}{i}": array for i, array in enumerate(values.values())}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **tensors)


def _texts(texts: Iterable[str]) -> Any:
    return np.array(list(texts), dtype=np.str_)
