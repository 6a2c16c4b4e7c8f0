#!/usr/bin/env bash
# ResNet-20 on CIFAR-10 images with channels removed: SP-LAMP with the group knapsack against the
# same share of every layer (by L2 norm) and one threshold on the L1 norm, at the same measured
# latency and with the same training.
#
#   tools/reproduce/resnet20_channels.sh MODEL.onnx IMAGES RUN_FOLDER [EPOCHS]
#
# IMAGES has {train,test}/<class>/*.jpg. Plans are made first, all from one table, on a quiet machine.
set -euo pipefail
model=$1 images=$2 run=$3 epochs=${4:-3}
mkdir -p "$run"
budgets="50 75 30"
# The least share of a group that is kept: less for the tightest budget, which is out of reach else.
declare -A share=([50]=0.125 [75]=0.125 [30]=0.03)
methods="sp-lamp:knapsack:4 l2:uniform:1 l1:greedy:1"
[ -f "$run/table.json" ] || alcs-onnx profile "$model" --method channel -o "$run/table.json"
for budget in $budgets; do
  for method in $methods; do
    IFS=: read -r score solver stages <<< "$method"
    [ -f "$run/$budget-$solver.json" ] || alcs-onnx prune-masks "$model" --budget "$budget%" \
      --method channel --score "$score" --channel-solver "$solver" --stages "$stages" \
      --min-share "${share[$budget]}" --profile "$run/table.json" -o "$run/$budget-$solver.json" > "$run/$budget-$solver.txt" 2>&1 ||
      [ -f "$run/$budget-$solver.json" ]
  done
done
for budget in $budgets; do
  for method in $methods; do
    IFS=: read -r score solver stages <<< "$method"
    [ -f "$run/$budget-$solver.result.json" ] || alcs-onnx optimize "$model" --budget "$budget%" \
      --method channel --plan "$run/$budget-$solver.json" --profile "$run/table.json" \
      --data "$images" --preprocess imagenet --augment flip,crop=4 --finetune-epochs "$epochs" \
      --bfloat16 --train-threads "${THREADS:-2}" -o "$run/$budget-$solver.onnx" \
      --export-json "$run/$budget-$solver.result.json" > "$run/$budget-$solver.log" 2>&1 ||
      [ -f "$run/$budget-$solver.result.json" ]
  done
done
