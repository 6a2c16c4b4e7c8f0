#!/usr/bin/env bash
# ResNet-20 on CIFAR-10 images, trained from refitted weights: 12 epochs at each of three budgets.
#
#   tools/reproduce/resnet20_starts.sh MODEL.onnx IMAGES RUN_FOLDER
#
# IMAGES has {train,test}/<class>/*.jpg. Interrupted runs go on with --resume as 4th argument.
set -euo pipefail
for budget in 50 35 25; do
  run="$3/$budget"
  mkdir -p "$run"
  alcs-onnx optimize "$1" --budget "$budget%" --method simd --data "$2" --preprocess imagenet --augment flip,crop=4 \
    --admm-epochs 0 --finetune-epochs 12 --distill 0.5 --temperature 3 --train-threads 2 \
    --checkpoint "$run/checkpoint" -o "$run/out.onnx" --export-json "$run/result.json" "${@:4}"
done
