"""Arrays of what users' code gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alcs_onnx.data.arrays import to_array


@pytest.mark.parametrize("value", [[[1, 2]], ((1, 2),), np.array([[1, 2]]), [np.array([1, 2])]])
def test_numbers_become_an_array(value: Any) -> None:
    np.testing.assert_array_equal(to_array(value), np.array([[1, 2]]))


@pytest.mark.parametrize("value", [None, {"a": 1}, object(), [object()]])
def test_what_is_no_array_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="is no array of numbers"):
        to_array(value)


def test_tensors_share_their_memory() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6.0).reshape(2, 3)
    array = to_array(tensor.requires_grad_())
    assert np.shares_memory(array, tensor.detach().numpy())
    np.testing.assert_array_equal(to_array([tensor.detach()]), array[None])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("bfloat16", np.float32), ("float16", np.float16), ("int64", np.int64), ("bool", np.bool_)],
)
def test_types_of_tensors(kind: str, dtype: type) -> None:
    torch = pytest.importorskip("torch")
    array = to_array(torch.tensor([0, 1], dtype=getattr(torch, kind)))
    assert array.dtype == dtype
    assert array.tolist() == [0, 1]
