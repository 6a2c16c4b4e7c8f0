#!/usr/bin/env bash
# ResNet-20 on CIFAR-10 images to half its latency: accuracy dense, one-shot, after ADMM, final.
# As the papers train: weights that stay are not refitted before.
#
#   tools/reproduce/resnet20_cifar.sh MODEL.onnx IMAGES RUN_FOLDER
#
# IMAGES has {train,test}/<class>/*.jpg. Interrupted runs go on with --resume as 4th argument.
set -euo pipefail
alcs-onnx optimize "$1" --budget 50% --method simd --data "$2" --preprocess imagenet --augment flip,crop=4 \
  --refit off --admm-epochs 3 --finetune-epochs 9 --distill 0.5 --temperature 3 --bfloat16 --train-threads 2 \
  --checkpoint "$3/checkpoint" -o "$3/out.onnx" --export-json "$3/result.json" "${@:4}"
