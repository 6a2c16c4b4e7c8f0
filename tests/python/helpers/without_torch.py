"""The command line, and code, on a machine where torch is not installed."""

from __future__ import annotations

import subprocess
import sys

#: A finder that hides torch stands for such a machine.
_HIDDEN = (
    "import sys\n"
    "class Hide:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.split('.')[0] == 'torch':\n"
    "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    "sys.meta_path.insert(0, Hide())\n"
)
_COMMAND = "from alcs_onnx.cli import main\nsys.exit(main(sys.argv[1:]))\n"


def run_without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return python_without_torch(_COMMAND, *arguments)


def python_without_torch(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, with `arguments` in sys.argv."""
    command = [sys.executable, "-c", _HIDDEN + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)
