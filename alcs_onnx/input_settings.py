"""What a user says of a model's inputs: their sizes, and values where not any will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import DataError, ModelError
from alcs_onnx.types import Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class InputSettings:
    """Sizes and values of inputs; what is left out is made up, or asked for where it cannot be.

    shapes: by the name of an input.
    sizes: by the name of a dimension; one size holds wherever the name stands.
    values: by the name of an input. One value fills an input; as many as the input has elements
        are brought into its shape. Texts are read as the input's own type.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        shapes: Mapping[str, Iterable[int] | int] | None = None,
        values: Mapping[str, npt.ArrayLike] | None = None,
    ) -> InputSettings:
        """Settings from plain values: in `shapes` a number is the size of a named dimension."""
        given = dict(shapes or {})
        return cls(
            shapes={name: tuple(x) for name, x in given.items() if not isinstance(x, int)},
            sizes={name: x for name, x in given.items() if isinstance(x, int)},
            values={name: np.asarray(x) for name, x in (values or {}).items()},
        )

    def with_shapes(self, shapes: Mapping[str, Shape]) -> InputSettings:
        """The same values at `shapes`, by input: nothing is left open."""
        return replace(self, shapes=dict(shapes), sizes={})

    def check(self, inputs: Iterable[str], dimensions: Iterable[str], whose: str) -> None:
        """Raise `ModelError` for a name that is neither among `inputs` nor among `dimensions`.

        `whose` says in the text what has no such input: `net.onnx has`, `no model has`.
        """
        names = list(dict.fromkeys(inputs))
        for flag, given in (("--input-shapes", self.shapes), ("--input-values", self.values)):
            for name in given:
                if name not in names:
                    what = "such input" if whose.startswith("no ") else "no such input"
                    raise ModelError(f"{flag} {name}: {whose} {what}, {_only(name, names)}")
        known = list(dict.fromkeys(dimensions))
        for name, size in self.sizes.items():
            if name not in known:
                what = "such dimension" if whose.startswith("no ") else "no such dimension"
                raise ModelError(
                    f"--input-shapes {name}={size}: {whose} {what}, {_only(name, known)}"
                )
            if size < 1:
                raise ModelError(f"--input-shapes {name}={size}: a size must be at least 1")


def load_values(path: Path) -> dict[str, Array]:
    """The arrays of the .npz file at `path`, by name; raises `DataError` for any other file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (AttributeError, OSError, TypeError, ValueError, BadZipFile) as error:
        raise DataError(f"{path}: it is no .npz file of plain arrays by input name") from error


def _only(name: str, known: list[str]) -> str:
    """The names that there are, and which of them was meant."""
    listed = ", ".join(f"'{other}'" for other in known)
    meant = get_close_matches(name, known, n=1)
    hint = f": did you mean '{meant[0]}'?" if meant and len(known) > 1 else ""
    return f"only {listed or 'unnamed ones'}{hint}"
