"""Pruning plans as files: what is kept as JSON, the masks beside it as .npz."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from alcs_onnx.documents import document_text, plain, read_document
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import replacing
from alcs_onnx.formats import PRUNING_PLAN, Format
from alcs_onnx.graph import Model
from alcs_onnx.types import BoolArray, ChannelPlan, PrecisionPlan, PruningPlan

_BAD_ZIP = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Calibration:
    """What measurements have taught about the estimate of a latency table.

    `correction` is measured over estimated latency, `target` what the solver is asked for, an
    estimate as a fraction of the budget, and `dense_ms` the dense latency that the plan's estimate
    is for. `left_alone` are the excluded layers, with the reason. Older files have no target: there
    the correction is of fractions of the dense latency, and `dense_ms` that as last measured.
    """

    correction: float
    dense_ms: float
    left_alone: Mapping[str, str]
    target: float | None = None


@dataclass(frozen=True)
class SavedPlan:
    """The channels to keep, then the groups of weights, or the float32 nodes, of what is left.

    The plans of groups and of nodes are for the model without the removed channels. `method` is the
    one that made the plan, and `settings` what it was told. `calibration` is there where a run that
    was interrupted is to go on with it.
    """

    method: str
    channels: ChannelPlan | None
    groups: PruningPlan | None
    settings: Mapping[str, object] = field(default_factory=dict)
    calibration: Calibration | None = None
    precision: PrecisionPlan | None = None


def masks_path(path: Path) -> Path:
    """Where the masks of the plan at `path` are."""
    return path.with_suffix(path.suffix + ".npz")


@dataclass(frozen=True)
class _Mask:
    """A mask in the .npz: its name there, and how many of its entries are True."""

    mask: str
    kept: int
    of: int


@dataclass(frozen=True)
class _Channels:
    """A `ChannelPlan` or a `PrecisionPlan` without its masks."""

    model_digest: str
    predicted_ms: float
    keep: Mapping[str, _Mask]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class _Groups(_Channels):
    """A `PruningPlan` without its masks; the first files had no other structure than "simd"."""

    simd_group: int
    structure: str | None = None


@dataclass(frozen=True)
class _PlanFile:
    """A `SavedPlan` without its masks; what is None is not in the file."""

    format: ClassVar[Format] = PRUNING_PLAN

    method: str
    settings: Mapping[str, object] | None = None
    calibration: Calibration | None = None
    channels: _Channels | None = None
    groups: _Groups | None = None
    precision: _Channels | None = None


def save_plan(plan: SavedPlan, path: Path) -> None:
    """Write the plan to `path`, its masks to `path`.npz; `OutputError` if that cannot be."""
    masks: dict[str, BoolArray] = {}
    content = _PlanFile(
        plan.method,
        plan.settings,
        plan.calibration,
        None if plan.channels is None else _part(plan.channels, "channels", masks),
        None if plan.groups is None else _groups_part(plan.groups, masks),
        None if plan.precision is None else _part(plan.precision, "precision", masks),
    )
    there = _without_none(plain(content))
    if "calibration" in there:
        there["calibration"] = _without_none(there["calibration"])
    # Both are whole before either takes its place, and the file that names the masks does last.
    with replacing(path) as file, replacing(masks_path(path)) as masks_file:
        with masks_file.open("wb") as opened:
            np.savez_compressed(opened, **masks)  # type: ignore[arg-type]
        file.write_text(document_text(content, there), encoding="utf-8")


def _without_none(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value is not None}


def load_plan(path: Path, model: Model) -> SavedPlan:
    """Read the plan at `path`; raises `AlcsError` if it is damaged or of another model."""
    content = read_document(path, _PlanFile)
    try:
        with np.load(masks_path(path), allow_pickle=False) as file:
            masks = {name: file[name] for name in file.files}
        part = content.channels
        channels = None if part is None else ChannelPlan(*_facts(part, masks))
        groups = None if content.groups is None else _group_plan(content.groups, masks)
        found = content.precision
        precision = None if found is None else PrecisionPlan(*_facts(found, masks))
    except OSError as error:
        raise AlcsError(f"cannot read {masks_path(path)}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, *_BAD_ZIP) as error:
        raise AlcsError(f"{masks_path(path)}: damaged ({error})") from error
    first = channels or groups or precision
    if first is None:
        raise AlcsError(f"{path}: the plan is empty")
    if first.model_digest != model.digest:
        raise AlcsError(f"{path}: made for another model, or for other weights of this one")
    settings = content.settings or {}
    return SavedPlan(content.method, channels, groups, settings, content.calibration, precision)


def _part(plan: ChannelPlan | PrecisionPlan, name: str, masks: dict[str, BoolArray]) -> _Channels:
    keep = _stored(plan.keep, name, masks)
    return _Channels(plan.model_digest, plan.predicted_ms, keep, plan.reasons)


def _groups_part(plan: PruningPlan, masks: dict[str, BoolArray]) -> _Groups:
    keep = _stored(plan.keep, "groups", masks)
    facts = (plan.model_digest, plan.predicted_ms, keep, plan.reasons)
    return _Groups(*facts, plan.simd_group, plan.structure)


def _stored(
    keep: Mapping[str, BoolArray], part: str, masks: dict[str, BoolArray]
) -> dict[str, _Mask]:
    """What the file says of the masks of one part, which are put into `masks`."""
    stored = {}
    for index, (name, mask) in enumerate(keep.items()):
        key = f"{part}/{index}"
        masks[key] = mask
        stored[name] = _Mask(key, int(mask.sum()), int(mask.size))
    return stored


def _kept(part: _Channels, masks: Mapping[str, BoolArray]) -> dict[str, BoolArray]:
    keep = {}
    for name, entry in part.keep.items():
        mask = masks[entry.mask]
        if mask.dtype != np.bool_ or int(mask.sum()) != entry.kept or mask.size != entry.of:
            raise ValueError(f"the mask of '{name}' is not the one that was saved")
        keep[name] = mask
    return keep


def _facts(
    part: _Channels, masks: Mapping[str, BoolArray]
) -> tuple[str, dict[str, BoolArray], Mapping[str, str], float]:
    return part.model_digest, _kept(part, masks), part.reasons, part.predicted_ms


def _group_plan(part: _Groups, masks: Mapping[str, BoolArray]) -> PruningPlan:
    return PruningPlan(
        part.model_digest,
        part.simd_group,
        _kept(part, masks),
        part.reasons,
        part.predicted_ms,
        part.structure or "simd",
    )
