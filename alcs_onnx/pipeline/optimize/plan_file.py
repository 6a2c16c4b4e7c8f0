"""Pruning plans as files: what is kept as JSON, the masks beside it as .npz."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import write_atomically
from alcs_onnx.graph import Model
from alcs_onnx.types import BoolArray, ChannelPlan, PruningPlan

_KIND = "alcs-onnx pruning plan"
_SCHEMA = 1
_BAD_ZIP = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Calibration:
    """What measurements have taught about the estimate of a latency table.

    `correction` is measured over estimated latency, both as shares of the dense one, `dense_ms`
    the dense latency as last measured, and `left_alone` are layers that the runtime's own Conv
    runs quicker, with the reason.
    """

    correction: float
    dense_ms: float
    left_alone: Mapping[str, str]


@dataclass(frozen=True)
class SavedPlan:
    """The channels to keep, the groups of weights of what is left, or both in that order.

    The plan of groups is for the model without the removed channels. `method` is the one that
    made the plan, and `settings` what it was told. `calibration` is there where a run that was
    interrupted is to go on with it.
    """

    method: str
    channels: ChannelPlan | None
    groups: PruningPlan | None
    settings: Mapping[str, object] = field(default_factory=dict)
    calibration: Calibration | None = None


def masks_path(path: Path) -> Path:
    """Where the masks of the plan at `path` are."""
    return path.with_suffix(path.suffix + ".npz")


def save_plan(plan: SavedPlan, path: Path) -> None:
    """Write the plan to `path`, its masks to `path`.npz; `OutputError` if that cannot be."""
    arrays: dict[str, BoolArray] = {}
    content: dict[str, Any] = {"kind": _KIND, "schema": _SCHEMA, "method": plan.method}
    content["settings"] = dict(plan.settings)
    if plan.calibration is not None:
        content["calibration"] = asdict(plan.calibration)
    for part, found in (("channels", plan.channels), ("groups", plan.groups)):
        if found is None:
            continue
        kept = {}
        for index, (name, mask) in enumerate(found.keep.items()):
            key = f"{part}/{index}"
            arrays[key] = mask
            kept[name] = {"mask": key, "kept": int(mask.sum()), "of": int(mask.size)}
        content[part] = {
            "model_digest": found.model_digest,
            "predicted_ms": found.predicted_ms,
            "keep": kept,
            "reasons": dict(found.reasons),
        }
        if isinstance(found, PruningPlan):
            content[part]["simd_group"] = found.simd_group
            content[part]["structure"] = found.structure
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(masks_path(path), buffer.getvalue())
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def load_plan(path: Path, model: Model) -> SavedPlan:
    """Read the plan at `path`; raises `AlcsError` if it is damaged or of another model."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        with np.load(masks_path(path), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if content.get("kind") != _KIND:
            raise AlcsError(f"{path}: this is no pruning plan")
        if content.get("schema") != _SCHEMA:
            raise AlcsError(f"{path}: written by another version (schema {content.get('schema')})")
        channels = _channels(content["channels"], arrays) if "channels" in content else None
        groups = _groups(content["groups"], arrays) if "groups" in content else None
        settings = dict(content.get("settings", {}))
        calibration = _calibration(content["calibration"]) if "calibration" in content else None
        plan = SavedPlan(str(content["method"]), channels, groups, settings, calibration)
    except OSError as error:
        raise AlcsError(f"{error.filename or path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, *_BAD_ZIP) as error:
        raise AlcsError(f"{path}: damaged, or no pruning plan ({error})") from error
    first = plan.channels or plan.groups
    if first is None:
        raise AlcsError(f"{path}: the plan is empty")
    if first.model_digest != model.digest:
        raise AlcsError(f"{path}: made for another model, or for other weights of this one")
    return plan


def _masks(content: Any, arrays: dict[str, BoolArray]) -> dict[str, BoolArray]:
    masks = {}
    for name, entry in content["keep"].items():
        mask = arrays[entry["mask"]]
        if mask.dtype != np.bool_ or int(mask.sum()) != entry["kept"] or mask.size != entry["of"]:
            raise ValueError(f"the mask of '{name}' is not the one that was saved")
        masks[str(name)] = mask
    return masks


def _calibration(content: Any) -> Calibration:
    return Calibration(
        float(content["correction"]),
        float(content["dense_ms"]),
        {str(name): str(reason) for name, reason in content["left_alone"].items()},
    )


def _channels(content: Any, arrays: dict[str, BoolArray]) -> ChannelPlan:
    return ChannelPlan(
        str(content["model_digest"]),
        _masks(content, arrays),
        dict(content["reasons"]),
        float(content["predicted_ms"]),
    )


def _groups(content: Any, arrays: dict[str, BoolArray]) -> PruningPlan:
    return PruningPlan(
        str(content["model_digest"]),
        int(content["simd_group"]),
        _masks(content, arrays),
        dict(content["reasons"]),
        float(content["predicted_ms"]),
        str(content.get("structure", "simd")),
    )
