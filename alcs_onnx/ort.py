"""ONNX Runtime sessions on the CPU: creation, the custom-op library, runs and timing.

The only module that imports onnxruntime. Everything it raises for a bad model or an
unsuitable runtime is a child of `AlcsError` with a one-line text.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from alcs_onnx.errors import AlcsError, DataError, ModelError, TargetError
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized, StoredModel
from alcs_onnx.types import PartialShape

#: Oldest runtime whose C API has what the custom-op library needs (in-place outputs,
#: scratch buffers).
MINIMUM_VERSION = (1, 18)

#: Milliseconds, one entry per recorded run.
Samples = npt.NDArray[np.float64]
Feeds = Mapping[str, npt.NDArray[Any]]

_PROVIDERS = ["CPUExecutionProvider"]
#: Errors are raised, and told once: what the runtime would log of them is dropped.
_LOG_FATAL_ONLY = 4
#: Runs at most per sample, on a machine that interrupts them.
_ATTEMPTS = 4
_LIBRARY_NAMES = {"Darwin": "libalcs_ort.dylib", "Windows": "alcs_ort.dll"}


def get_library_path() -> Path:
    """Path of the custom-op library for `SessionOptions.register_custom_ops_library`.

    The environment variable ALCS_LIBRARY overrides the one shipped in the package.
    Raises `TargetError` when there is none.
    """
    override = os.environ.get("ALCS_LIBRARY")
    if override:
        path = Path(override)
        if not path.is_file():
            raise TargetError(f"ALCS_LIBRARY={override}: no such file")
        return path
    name = _LIBRARY_NAMES.get(platform.system(), "libalcs_ort.so")
    path = Path(__file__).resolve().parent / "lib" / name
    if not path.is_file():
        raise TargetError(
            f"the custom-op library {name} is not installed with this package: "
            "reinstall alcs-onnx, or build it and set ALCS_LIBRARY to its path"
        )
    return path


def library_isa() -> str | None:
    """Name of the instruction set whose kernels the custom-op library runs in this process.

    "avx512vnni", "avx512", "avxvnni", "avx2", "neondot", "neon" or "scalar", or what the
    environment variable ALCS_FORCE_ISA says; the library decides. `None` where there is no library
    that can tell.
    Raises `TargetError` when ALCS_FORCE_ISA names a set that the library refuses.
    """
    try:
        ask = ctypes.CDLL(str(get_library_path().resolve())).alcs_isa
    except (AttributeError, OSError, TargetError):
        return None
    ask.argtypes = ()
    ask.restype = ctypes.c_char_p
    name: bytes | None = ask()
    if name is None:
        forced = os.environ.get("ALCS_FORCE_ISA", "")
        raise TargetError(
            f"ALCS_FORCE_ISA={forced}: the instruction set is unknown or not supported here"
        )
    return name.decode()


def runtime_version() -> str:
    """Version of the imported ONNX Runtime."""
    return str(onnxruntime.__version__)


def processors() -> int:
    """How many this process may use: the threads of runs that are not timed."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_runtime(
    least: tuple[int, int] = MINIMUM_VERSION, what: str = "the sparse kernels"
) -> None:
    """Raise `TargetError` if the imported ONNX Runtime is too old for `what`."""
    found = runtime_version()
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers < least:
        needed = ".".join(map(str, least))
        raise TargetError(f"ONNX Runtime {found} is too old: {what} need {needed} or newer")


@dataclass(frozen=True)
class Value:
    """An input or output of a session.

    An axis without a fixed size is the name that the file has for it, or None.
    """

    name: str
    type: str
    dims: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{self.type} {text_of(self.shape)}"

    @property
    def shape(self) -> PartialShape:
        """The sizes, None for those that are not fixed."""
        return tuple(size if isinstance(size, int) else None for size in self.dims)


