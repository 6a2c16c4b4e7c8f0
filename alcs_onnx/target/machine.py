"""Describes the machine this process runs on."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

from alcs_onnx.errors import TargetError
from alcs_onnx.ort import get_library_path, library_isa, runtime_version
from alcs_onnx.types import Machine

_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe(threads: int) -> Machine:
    """This machine, with a model to be run by `threads` threads.

    The instruction set is the one that the custom-op library runs, "unknown" without a library.
    Raises `TargetError` if the environment forces one that the library refuses.
    """
    return Machine(
        cpu=_cpu(_cpuinfo()),
        isa=library_isa() or "unknown",
        threads=threads,
        onnxruntime=runtime_version(),
        library=_library(),
        governor=_governor(),
        load=_load(),
    )


def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo; empty outside Linux."""
    try:
        lines = _CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def _cpu(info: dict[str, str]) -> str:
    """A name of the CPU model that two machines of the same kind share."""
    for key in ("model name", "Model", "Hardware"):
        if info.get(key):
            return info[key]
    if "CPU part" in info:
        return f"Arm implementer {info.get('CPU implementer', '?')} part {info['CPU part']}"
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            return found.stdout.strip() or platform.machine()
        except (OSError, subprocess.SubprocessError):
            return platform.machine()
    return platform.processor() or platform.machine() or "unknown"


def _library() -> str:
    """The custom-op library's file name and the first digits of its SHA-256."""
    try:
        path = get_library_path()
        return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    except (OSError, TargetError):
        return "none"


def _governor() -> str:
    try:
        return _GOVERNOR.read_text().strip() or "unknown"
    except OSError:
        return "unknown"


def _load() -> float:
    """Runnable processes over the last minute; NaN where the system does not say."""
    try:
        return float(os.getloadavg()[0])
    except (AttributeError, OSError):
        return float("nan")
