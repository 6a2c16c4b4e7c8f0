"""What is set right in a file is told apart from what pruning gains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from small_models import residual_net

import alcs_onnx
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.report.optimize import optimize_page, print_optimize
from alcs_onnx.reporter import NoteKeeper

pytestmark = pytest.mark.usefixtures("few_samples")


def _declared_as_inputs(proto: onnx.ModelProto) -> None:
    for tensor in proto.graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        proto.graph.input.append(info)


def _subnormal(proto: onnx.ModelProto) -> None:
    for tensor in proto.graph.initializer:
        if tensor.name == "d.w":
            array = numpy_helper.to_array(tensor).copy()
            array.reshape(-1)[:100] = np.float32(1e-40)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


Break = Callable[[onnx.ModelProto], None]
CASES = {
    "declaring no weights as inputs (14 were)": _declared_as_inputs,
    "zeros for 100 subnormal weights": _subnormal,
}


def broken(folder: Path, change: Break) -> Path:
    path = residual_net(folder / "net.onnx")
    proto = onnx.load(path)
    change(proto)
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize(("what", "change"), CASES.items(), ids=["inputs", "subnormal"])
def test_a_budget_that_is_met_by_that_alone(
    tmp_path: Path, what: str, change: Break, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output, keeper = broken(tmp_path, change), tmp_path / "out.onnx", NoteKeeper()
    quick = Measuring(warmup=1, iterations=3)
    result = alcs_onnx.optimize(path, "1000ms", output, measuring=quick, reporter=keeper)
    assert result.status == "unchanged"
    assert result.message.startswith("nothing more to do")
    assert result.message.endswith(f"{output} differs from the file as it was given only in {what}")
    assert result.repaired is not None
    assert result.repaired.what == (what,)
    assert result.repaired.message in keeper.notes
    written = onnx.load(output)
    assert [info.name for info in written.graph.input] == ["x"]
    weights = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    assert all((np.abs(w[w != 0]) > 1.2e-38).all() for w in weights.values())
    print_optimize(result)
    shown = capsys.readouterr().out
    assert "as given" in shown
    assert what in " ".join(shown.split())
    assert what in optimize_page(result)


def test_percentages_are_of_what_was_set_right(tmp_path: Path) -> None:
    path = broken(tmp_path, _declared_as_inputs)
    quick = Measuring(warmup=1, iterations=3)
    result = alcs_onnx.optimize(path, "100%", None, measuring=quick)
    assert result.repaired is not None
    assert result.status == "unchanged"
    assert result.budget_ms == result.dense.median


def test_nothing_is_told_of_a_file_that_is_right(tmp_path: Path) -> None:
    path, keeper = residual_net(tmp_path / "net.onnx"), NoteKeeper()
    quick = Measuring(warmup=1, iterations=3)
    result = alcs_onnx.optimize(path, "1000ms", None, measuring=quick, reporter=keeper)
    assert result.repaired is None
    assert result.message.startswith("nothing to do")
    assert not any("percentages" in note for note in keeper.notes)
