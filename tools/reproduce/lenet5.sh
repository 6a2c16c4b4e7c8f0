#!/usr/bin/env bash
# LeNet-5 on MNIST: how far weights can be pruned at 99.0 % accuracy, with 3-bit levels on top
# (ADMM-NN-S, tables 4 and 12), and all layers binary or ternary (section 5.2).
#
#   tools/reproduce/lenet5.sh MNIST.npz RUN_FOLDER
#
# MNIST.npz holds x_train, y_train, x_test and y_test. The dense network is trained first. Every run
# goes on where it was interrupted. As in the paper the test images decide which rounds are kept.
set -euo pipefail
data=$1 run=$2
here=$(dirname "$0")
mkdir -p "$run"
[ -f "$run/lenet5.onnx" ] ||
  python "$here/lenet5_train.py" --data "$data" -o "$run/lenet5.onnx" --record "$run/dense.json"

schedule=(--data "$data" --optimizer adam --batch-size 128 --rho 0.01 --rho-growth 3
  --admm-epochs 3 --finetune-epochs 3 --finetune-lr 0.003 --distill 0.5 --temperature 4
  --weight-decay 0 --train-threads 1 --resume)

# The whole network without structure, as far as short rounds go.
[ -f "$run/unstructured.json" ] || alcs-onnx compare-structures "$run/lenet5.onnx" \
  --structures unstructured --fully-connected --factor 4 --rounds 8 --quantize \
  --tolerance 0.45 "${schedule[@]}" --checkpoint "$run/ck_u" \
  -o "$run" --export-json "$run/unstructured.json" 2>&1 | tee "$run/u.log"

# NAME FROM FLAGS...: prune or quantize the file FROM further. So few weights tell the training
# images apart but not the test images: training on images moved by a pixel makes up for it.
further() {
  [ -f "$run/$1.json" ] || alcs-onnx compress "$run/$2.onnx" --structure unstructured \
    --fully-connected --data "$data" --augment crop=1 --optimizer adam --batch-size 128 --rho 0.01 \
    --rho-growth 3 --admm-epochs 3 --finetune-epochs 8 --finetune-lr 0.003 --weight-decay 0 \
    --train-threads 1 --resume --checkpoint "$run/ck_$1" -o "$run/$1.onnx" \
    --export-json "$run/$1.json" "${@:3}" 2>&1 | tee "$run/$1.log"
}
further unstructured-100x unstructured --keep 100x
further unstructured-125x unstructured-100x --keep 125x
further unstructured-150x unstructured-100x --keep 150x
further unstructured-3bit unstructured-100x --keep 100x --quantize 3bit \
  --finetune-epochs 4 --finetune-lr 0.002

# The convolutions alone, by columns and filters.
[ -f "$run/structured.json" ] || alcs-onnx compare-structures "$run/lenet5.onnx" \
  --structures shape+filter --factor 4 --rounds 4 --quantize 3bit \
  --tolerance 0.45 "${schedule[@]}" --checkpoint "$run/ck_s" \
  -o "$run" --export-json "$run/structured.json" 2>&1 | tee "$run/s.log"

for levels in binary ternary; do
  [ -f "$run/$levels.json" ] || alcs-onnx compress "$run/lenet5.onnx" --fully-connected \
    --quantize $levels "${schedule[@]}" --checkpoint "$run/ck_$levels" \
    -o "$run/$levels.onnx" --export-json "$run/$levels.json" 2>&1 | tee "$run/$levels.log"
done
