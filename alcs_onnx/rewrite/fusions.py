"""What follows a convolution and can be done at its store: residual Add, then activation.

A fusion looks at what reads the convolution's result so far. It returns the grown epilogue, the
reason why a node cannot be taken over, or None for what is not its business. Nothing is changed
here; the rewriter removes the absorbed nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from alcs_onnx.graph import GraphEditor, GraphNode, Tensor, constant, match_activation
from alcs_onnx.types import Activation


@dataclass(frozen=True)
class Epilogue:
    """What the fused node computes after the convolution, and the nodes it replaces."""

    output: Tensor
    residual: Tensor | None = None
    activation: Activation = field(default_factory=Activation)
    absorbed: tuple[GraphNode, ...] = ()
    fused: tuple[str, ...] = ()
    unfused: str = ""

    def grown(
        self, name: str, nodes: Sequence[GraphNode], output: Tensor, **changes: Any
    ) -> Epilogue:
        """This epilogue with one fusion more, which takes over `nodes`."""
        absorbed = (*self.absorbed, *nodes)
        fused = (*self.fused, name)
        return replace(self, output=output, absorbed=absorbed, fused=fused, **changes)


def _residual(editor: GraphEditor, epilogue: Epilogue) -> Epilogue | str | None:
    """v + residual, where the residual has exactly the shape of v.

    The residual cannot depend on v: this Add is all that reads v. So it can always be
    computed before.
    """
    node = editor.only_consumer(epilogue.output)
    if node is None or not node.is_op("Add"):
        return None
    others = [tensor for tensor in node.inputs if tensor is not epilogue.output]
    if len(others) != 1:
        return "it is added to itself"
    residual = others[0]
    if constant(residual) is not None:
        return "the other operand of Add is constant"
    shapes = editor.all_shapes(epilogue.output)
    if None in shapes or editor.all_shapes(residual) != shapes:
        return "the operands of Add differ in shape"
    if residual.dtype not in (np.float32, np.float16):
        return "the other operand of Add is no float"
    return epilogue.grown("residual", [node], node.outputs[0], residual=residual)


def _activation(editor: GraphEditor, epilogue: Epilogue) -> Epilogue | str | None:
    """One of those that the registry has."""
    found = match_activation(editor, epilogue.output)
    if found is None or isinstance(found, str):
        return found
    return epilogue.grown(found.name, found.nodes, found.output, activation=found.activation)


Fusion = Callable[[GraphEditor, Epilogue], Epilogue | str | None]

#: In the order in which the op applies them.
FUSIONS: tuple[Fusion, ...] = (_residual, _activation)


def match_epilogue(editor: GraphEditor, conv: GraphNode) -> Epilogue:
    """Everything that can be fused into `conv`; `unfused` says what stopped it."""
    epilogue = Epilogue(output=conv.outputs[0])
    for fusion in FUSIONS:
        grown = fusion(editor, epilogue)
        if isinstance(grown, str):
            return replace(epilogue, unfused=grown)
        epilogue = grown or epilogue
    following = editor.only_consumer(epilogue.output)
    if epilogue.fused[-1:] not in ((), ("residual",)):
        return epilogue
    if following is None:
        return replace(epilogue, unfused="its result is a graph output or read more than once")
    if epilogue.fused:
        return epilogue
    return replace(epilogue, unfused=f"{following.op} cannot be fused")
