"""The `alcs-onnx` command: one module per sub-command, each imported only when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from importlib import import_module

from alcs_onnx.cli.completable import CompletableStore
from alcs_onnx.cli.parser import Parser, suggestion
from alcs_onnx.errors import AlcsError

#: Sub-commands in the order `--help` lists them: module name -> one-line summary.
COMMANDS = {
    "optimize": "make a model meet a latency budget",
    "sweep": "optimize for several budgets and methods: a Pareto table",
    "prune-masks": "choose what to remove and save the masks",
    "compile": "rewrite an already sparse model to the sparse operator",
    "compress": "prune and quantize a model to given targets",
    "compare-structures": "compare structures of sparsity at the same accuracy",
    "inspect": "look at a model: layers, channels, zeros, latency",
    "profile": "measure the latency table of a model",
    "bench": "time models side by side",
    "compare": "say whether two models give the same results, and where they part",
    "library": "print the path of the custom-operator library",
    "completion": "print a script that completes this command in a shell",
}


class _PrintVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version("alcs-onnx")
        except metadata.PackageNotFoundError:
            version = "(not installed: running from its source folder)"
        print(f"alcs-onnx {version}")
        parser.exit()


def build_parser(filled: Collection[str]) -> Parser:
    """The parser, with the arguments of the commands `filled` alone: imports stay cheap."""
    parser = Parser(
        prog="alcs-onnx",
        description="Make a trained ONNX CNN meet a latency budget on an ordinary CPU.",
        epilog=_exit_status("what the command was to reach was not reached: its help says what"),
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = (
            import_module(f"alcs_onnx.cli.{name.replace('-', '_')}") if name in filled else None
        )
        sub = commands.add_parser(
            name,
            help=summary,
            description=(module.__doc__ or "").strip() if module else summary,
            epilog=_exit_status(getattr(module, "NOT_REACHED", "")),
        )
        if module is not None:
            sub.register("action", None, CompletableStore)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
            sub.shorten_usage()
    return parser


def _exit_status(not_reached: str) -> str:
    """What the exit statuses mean; 1 where a command has something to reach."""
    one = f"1 {not_reached}; " if not_reached else ""
    return f"exit status: 0 done; {one}2 bad input or usage, with one line that says what and where"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status instead of raising for user errors."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = next((a for a in arguments if not a.startswith("-")), None)
    parser = build_parser([command] if command in COMMANDS else [])
    if command is not None and command == arguments[0] and command not in COMMANDS:
        hint = suggestion(command, COMMANDS)
        meant = f"did you mean {hint}?" if hint else "alcs-onnx --help lists all"
        parser.error(f"unknown command {command!r}: {meant}")
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except AlcsError as error:
        if getattr(options, "verbose", False):
            import traceback

            traceback.print_exc()
        print(f"alcs-onnx: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("alcs-onnx: interrupted", file=sys.stderr)
        return 130
    except (MemoryError, RuntimeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader of our output went away (`| head`): not an error worth a traceback.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if getattr(options, "verbose", False):
            raise
        text = " ".join(str(error).split())
        print(f"alcs-onnx: {type(error).__name__}: {text} (--verbose shows where)", file=sys.stderr)
        return 2