class Session:
    """One model loaded in ONNX Runtime on the CPU. Made by `create_session`."""

    def __init__(self, raw: Any, threads: int) -> None:
        self.threads = threads
        self.inputs = tuple(_value(item) for item in raw.get_inputs())
        self.outputs = tuple(_value(item) for item in raw.get_outputs())
        self._raw = raw

    def run(self, feeds: Feeds) -> list[npt.NDArray[Any]]:
        """All outputs in model order. Raises `DataError` if `feeds` do not fit the model."""
        try:
            return list(self._raw.run(None, dict(feeds)))
        except Exception as error:  # the binding raises a dozen unrelated types
            raise DataError(f"the model does not run on this input: {_one_line(error)}") from error

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        """A function that runs this model once on `feeds`, for timing.

        Inputs are bound once and outputs stay with the runtime, so that Python adds
        microseconds only. Raises `DataError` if `feeds` do not fit the model.
        """
        contradicted = self.contradicted(feeds)
        if any(array.dtype.kind in "OSU" for array in feeds.values()):
            return partial(self._raw.run, None, dict(feeds))  # the runtime binds no texts
        binding = self._raw.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))

        def bind_outputs() -> None:
            for value in self.outputs:
                binding.bind_output(value.name)

        def run_anew() -> None:
            binding.clear_binding_outputs()
            bind_outputs()
            self._raw.run_with_iobinding(binding)

        if contradicted:  # outputs of the last run, taken again, would be refused for their shape
            return run_anew
        bind_outputs()
        return partial(self._raw.run_with_iobinding, binding)

    def contradicted(self, feeds: Feeds) -> tuple[tuple[Value, PartialShape], ...]:
        """Outputs that `feeds` give another shape than the file declares, with that shape.

        Raises `DataError` if `feeds` do not fit the model.
        """
        found = []
        for value, output in zip(self.outputs, self.run(feeds), strict=True):
            shape = getattr(output, "shape", None)
            if shape is None or not value.dims:
                continue
            same = len(shape) == len(value.shape) and all(
                fixed is None or fixed == size
                for fixed, size in zip(value.shape, shape, strict=True)
            )
            if not same:
                found.append((value, tuple(shape)))
        return tuple(found)

    def end_profiling(self) -> Path:
        """Write the profile of a session made with `profile_prefix`; returns its path."""
        return Path(self._raw.end_profiling())


