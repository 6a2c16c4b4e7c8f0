"""Rewrite a model that is already sparse, from any tool, to the sparse operator.

Every Conv becomes ai.alcs::SimdSparseConv with bias, activation and residual Add fused. No
weight changes: the SIMD group size is found, layer by layer, from where the zeros are. With
--precision int8 or auto nodes are int8 besides, by ONNX Runtime's quantizer. Convolutions that
are int8, in a file that is quantized already too, become ai.alcs::QLinearSparseConv where that
measures quicker.

example: alcs-onnx compile sparse.onnx -o out.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.cli import arguments, judging
from alcs_onnx.pipeline.compile.precisions import PRECISIONS

if TYPE_CHECKING:
    from alcs_onnx.pipeline.common.workload import Measuring

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
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="float32; int8: every node that can be is int8, for a small file, be it quicker or "
        "not; auto: those that are quicker so than in float32 with its zeros passed over, by "
        "measuring; the last two need --calibration",
    )
    arguments.add_preprocess(judging.add_judging(parser))
    arguments.add_measuring(parser, iterations=200)
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
        precision=options.precision,
        measuring=_measuring(options),
        seed=options.seed,
    )
    with progress() as reporter:
        result = compile_model(request, reporter)
    print_compile(result, top=options.top)
    return result.exit_status


def _measuring(options: argparse.Namespace) -> Measuring:
    """How latency is measured; raises `AlcsError` for flags about it where nothing is."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.common.workload import Measuring

    found = arguments.measuring(options)
    if options.precision == PRECISIONS[0]:
        for name, default in vars(Measuring()).items():
            if getattr(found, name) != default:
                raise AlcsError(f"--{name} has no effect with --precision {options.precision}")
    return found
