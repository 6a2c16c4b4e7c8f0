"""Rewrite a model that is already sparse, from any tool, to the sparse operator.

Every Conv becomes ai.alcs::SimdSparseConv with bias, activation and residual Add fused. No
weight changes: the SIMD group size is found, layer by layer, from where the zeros are.

example: alcs-onnx compile sparse.onnx -o out.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments, judging

NOT_REACHED = "more was lost than may be"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compile`."""
    arguments.add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=None,
        help="SIMD group size of every layer (default found from the zeros)",
    )
    arguments.add_preprocess(judging.add_judging(parser))
    arguments.add_top(parser, "the heaviest layers")
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Rewrite, check, write, and print a row per layer; status 1 when too much was lost."""
    from alcs_onnx.pipeline.compile import CompileRequest, compile_model
    from alcs_onnx.report.compile import print_compile
    from alcs_onnx.report.progress import progress

    request = CompileRequest(
        model=options.model,
        output=options.output,
        inputs=arguments.inputs(options),
        simd_group=options.group_size,
        judging=judging.requested(options),
        seed=options.seed,
    )
    with progress() as reporter:
        result = compile_model(request, reporter)
    print_compile(result, top=options.top)
    return result.exit_status