def create_session(
    model: Serialized | Path,
    threads: int = 1,
    library: bool = True,
    profile_prefix: Path | None = None,
    name: str = "",
    optimized: bool = True,
    disabled: Collection[str] = (),
) -> Session:
    """Load `model` with `threads` intra-op threads and all of the runtime's optimisations.

    With `library` the custom-op library is registered. With `profile_prefix` the runtime
    records the duration of every node until `Session.end_profiling`. Errors call the model
    `name`, by default the path of a file. Without `optimized` the graph runs as it is written;
    `disabled` are names of single optimisations that are left out.

    Raises `TargetError` for an unsuitable runtime or library, `ModelError` for a model
    that the runtime refuses.
    """
    check_runtime()
    if threads < 1:
        raise TargetError(f"{threads} threads: at least one is needed")
    if isinstance(model, StoredModel):
        model = model.path
    if isinstance(model, Path):
        name = name or str(model)
        if model.is_dir():
            raise ModelError(f"{name}: it is a directory, not an ONNX file")
        if not model.is_file():
            raise ModelError(f"{name}: no such file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_FATAL_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not optimized:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    if library:
        path = get_library_path()
        try:
            options.register_custom_ops_library(str(path))
        except Exception as error:  # the binding raises a dozen unrelated types
            raise TargetError(
                f"{path.name} does not load in ONNX Runtime {runtime_version()}: {_one_line(error)}"
            ) from error
    source = str(model) if isinstance(model, Path) else model
    try:
        raw = onnxruntime.InferenceSession(
            source, options, providers=_PROVIDERS, disabled_optimizers=list(disabled)
        )
    except Exception as error:  # as above
        raise _refusal(error, name) from error
    return Session(raw, threads)


def _refusal(error: Exception, name: str) -> ModelError | TargetError:
    """What to raise where the runtime refuses the model of that name, maybe for a kernel."""
    prefix = f"{name}: " if name else ""
    text = f"{prefix}ONNX Runtime refuses the model: {_one_line(error)}"
    if "NOT_IMPLEMENTED" not in str(error):
        return ModelError(text)
    return TargetError(
        f"{text}: on this machine it has no kernel for that version of the operator, or for "
        "the element type there (bfloat16 or double, say)"
    )


def run(session: Session, feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
    """The outputs of `session` on `feeds`, by name."""
    names = (value.name for value in session.outputs)
    return dict(zip(names, session.run(feeds), strict=True))


class Runner(Protocol):
    """A loaded model that `interleave` can time, here or in another process."""

    def warm(self, count: int) -> None:
        """Run `count` times without recording."""
        ...

    def run(self, count: int) -> Samples:
        """Run `count` times in a row; returns the duration of each run (ms)."""
        ...


class SessionRunner:
    """Times a session of this process.

    Before the recorded runs of each turn come a pause, in which thread pools of models
    that ran before stop spinning, and `lead_in` unrecorded runs, which bring the model's
    own data back into the caches. `turns` lists the lengths of all sequences of runs so
    far, those that do not count as negative numbers.
    """

    def __init__(
        self, session: Session, feeds: Feeds, lead_in: int = 0, pause_seconds: float = 0.0
    ) -> None:
        self.session = session
        self.turns = [-1]  # binding runs the model once, to check the feeds
        self._once = session.bind(feeds)
        self._lead_in = lead_in
        self._pause_seconds = pause_seconds

    def warm(self, count: int) -> None:
        """Run `count` times without recording."""
        for _ in range(count):
            self._once()
        self.turns.append(-count)

    def run(self, count: int) -> Samples:
        """Pause, lead in, then run `count` times; returns the duration of each run (ms).

        Time during which the system gave the processor to something else says nothing about
        the model. An interrupted run of one thread counts with the processor time it had.
        One of several threads is repeated, up to `_ATTEMPTS` runs per sample; where that is
        not enough, the shortest of the interrupted runs stand in.
        """
        if self._pause_seconds:
            time.sleep(self._pause_seconds)
        self.warm(self._lead_in)
        alone = self.session.threads == 1
        attempts = count if alone else count * _ATTEMPTS
        durations: list[int] = []
        interrupted: list[int] = []
        while len(durations) - len(interrupted) < count and len(durations) < attempts:
            wall, processor, clean = self._timed_run()
            if not clean:
                interrupted.append(len(durations))
            durations.append(wall if clean or not alone else processor)
        lacking = count - (len(durations) - len(interrupted))
        dropped = set(sorted(interrupted, key=durations.__getitem__)[lacking:])
        self.turns += [-1 if index in dropped else 1 for index in range(len(durations))]
        kept = [time for index, time in enumerate(durations) if index not in dropped]
        return np.array(kept, dtype=np.float64) / 1e6

    def _timed_run(self) -> tuple[int, int, bool]:
        """One run: nanoseconds passed, nanoseconds of this thread, not interrupted."""
        before, processor = _preemptions(), time.thread_time_ns()
        start = time.perf_counter_ns()
        self._once()
        wall = time.perf_counter_ns() - start
        processor = time.thread_time_ns() - processor
        return wall, processor, _preemptions() == before


def _preemptions() -> int:
    """How often this process had the processor taken away; constant where nobody counts."""
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def interleave(
    runners: Sequence[Runner],
    iterations: int,
    warmup: int,
    min_seconds: float = 0.0,
    turn: int = 1,
    reporter: Reporter = SILENT,
) -> list[Samples]:
    """Time several models in turns, so that all of them see the same machine.

    First every model runs `warmup` times. Then they take turns of `turn` recorded runs
    until each has at least `iterations` samples and `min_seconds` of recorded time per
    model have passed on average. Returns the samples (ms) of each model, all of one length.
    """
    if iterations < 1 or turn < 1 or warmup < 0:
        raise AlcsError(f"{iterations} iterations after {warmup} of warm-up cannot be timed")
    rows: list[list[Samples]] = [[] for _ in runners]
    for runner in runners:
        runner.warm(warmup)
    recorded, total_ms = 0, 0.0
    collecting = gc.isenabled()
    gc.disable()
    try:
        while runners and (recorded < iterations or total_ms < 1e3 * min_seconds * len(runners)):
            count = turn if recorded >= iterations else min(turn, iterations - recorded)
            for runner, row in zip(runners, rows, strict=True):
                row.append(runner.run(count))
                total_ms += float(row[-1].sum())
            recorded += count
            reporter.phase("measuring", min(1.0, recorded / iterations))
    finally:
        if collecting:
            gc.enable()
    return [np.concatenate(row) for row in rows]


def text_of(shape: PartialShape) -> str:
    """`shape` in words: `[1,3,?,?]`."""
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"


def _value(item: Any) -> Value:
    """The runtime's own description of an input or output, in plain types."""
    # Some exporters write "?" for any size: that is no name, which would stand for one size.
    dims = (size if isinstance(size, int) or size not in ("", "?") else None for size in item.shape)
    return Value(str(item.name), str(item.type), tuple(dims))


def _one_line(error: BaseException) -> str:
    """The runtime's message without status, path of the model, source location and line breaks."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed:", "", text)
    text = re.sub(
        r"^(Exception during \w+: )?\S*\.(cc|h|hpp):\d+ (onnxruntime::\S+ onnxruntime::.*&\) )?",
        "",
        text,
    )
    return text[:500] or type(error).__name__
