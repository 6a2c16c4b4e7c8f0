"""Choose what to remove for a latency budget and save the masks, without changing the model.

Writes a JSON file that says what each layer or channel group keeps and why others keep all, and
the masks themselves beside it, as FILE.npz. `optimize --plan FILE` applies them.

example: alcs-onnx prune-masks in.onnx --budget 2x --method channel -o plan.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments, judging, optimize

NOT_REACHED = optimize.NOT_REACHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `prune-masks`."""
    arguments.add_model(parser)
    optimize.add_method(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON file to write")
    arguments.add_measuring(parser, iterations=200)
    optimize.add_channels(parser)
    arguments.add_preprocess(judging.add_judging(parser))
    arguments.add_top(parser, "the slowest layers")
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Plan, save, and print what would be done."""
    from alcs_onnx.pipeline.optimize import OptimizeRequest
    from alcs_onnx.pipeline.optimize import optimize as run_optimize
    from alcs_onnx.report.optimize import print_optimize
    from alcs_onnx.report.progress import progress

    request = OptimizeRequest(
        save_plan_to=options.output,
        judging=judging.requested(options),
        **optimize.requested(options),
    )
    with progress() as reporter:
        result = run_optimize(request, reporter)
    wrote = options.output if result.status != "unchanged" else None
    print_optimize(result, top=options.top, wrote=wrote)
    return result.exit_status
