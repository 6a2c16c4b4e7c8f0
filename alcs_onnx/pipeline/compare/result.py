"""What `compare` returns: frozen values, written as JSON field by field.

`a` is the reference throughout. A field that is added, renamed or removed is a new
version of `formats.MODEL_COMPARISON`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alcs_onnx.differences import Difference
from alcs_onnx.formats import MODEL_COMPARISON, Format
from alcs_onnx.types import Machine, Shape


@dataclass(frozen=True)
class Agreement:
    """Top-1 classes of both models, in percent of the samples.

    With labels, accuracies and how many samples both, one or neither get right; without, None.
    `chance` is the probability that models of equal accuracy part so far on as many samples
    (McNemar's exact test), None where each gets the same samples right.
    """

    agreement: float
    accuracy_a: float | None = None
    accuracy_b: float | None = None
    both_right: int | None = None
    only_a: int | None = None
    only_b: int | None = None
    neither: int | None = None
    chance: float | None = None


@dataclass(frozen=True)
class OutputComparison:
    """One output of both models. `shape` is that of a single run."""

    output_a: str
    output_b: str
    shape: Shape
    difference: Difference
    within: bool


@dataclass(frozen=True)
class TensorComparison:
    """One tensor that both models compute, with the nodes that compute it.

    Where the shapes differ (channels were removed), `difference` and `within` are None.
    """

    tensor_a: str
    tensor_b: str
    node_a: str
    node_b: str
    op_a: str
    op_b: str
    shape_a: Shape
    shape_b: Shape
    difference: Difference | None
    within: bool | None


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same inputs; a relative difference up to `tolerance` is none.

    `tensors` are those found in both graphs, in the topological order of a, on the first
    `tensor_samples` samples; `matched_by` says how they were found. `parted` is the first of them
    whose difference is beyond the tolerance. `notes` say what could not be compared, and why.
    """

    format: ClassVar[Format] = MODEL_COMPARISON

    model_a: str
    model_b: str
    data: str
    samples: int
    tolerance: float
    same: bool
    agreement: Agreement | None
    outputs: tuple[OutputComparison, ...]
    tensors: tuple[TensorComparison, ...]
    tensor_samples: int
    matched_by: str
    parted: TensorComparison | None
    machine: Machine
    notes: tuple[str, ...] = ()
