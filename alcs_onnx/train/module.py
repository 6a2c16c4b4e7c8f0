"""An ONNX model as a torch module that interprets it node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import Model, as_float32, free_batch
from alcs_onnx.train.operators import Build, find
from alcs_onnx.train.operators.registry import Step
from alcs_onnx.train.places import computed_from_sizes, placed
from alcs_onnx.train.weights import weights_of
from alcs_onnx.types import FloatArray


def escape(name: str) -> str:
    """A tensor name as torch accepts it for a parameter: no dots, no clash with attributes."""
    return "onnx:" + name.replace("%", "%25").replace(".", "%2E")


def unescape(name: str) -> str:
    """The tensor name behind `escape`."""
    return name.removeprefix("onnx:").replace("%2E", ".").replace("%25", "%")


@dataclass(frozen=True)
class _Call:
    """One node, compiled: which registers it reads and writes, which are free afterwards."""

    step: Step
    reads: tuple[int | None, ...]
    writes: tuple[int | None, ...]
    frees: tuple[int, ...]


class OnnxModule(nn.Module):
    """`Model` in torch. Inputs and outputs keep their ONNX order and layout.

    Weights (`weights.weights_of`) are parameters, everything else is a constant buffer. Several
    samples at once give what each of them gives (`graph.free_batch`); a model that takes only the
    number that its file fixes is run piece by piece, which is slower. `channels_last` computes 4-D
    tensors in that memory format, which only changes speed. `inplace` lets a Relu overwrite its
    input where nothing else needs it. A float16 model is one of float32 here: its inputs may be
    either, and its weights are trained in float32.

    Raises `UnsupportedError`, naming the node, for an operator that is not in the table.
    """

    def __init__(self, model: Model, *, channels_last: bool = False, inplace: bool = True) -> None:
        super().__init__()
        model = as_float32(model)
        self._channels_last = channels_last
        self.input_names = tuple(info.name for info in model.inputs)
        self.output_names = tuple(info.name for info in model.outputs)
        batching = free_batch(model)
        model = batching.model
        self._batch = batching.size
        self._any_batch = not batching.reason
        #: For each input, whether its first axis counts samples.
        self.counts_samples = tuple(name in batching.inputs for name in self.input_names)
        self._registers: dict[str, int] = {}
        calls: list[tuple[Step, tuple[int | None, ...], tuple[int | None, ...]]] = []
        for name in (*self.input_names, *model.initializers):
            self._registers.setdefault(name, len(self._registers))
        sizes = computed_from_sizes(model)
        for node in model.nodes:
            build = Build(node, model, inplace)
            calls.append(
                (
                    placed(node, find(node, model.opset).build(build), sizes),
                    tuple(self._register(model, name) for name in node.inputs),
                    tuple(
                        self._registers.setdefault(name, len(self._registers)) if name else None
                        for name in node.outputs
                    ),
                )
            )
        self._program = _with_frees(calls, {self._registers[name] for name in self.output_names})
        self._add_initializers(model, weights_of(model).trained)

    def _register(self, model: Model, name: str) -> int | None:
        if not name:
            return None
        if name not in self._registers:
            raise ModelError(f"tensor '{name}' is used before it is computed")
        return self._registers[name]

    def _add_initializers(self, model: Model, trainable: frozenset[str]) -> None:
        self._constants: list[tuple[int, str, bool]] = []
        for name, array in model.initializers.items():
            if array.dtype == object:
                continue
            tensor = torch.from_numpy(np.array(array, order="C"))
            if self._channels_last and tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            key = escape(name)
            if name in trainable:
                self.register_parameter(key, nn.Parameter(tensor))
            else:
                self.register_buffer(key, tensor)
            self._constants.append((self._registers[name], key, name in trainable))

    def _start(self, inputs: Sequence[Tensor]) -> list[Any]:
        if len(inputs) != len(self.input_names):
            raise AlcsError(f"the model takes {len(self.input_names)} inputs, got {len(inputs)}")
        values: list[Any] = [None] * len(self._registers)
        for register, key, trained in self._constants:
            values[register] = self._parameters[key] if trained else self._buffers[key]
        for register, tensor in enumerate(inputs):
            if tensor.dtype == torch.float16:
                tensor = tensor.float()
            if self._channels_last and tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            values[register] = tensor
        return values

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """All graph outputs, in order, for any number of samples in all graph inputs, in order.

        Inputs that do not count samples (`counts_samples`) are as they are for one.
        """
        size = self.sample_count(inputs)
        usable = self.usable_batch(size)
        if usable == size:
            return self._run(*inputs)
        results = []
        for start in range(0, size, usable):
            count = min(usable, size - start)
            piece = self._run(*(self._rows(x, i, start) for i, x in enumerate(inputs)))
            results.append([_first_samples(part, count, usable) for part in piece])
        return tuple(torch.cat(parts) for parts in zip(*results, strict=True))

    def _rows(self, tensor: Tensor, index: int, start: int) -> Tensor:
        """As many samples as the model takes, from `start` on; the last fills up what is missing.

        An input that does not count samples stays whole.
        """
        if not self.counts_samples[index]:
            return tensor
        rows = tensor[start : start + self._batch]
        missing = self._batch - rows.shape[0]
        return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows

    def sample_count(self, inputs: Sequence[Tensor]) -> int:
        """The number of samples in `inputs`; the model's own where no input counts them."""
        counted = zip(inputs, self.counts_samples, strict=False)
        return next((int(x.shape[0]) for x, counts in counted if counts), self._batch)

    def usable_batch(self, wanted: int) -> int:
        """`wanted`, or the model's own batch where the graph takes no other."""
        return wanted if self._any_batch else self._batch

    @torch.no_grad()
    def visit(self, inputs: Sequence[Tensor], change: Callable[[str, Tensor], Tensor]) -> None:
        """Run once, handing each tensor a node computes to `change` and going on with its
        answer; needs a batch size that the graph takes.
        """
        values = self._start(inputs)
        names = {register: name for name, register in self._registers.items()}
        for call in self._program:
            result = call.step(*[None if i is None else values[i] for i in call.reads])
            results = result if isinstance(result, (tuple, list)) else (result,)
            for register, value in zip(call.writes, results, strict=False):
                if register is not None:
                    values[register] = change(names[register], value)
            for register in call.frees:
                values[register] = None

    def _run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = self._start(inputs)
        for call in self._program:
            result = call.step(*[None if i is None else values[i] for i in call.reads])
            if isinstance(result, (tuple, list)):
                for register, value in zip(call.writes, result, strict=False):
                    if register is not None:
                        values[register] = value
            elif call.writes[0] is not None:
                values[call.writes[0]] = result
            for register in call.frees:
                values[register] = None
        return tuple(values[self._registers[name]] for name in self.output_names)

    def tensors(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Every computed tensor by its name; needs a module made with `inplace=False`."""
        found: dict[str, Tensor] = {}

        def note(name: str, value: Tensor) -> Tensor:
            found[name] = value
            return value

        self.visit(inputs, note)
        return found

    def parameter(self, name: str) -> nn.Parameter:
        """The parameter of initializer `name`; raises `ModelError` where it is not trained."""
        found = self._parameters.get(escape(name))
        if found is None:
            raise ModelError(f"initializer '{name}' is not a trained weight of the model")
        return found

    @property
    def trained_names(self) -> tuple[str, ...]:
        """Names of the initializers that are parameters, in the model's order."""
        return tuple(unescape(key) for key in self._parameters)

    def arrays(self) -> dict[str, FloatArray]:
        """All trained initializers as fresh arrays in the model's layout."""
        return {name: to_array(self.parameter(name)) for name in self.trained_names}

    @torch.no_grad()
    def load(self, arrays: Mapping[str, FloatArray]) -> None:
        """Set parameters by initializer name; raises `ModelError` for a name or shape amiss."""
        for name, array in arrays.items():
            parameter = self.parameter(name)
            if tuple(parameter.shape) != tuple(array.shape):
                raise ModelError(
                    f"initializer '{name}' has shape {list(parameter.shape)}, "
                    f"got an array of shape {list(array.shape)}"
                )
            parameter.copy_(torch.from_numpy(np.array(array, dtype=np.float32, order="C")))


def to_array(tensor: Tensor) -> FloatArray:
    """A fresh, C-ordered float32 copy of a tensor."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32, order="C")


def _first_samples(output: Tensor, count: int, size: int) -> Tensor:
    """The rows of the first `count` of `size` samples; a scalar becomes a row of one number."""
    rows = output.reshape(-1) if output.dim() == 0 else output
    return rows if count == size else rows[: rows.shape[0] // size * count]


def _with_frees(
    calls: Sequence[tuple[Step, tuple[int | None, ...], tuple[int | None, ...]]],
    keep: set[int],
) -> tuple[_Call, ...]:
    """Attach to each call the registers that no later call reads."""
    later = set(keep)
    program = []
    for step, reads, writes in reversed(calls):
        touched = {register for register in (*reads, *writes) if register is not None}
        program.append(_Call(step, reads, writes, tuple(touched - later)))
        later |= {register for register in reads if register is not None}
    return tuple(reversed(program))
