"""The command line on a machine where torch is not installed."""

from __future__ import annotations

import subprocess
import sys

#: A finder that hides torch stands for such a machine.
_SCRIPT = (
    "import sys\n"
    "class Hide:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.split('.')[0] == 'torch':\n"
    "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    "sys.meta_path.insert(0, Hide())\n"
    "from alcs_onnx.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


def run_without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-c", _SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)
