"""Random files as exporters and people write them, drawn by Hypothesis.

`random_graphs` links channels in every way; here is what a *file* may have besides: an open batch,
chains of Shape and Gather in front of a Reshape, outputs in the middle, weights of two layers or of
Constant nodes, branches that capture tensors, functions, nodes without names, nodes that nothing
reads, declared shapes; in any opset.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from other_opsets import in_opset
from random_graphs import STEPS, Grower, Image

#: The domain of the functions of the file's own.
LOCAL = "local"


class FileGrower(Grower):
    """Adds what files have; tensors are images of any batch."""

    batch = "N"
    batch_target = 0

    def __init__(self, draw: st.DrawFn, opset: int) -> None:
        super().__init__(draw)
        self.opset = opset
        self.outputs: list[str] = []
        self.functions: list[onnx.FunctionProto] = []
        self._kernels: dict[tuple[int, int], str] = {}

    def grow(self, steps: int) -> None:
        # Where a step has no like in older opsets; the sizes of `resize` are those of one image.
        since: dict[object, int] = {
            Grower.quantized: 13,
            Grower.deep_to_wide: 11,
            Grower.cut: 10,
            Grower.crop: 10,
        }
        base = [s for s in STEPS if since.get(s, 0) <= self.opset and s is not Grower.resize]
        for _ in range(steps):
            own = self.pick((False, True))
            step = self.pick(FILE_STEPS) if own else self.pick(base)
            made = step(self, self.take())
            self.images += [made] if isinstance(made, Image) else made

    # -- sizes -----------------------------------------------------------------------------

    def sizes(self, name: str, *axes: int) -> str:
        """A vector of some sizes of a tensor, as exporters compute it."""
        shape = self.b.op("Shape", name)
        parts = []
        for axis in axes:
            one = self.b.op("Gather", shape, self.b.const(np.int64(axis)), axis=0)
            parts.append(self.b.op("Unsqueeze", one, self.b.const([0])))
        return parts[0] if len(parts) == 1 else self.b.op("Concat", *parts, axis=0)

    def there_and_back(self, x: Image) -> Image:
        """Laid out flat and put back by sizes that the graph computes."""
        flat = self.b.op("Concat", self.sizes(x.name, 0), self.b.const([-1]), axis=0)
        y = self.b.op("Reshape", x.name, flat)
        if self.pick((True, False)):
            back = self.sizes(x.name, 0, 1, 2, 3)
        else:
            rest = self.b.const([x.channels, x.side, x.side])
            back = self.b.op("Concat", self.sizes(x.name, 0), rest, axis=0)
        return Image(self.b.op("Reshape", y, back), x.channels, x.side)

    def resized_by_sizes(self, x: Image) -> Image:
        """Twice as large, by sizes that are computed; or by scales."""
        if x.side > 4:
            x = self.pool(x)
        side, mode = 2 * x.side, self.pick(("nearest", "linear"))
        if self.opset < 11 or self.pick((False, True)):
            scales = self.b.const(np.array([1, 1, 2, 2], np.float32))
            made = self.b.op("Resize", x.name, "", scales, mode=mode)
        else:
            sides = self.b.const([side, side])
            target = self.b.op("Concat", self.sizes(x.name, 0, 1), sides, axis=0)
            made = self.b.op("Resize", x.name, "", "", target, mode=mode)
        return Image(made, x.channels, side)

    # -- nodes that do nothing, and outputs ------------------------------------------------

    def handed_on(self, x: Image) -> Image:
        return self.same(x, self.pick(("Identity", "Dropout")))

    def seen(self, x: Image) -> Image:
        """An output in the middle, with something behind it."""
        if x.name not in self.outputs:
            self.outputs.append(x.name)
        return self.same(x, self.pick(("Relu", "Identity")))

    def counted(self, x: Image) -> Image:
        """How many channels there are is an output."""
        count = self.b.op("Cast", self.sizes(x.name, 1), to=TensorProto.FLOAT)
        self.outputs.append(count)
        return x

    # -- layers ----------------------------------------------------------------------------

    def activated(self, x: Image) -> Image:
        """A convolution, a normalization and an activation, or a residual block of them."""
        y = self.conv(x, x.channels if self.pick((True, False)) else None)
        y = self.norm(y) if self.pick((True, False)) else y
        if (y.channels, y.side) == (x.channels, x.side) and self.pick((True, False)):
            pair = self.pick(((y.name, x.name), (x.name, y.name)))
            y = Image(self.b.op("Add", *pair), y.channels, y.side)
        return self.unary(y)

    def shared(self, x: Image) -> Image:
        """A convolution with the weights of an earlier one, where there is one that fits."""
        kernel = self._kernels.get((x.channels, 6))
        if kernel is None:
            kernel = self.b.normal(self._name("kernel"), 6, x.channels, 3, 3)
            self._kernels[x.channels, 6] = kernel
        made = self.b.op("Conv", x.name, kernel, name=self._name("shared"), pads=[1] * 4)
        return Image(made, 6, x.side)

    def constant_weight(self, x: Image) -> Image:
        """A convolution whose weights are in a Constant node."""
        weight = self.b.rng.standard_normal((5, x.channels, 1, 1)) / x.channels**0.5
        value = numpy_helper.from_array(weight.astype(np.float32))
        kernel = self.b.op("Constant", value=value)
        made = self.b.op("Conv", x.name, kernel, name=self._name("stored"))
        return self.unary(Image(made, 5, x.side))

    # -- scopes ----------------------------------------------------------------------------

    def _branch(self, name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
        return helper.make_graph(nodes, name, [], [result])

    def branched(self, x: Image) -> Image:
        """An If whose branches capture the image; its condition is data or a constant."""
        name = self._name("branch")
        if self.pick((True, False)):
            total = self.b.op("ReduceMean", x.name, keepdims=0, axes=[0, 1, 2, 3])
            flag = self.b.op("Greater", total, self.b.const(np.float32(0)))
        else:
            flag = self.b.const(np.array(self.pick((True, False))))
        weight = self.b.normal(f"{name}.w", x.channels, x.channels, 1, 1)
        conv = helper.make_node("Conv", [x.name, weight], [f"{name}.c"], f"{name}.conv")
        then = [conv, helper.make_node("Relu", [f"{name}.c"], [f"{name}.t"])]
        other = [helper.make_node("Neg", [x.name], [f"{name}.e"], f"{name}.neg")]
        branches = {"then_branch": self._branch(f"{name}.then", *then),
                    "else_branch": self._branch(f"{name}.else", *other)}  # fmt: skip
        return Image(self.b.op("If", flag, name=name, **branches), x.channels, x.side)

    def called(self, x: Image) -> list[Image]:
        """A function of the file's own that has a convolution inside and two results."""
        name = self._name("function")
        weight = self.b.normal(f"{name}.w", 4, x.channels, 1, 1)
        body = [
            helper.make_node("Conv", ["a", "w"], ["c"], "inner"),
            helper.make_node("Relu", ["c"], ["u"]),
            helper.make_node("Sigmoid", ["u"], ["v"]),
        ]
        imports = [helper.make_opsetid("", self.opset)]
        self.functions.append(
            helper.make_function(LOCAL, name, ["a", "w"], ["u", "v"], body, imports)
        )
        made = self.b.ops(name, x.name, weight, count=2, domain=LOCAL, name=f"{name}.call")
        return [Image(tensor, 4, x.side) for tensor in made]

    # -- the file --------------------------------------------------------------------------

    def file(self) -> onnx.ModelProto:
        """The model with its further outputs, in its opset, and with the habits of some writer."""
        proto = self.finish()
        known = {info.name for info in proto.graph.output}
        for name in dict.fromkeys(self.outputs):
            if name not in known:
                info = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                proto.graph.output.append(info)
        if self.pick((False, True)):
            self._nothing_reads(proto)
        proto.functions.extend(self.functions)
        proto = in_opset(proto, self.opset)
        if self.pick((False, True)):
            for node in proto.graph.node:
                node.name = ""
        if not proto.functions and self.pick((False, True)):
            inferred = onnx.shape_inference.infer_shapes(proto)
            proto.graph.value_info.extend(inferred.graph.value_info)
        return proto

    def _nothing_reads(self, proto: onnx.ModelProto) -> None:
        """Nodes that no output needs, two in a row."""
        source = self.pick(self.images).name
        for name in ("idle", "idler"):
            proto.graph.node.append(helper.make_node("Relu", [source], [name], name))
            source = name


FILE_STEPS: tuple[Callable[[FileGrower, Image], Image | list[Image]], ...] = (
    FileGrower.activated,
    FileGrower.there_and_back,
    FileGrower.resized_by_sizes,
    FileGrower.handed_on,
    FileGrower.seen,
    FileGrower.shared,
    FileGrower.constant_weight,
    FileGrower.branched,
    FileGrower.called,
    FileGrower.counted,
)


@st.composite
def files(draw: st.DrawFn, opset: int, steps: int = 10) -> onnx.ModelProto:
    """A model file of some opset, its batch open."""
    grower = FileGrower(draw, opset)
    grower.grow(draw(st.integers(2, steps)))
    return grower.file()
