"""Which of ONNX Runtime's own graph optimisations changes what a model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alcs_onnx import ort
from alcs_onnx.errors import AlcsError
from alcs_onnx.serialized import Serialized

#: Optimisations by the names under which a session can do without them; a runtime that does not
#: know one passes it over.
OPTIMIZERS = (
    "AttentionFusion", "BiasDropoutFusion", "BiasGeluFusion", "BiasSkipLayerNormFusion",
    "BiasSoftmaxFusion", "CastChainElimination", "CastElimination", "ClipQuantFusion",
    "CommonSubexpressionElimination", "ConstantFolding", "ConstantSharing",
    "ConvActivationFusion", "ConvAddActivationFusion", "ConvAddFusion", "ConvBNFusion",
    "ConvMulFusion", "DivMulFusion", "DoubleQDQPairsRemover", "DynamicQuantizeMatMulFusion",
    "EliminateDropout", "EliminateIdentity", "EliminateSlice", "EmbedLayerNormFusion",
    "EnsureUniqueDQForNodeUnit", "ExpandElimination", "FastGeluFusion", "FuseReluClip",
    "GatherSliceToSplitFusion", "GatherToSliceFusion", "GatherToSplitFusion", "GeluFusion",
    "GeluFusionL1", "GeluFusionL2", "GemmActivationFusion", "GemmSumFusion",
    "GemmTransposeFusion", "GroupQueryAttentionFusion", "IdenticalChildrenConsolidation",
    "LabelEncoderFusion", "LayerNormFusion", "LayerNormFusionL1", "LayerNormFusionL2",
    "MatMulActivationFusion", "MatMulAddFusion", "MatMulIntegerToFloatFusion",
    "MatMulNBitsFusion", "MatMulScaleFusion", "MatMul_BatchNormalization_Fusion",
    "MatmulTransposeFusion", "NchwcTransformer", "NhwcTransformer", "NoopElimination",
    "NotWhereFusion", "Pad_Fusion", "PreShapeNodeElimination", "PropagateCastOps",
    "QDQFinalCleanupTransformer", "QDQPropagationTransformer", "QDQS8ToU8Transformer",
    "QDQSelectorActionTransformer", "QuickGeluFusion", "ReluQuantFusion", "ReshapeFusion",
    "SimplifiedLayerNormFusion", "SkipLayerNormFusion", "SliceConcatToSpaceToDepthFusion",
    "SliceElimination", "TransposeOptimizer", "UnsqueezeElimination", "WeightBiasQuantization",
    "WhereDummyDq",
)  # fmt: skip


def find_optimizer(model: Serialized, agrees: Callable[[ort.Session], bool]) -> str:
    """The name of the one optimisation without which `model` `agrees`; empty where there is none.

    `agrees` is asked for sessions without some optimisations. They are halved again and again,
    so that a dozen sessions are enough.
    """

    def without(names: Sequence[str]) -> bool:
        try:
            return agrees(ort.create_session(model, library=False, disabled=names))
        except AlcsError:
            return False

    suspects: Sequence[str] = OPTIMIZERS
    if not without(suspects):
        return ""
    while len(suspects) > 1:
        half = len(suspects) // 2
        suspects = next((x for x in (suspects[:half], suspects[half:]) if without(x)), ())
    return suspects[0] if suspects else ""
