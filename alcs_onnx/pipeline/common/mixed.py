"""Files of both: nodes in int8, and SIMD-sparse convolutions among those that stay float32.

The file is quantized first; then its float convolutions are rewritten. What is in int8 reads its
weights through DequantizeLinear, so that no rewrite takes it for a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from alcs_onnx.graph import Model, Node, conv_layers, model_macs
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.quantization import Quantized
from alcs_onnx.rewrite import LayerRewrite, RewriteResult

#: What the operator of a layer in int8 is called in tables.
INT8_CONV = "Conv int8"


@dataclass(frozen=True, eq=False)
class Mixed:
    """A quantized file as it was loaded, `model`, beside the float model `source`.

    `int8` are the nodes of `source` that are in int8, by name, with the tensors that they compute
    in `model`, and `refused` those that were to be and are not, with the reasons. Nodes without a
    name in the file may be called otherwise in `model`.
    """

    source: Model
    model: Model
    computed: Mapping[str, str]
    refused: Mapping[str, str]

    @classmethod
    def of(cls, quantizable: Quantizable, quantized: Quantized) -> Mixed:
        """What `quantizable` was `quantized` to."""
        source = quantizable.workload.model
        nodes = {_result(node): node.name for node in source.nodes}
        return cls(
            source,
            quantizable.as_model(quantized),
            {
                nodes[name]: quantized.computed.get(name, "")
                for name in quantized.nodes
                if name in nodes
            },
            {nodes[name]: why for name, why in quantized.left.items() if name in nodes},
        )

    @property
    def int8(self) -> frozenset[str]:
        """The nodes of `source` that are in int8, by name."""
        return frozenset(self.computed)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The nodes of `source` that are in int8, by name -> their names in `model`."""
        here = {_result(node): node.name for node in self.model.nodes}
        return {name: here[made] for name, made in self.computed.items() if made in here}

    @property
    def clipped(self) -> frozenset[str]:
        """`clipped_convs` of the source that are in int8, as `model` calls them."""
        behind = clipped_convs(self.source)
        return frozenset(there for name, there in self.names.items() if name in behind)

    @cached_property
    def layers(self) -> Mapping[str, str]:
        """The convolutions that are left in float32, by name -> their names in `model`."""
        return matching_layers(self.source, self.model)

    def reported(
        self, rewritten: RewriteResult, integers: Sequence[LayerRewrite] = ()
    ) -> RewriteResult:
        """What became of `model`, by the names of `source`: a row for each of its convolutions.

        `integers` are rows of those in int8 that our kernels compute.
        """
        own = {row.layer: row for row in (*rewritten.layers, *integers)}
        macs = {layer.name: layer.macs for layer in conv_layers(self.source)}
        here = {_result(node): node.name for node in self.model.nodes}
        rows = []
        for node in self.source.nodes:
            if not node.is_op("Conv"):
                continue
            if node.name in self.int8:
                ours = own.get(self.names.get(node.name, ""))
                if ours is not None and ours.groups:
                    rows.append(replace(ours, layer=node.name))
                else:
                    rows.append(LayerRewrite(node.name, INT8_CONV, 0, 0, 0, macs.get(node.name, 0)))
            else:
                rows.append(replace(own[here[_result(node)]], layer=node.name))
        return RewriteResult(rewritten.model, tuple(rows), model_macs(self.source))


def clipped_convs(model: Model) -> frozenset[str]:
    """The convolutions of a float model behind which an activation comes.

    Quantizers leave it out where rounding cuts off the same.
    """
    return frozenset(
        node.name
        for node in model.nodes
        if node.is_op("Conv")
        and not all(reader.is_op("Add") for reader in model.consumers(node.outputs[0]))
    )


def matching_layers(source: Model, model: Model) -> Mapping[str, str]:
    """The layers of `source` that `model` computes the same tensors by, with their names there."""
    there = {model.node(x.name).outputs[0]: x.name for x in conv_layers(model)}
    layers = ((x.name, source.node(x.name).outputs[0]) for x in conv_layers(source))
    return {name: there[tensor] for name, tensor in layers if tensor in there}


def _result(node: Node) -> str:
    return next(filter(None, node.outputs), "")
