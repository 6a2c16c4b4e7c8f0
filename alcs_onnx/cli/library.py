"""Print the path of the custom-operator library, for `register_custom_ops_library`.

example: alcs-onnx library
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`library` takes no arguments of its own."""
    parser.add_argument("--verbose", action="store_true", help="print tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Print the path."""
    from alcs_onnx import get_library_path

    print(get_library_path())
    return 0
