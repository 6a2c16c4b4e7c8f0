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
    import shtab

    from alcs_onnx.cli import COMMANDS, build_parser

    script = shtab.complete(build_parser(COMMANDS), options.shell)
    if options.shell == "bash":
        script += _BASH_WORDS
    elif options.shell == "zsh":
        # "(*):" ends the list after the first of several models; "*:" goes on.
        script = script.replace('"(*):', '"*:')
    print(script, end="")
    return 0


#: bash splits words at "=" and ":", which shtab's script takes for values of their own; and after
#: an unknown command there is nothing to offer.
_BASH_WORDS = """

_alcs_onnx() {
  local i words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
    [=:]) if ((i == COMP_CWORD)); then words+=("")
          elif [[ ${COMP_WORDS[i]} == ":" ]] && ((i + 1 < COMP_CWORD)); then ((i++)); fi ;;
    *) words+=("${COMP_WORDS[i]}") ;;
    esac
  done
  local COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1))
  COMPREPLY=()
  ((COMP_CWORD == 1)) || [[ " ${_shtab_alcs_onnx_subparsers[*]} " == *" ${words[1]} "* ]] || return
  _shtab_alcs_onnx
}
complete -o bashdefault -F _alcs_onnx alcs-onnx
"""
