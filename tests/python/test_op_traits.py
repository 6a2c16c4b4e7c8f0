"""The table of operators, and that what is registered for operators agrees with it."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest

from alcs_onnx.coupling import RULES, ZERO_RULES
from alcs_onnx.graph.activations import GATES, OPERATORS
from alcs_onnx.op_traits import BROADCAST, OPS, UNARY, ops_with, qualified


def test_rows_are_operators_of_onnx_by_name() -> None:
    assert set(OPS) == {row.op_type for row in OPS.values()}
    assert len(ops_with(lambda op: True)) == len(OPS)  # none twice
    assert all(onnx.defs.has(name) for name in OPS if "." not in name)


def test_rows_of_other_domains_are_operators_of_the_runtime() -> None:
    schemas = onnxruntime.capi.onnxruntime_pybind11_state.get_all_operator_schema()
    known = {qualified(schema.domain, schema.name) for schema in schemas}
    assert {name for name in OPS if "." in name} <= known


def test_what_works_number_by_number_has_a_coupling_rule() -> None:
    assert set(UNARY) | set(BROADCAST) <= RULES.keys()
    assert RULES.keys() <= OPS.keys()
    assert ZERO_RULES.keys() <= RULES.keys()


@pytest.mark.parametrize("name", [*OPERATORS, *(p for g in GATES.values() for p in g.parts)])
def test_fused_activations_work_number_by_number(name: str) -> None:
    assert OPS[name].elementwise is not None
