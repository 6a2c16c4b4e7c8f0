"""Shared by the scripts here: write a result with the command and machine that made it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from alcs_onnx.documents import write_json
from alcs_onnx.target import get_target

RESULTS = Path(__file__).parent / "results"


def _portable() -> list[str]:
    """The command's arguments, paths without the folders of the machine they lie on."""
    return [Path(a).name if Path(a).exists() else a for a in sys.argv[1:]]


def run_study(
    name: str,
    parser: argparse.ArgumentParser,
    subjects: Sequence[Any],
    figures: Callable[[Any, argparse.Namespace], dict[str, Any]],
    markdown: Callable[[Sequence[dict[str, Any]]], str],
) -> None:
    """Measure the `subjects`, which have names, and write results/NAME.json and the table NAME.md.

    `parser` has flags of the study's own, `--samples` among them. `--only` leaves subjects out, and
    the results are named after those that are left.
    """
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=[subject.name for subject in subjects])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for subject in subjects:
        if args.only is None or subject.name in args.only:
            rows.append(figures(subject, args))
            print(markdown(rows[-1:]), flush=True)
    if args.only is not None:
        name = f"{name}_{'_'.join(args.only)}"
    write_result(name, {"samples": args.samples, "seed": args.seed}, rows, threads=args.threads)
    (RESULTS / f"{name}.md").write_text(markdown(rows))


def write_result(name: str, arguments: dict[str, Any], figures: Any, threads: int = 1) -> Path:
    """Save `figures` as results/NAME.json beside the command, the date and the machine."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "command": " ".join(["python", f"tools/reproduce/{Path(sys.argv[0]).name}", *_portable()]),
        "arguments": arguments,
        "date": date.today().isoformat(),
        "machine": get_target("local").machine(threads),
        "figures": figures,
    }
    write_json(path, record)
    print(f"wrote {path.name}")
    return path
