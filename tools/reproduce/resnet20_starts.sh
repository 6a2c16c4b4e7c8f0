#!/usr/bin/env bash
# ResNet-20 at a quarter of its latency, trained for a few epochs on a part of the CIFAR-10 images:
# from refitted weights, and from the largest ones as they were.
#
#   tools/reproduce/resnet20_starts.sh MODEL.onnx IMAGES RUN_FOLDER [EPOCHS [TRAIN [TEST]]]
#
# IMAGES has {train,test}/<class>/*.jpg, of which TRAIN (1000) and TEST (300) of each class are
# taken. EPOCHS (4) are all of fine-tuning.
set -euo pipefail
model=$1 images=$(realpath "$2") run=$3 epochs=${4:-4}
declare -A count=([train]=${5:-1000} [test]=${6:-300})
for part in train test; do
  for class in "$images/$part"/*/; do
    to="$run/images/$part/$(basename "$class")"
    mkdir -p "$to"
    find "$class" -name '*.jpg' | sort | awk "NR <= ${count[$part]}" | xargs ln -sft "$to"
  done
done
[ -f "$run/table.json" ] || alcs-onnx profile "$model" -o "$run/table.json"
for refit in loss off; do
  alcs-onnx optimize "$model" --budget 25% --method simd --profile "$run/table.json" --data "$run/images" \
    --preprocess imagenet --augment flip,crop=4 --distill 0.5 --temperature 3 --refit "$refit" \
    --admm-epochs 0 --finetune-epochs "$epochs" -o "$run/$refit.onnx" --export-json "$run/$refit.json"
done
