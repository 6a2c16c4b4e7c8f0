"""Print a script that completes commands, options and file names in a shell.

The script is plain text, made from the same parsers as --help: the shell runs nothing of this
package while it completes. It is read once, from the shell's start-up file, and made anew with
another version of the package.

    bash   alcs-onnx completion bash > ~/.local/share/bash-completion/completions/alcs-onnx
    zsh    alcs-onnx completion zsh > FOLDER/_alcs-onnx, a folder of $fpath
    fish   alcs-onnx completion fish > ~/.config/fish/completions/alcs-onnx.fish

example: alcs-onnx completion bash
"""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")
    parser.add_argument("--verbose", action="store_true", help="print tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    from alcs_onnx.cli import COMMANDS, build_parser
    from alcs_onnx.cli.completion_scripts import SCRIPTS
    from alcs_onnx.cli.completion_words import read_program

    print(SCRIPTS[options.shell](read_program(build_parser(COMMANDS))), end="")
    return 0
