#!/usr/bin/env bash
# ResNet-20 on CIFAR-10 images at one measured latency: which structure of sparsity keeps most
# accuracy (the comparison of ALCS, table II), what ADMM and masked retraining do alone, and rho
# (ALCS, figure 7). Every run trains for the same number of epochs.
#
#   tools/reproduce/resnet20_structures.sh MODEL.onnx IMAGES RUN_FOLDER [BUDGET] [EPOCHS]
#
# IMAGES has {train,test}/<class>/*.jpg. EPOCHS is even: half of them ADMM iterations, half masked
# retraining. Latency tables are measured first, on a quiet machine. Runs that are there already are
# not repeated; tools/reproduce/resnet20_structures.py sums them up.
set -euo pipefail
model=$1 images=$2 run=$3 budget=${4:-60%} epochs=${5:-8}
half=$((epochs / 2))
mkdir -p "$run"

for method in simd shape unstructured filter; do
  [ -f "$run/table-$method.json" ] ||
    alcs-onnx profile "$model" --method "$method" -o "$run/table-$method.json"
done

# NAME METHOD FLAGS...
train() {
  local name=$1 method=$2
  [ -f "$run/$name.json" ] && return
  alcs-onnx optimize "$model" --budget "$budget" --method "$method" \
    --profile "$run/table-$method.json" --data "$images" --preprocess imagenet \
    --augment flip,crop=4 --distill 0.5 --temperature 3 --bfloat16 --refit off \
    --train-threads "${THREADS:-2}" -o "$run/$name.onnx" --export-json "$run/$name.json" "${@:3}" \
    > "$run/$name.log" 2>&1 || [ -f "$run/$name.json" ]
}

for method in simd shape unstructured filter; do
  train "$method" "$method" --admm-epochs $half --finetune-epochs $half
done
train admm-only simd --admm-epochs "$epochs" --finetune-epochs 0
train finetune-only simd --admm-epochs 0 --finetune-epochs "$epochs"
for rho in 0.001 0.01 0.05; do
  train "rho-$rho" simd --admm-epochs $half --finetune-epochs $half --rho $rho
done
