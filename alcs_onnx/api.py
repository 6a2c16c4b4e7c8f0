"""The commands as functions with keywords: `alcs_onnx.optimize("in.onnx", "50%", "out.onnx")`.

Each makes the request of its command, whose fields are the keywords, and runs it. Paths may be
texts. Instead of `inputs` there are `input_shapes`, by the name of an input its shape or by the
name of a dimension its size, and `input_values`, by the name of an input its values.
`reporter` is told how it goes; by default nobody is. Everything that is wrong with what a
function is given raises a child of `AlcsError`, with one line of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline import bench as _bench
from alcs_onnx.pipeline import compare as _compare
from alcs_onnx.pipeline import compare_structures as _compare_structures
from alcs_onnx.pipeline import compile as _compile
from alcs_onnx.pipeline import compress as _compress
from alcs_onnx.pipeline import inspect as _inspect
from alcs_onnx.pipeline import optimize as _optimize
from alcs_onnx.pipeline import profile as _profile
from alcs_onnx.pipeline import sweep as _sweep
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.inspect.command import inspect as _run_inspect
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import Budget, ChannelTable, LatencyTable

#: Fields of requests that name files or folders, besides the positional ones.
_PATHS = ("checkpoint", "plan", "save_plan_to", "table", "tables")


def optimize(
    model: str | Path,
    budget: Budget | str,
    output: str | Path | None,
    *,
    reporter: Reporter = SILENT,
    **fields: Any,
) -> _optimize.OptimizeResult:
    """Make the model file `model` meet `budget`, and write it to `output` (None: a dry run).

    Keywords are the fields of `OptimizeRequest`: `method`, `training`, `simd_group`, ...
    """
    request = _optimize.OptimizeRequest(
        model=Path(model),
        budget=Budget.parse(budget) if isinstance(budget, str) else budget,
        output=None if output is None else Path(output),
        **_given(fields),
    )
    return _optimize.optimize(request, reporter)


def sweep(
    model: str | Path,
    budgets: str | Sequence[str],
    output: str | Path,
    *,
    reporter: Reporter = SILENT,
    **fields: Any,
) -> _sweep.SweepResult:
    """Run `optimize` for each of `budgets` with each of `methods`; the results go to `output`.

    `budgets` are texts of `Budget.parse`, or one text with commas or spaces between. Keywords are
    the fields of `SweepRequest`.
    """
    request = _sweep.SweepRequest(
        model=Path(model),
        budgets=_sweep.parse_budgets([budgets] if isinstance(budgets, str) else budgets),
        output=Path(output),
        **_given(fields),
    )
    return _sweep.sweep(request, reporter)


def compress(
    model: str | Path,
    output: str | Path,
    training: Training | None = None,
    *,
    reporter: Reporter = SILENT,
    **fields: Any,
) -> _compress.CompressionResult:
    """Prune and quantize `model` and write it to `output`.

    Keywords are the fields of `CompressRequest`, of which `options` is needed, and `judging` with
    pictures where there is no `training`.
    """
    request = _compress.CompressRequest(
        model=Path(model), output=Path(output), training=training, **_given(fields)
    )
    return _compress.compress(request, reporter)


def compare_structures(
    model: str | Path,
    training: Training | None = None,
    *,
    output: str | Path | None = None,
    reporter: Reporter = SILENT,
    **fields: Any,
) -> _compress.CompressionResult:
    """Prune, quantize, count and time `model` with each structure.

    Keywords are the fields of `CompareStructuresRequest`, of which `judging` with pictures is
    needed where there is no `training`.
    """
    request = _compare_structures.CompareStructuresRequest(
        model=Path(model),
        training=training,
        output=None if output is None else Path(output),
        **_given(fields),
    )
    return _compare_structures.compare_structures(request, reporter)


def compile_model(
    model: str | Path, output: str | Path, *, reporter: Reporter = SILENT, **fields: Any
) -> _compile.CompileResult:
    """Rewrite every Conv of `model` to the sparse op and write `output`, changing no weight.

    Keywords are the fields of `CompileRequest`.
    """
    request = _compile.CompileRequest(model=Path(model), output=Path(output), **_given(fields))
    return _compile.compile_model(request, reporter)


def inspect(
    model: str | Path, view: str = "model", *, reporter: Reporter = SILENT, **fields: Any
) -> _inspect.Inspection:
    """Find out about the model file `model`. Keywords are the fields of `InspectRequest`."""
    request = _inspect.InspectRequest(model=Path(model), view=view, **_given(fields))
    return _run_inspect(request, reporter)


def profile(
    model: str | Path, output: str | Path, *, reporter: Reporter = SILENT, **fields: Any
) -> LatencyTable | ChannelTable:
    """Measure the latency table of `model` and save it as JSON at `output`.

    Keywords are the fields of `ProfileRequest`.
    """
    request = _profile.ProfileRequest(model=Path(model), output=Path(output), **_given(fields))
    return _profile.profile(request, reporter)


def bench(
    models: Iterable[str | Path], *, reporter: Reporter = SILENT, **fields: Any
) -> _bench.BenchResult:
    """Time `models` side by side. Keywords are the fields of `BenchRequest`."""
    paths = tuple(Path(model) for model in models)
    return _bench.bench(_bench.BenchRequest(models=paths, **_given(fields)), reporter)


def compare(
    a: str | Path, b: str | Path, *, reporter: Reporter = SILENT, **fields: Any
) -> _compare.ModelComparison:
    """Run the model files `a`, the reference, and `b` on the same inputs, and compare.

    Keywords are the fields of `CompareRequest`.
    """
    request = _compare.CompareRequest(a=Path(a), b=Path(b), **_given(fields))
    return _compare.compare(request, reporter)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """The keywords with paths for texts, and without those that are None: those are defaults."""
    given = {name: value for name, value in fields.items() if value is not None}
    if "input_shapes" in given or "input_values" in given:
        shapes, values = given.pop("input_shapes", {}), given.pop("input_values", {})
        given["inputs"] = InputSettings.of(shapes, values)
    given |= {name: tuple(given[name]) for name in ("methods", "percentiles") if name in given}
    return {n: Path(v) if n in _PATHS and isinstance(v, str) else v for n, v in given.items()}
