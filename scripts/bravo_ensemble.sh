#!/usr/bin/env bash
# The published seven-model submission to the BRAVO benchmark: seven networks, mean of their softmax, its maximum as the
# confidence, encoded for the server, and scored where there is ground truth.
#
#   bash scripts/bravo_ensemble.sh                  on a rendered tree of the benchmark's shape, with seven tiny networks: two minutes
#   BRAVO_ROOT=/data CHECKPOINTS="a.pth b.pth ..." SAMPLES=bravo_SAMPLING.tar bash scripts/bravo_ensemble.sh
#                                                   the benchmark's images in /data/bravo_1.0, networks of train.py
#   GROUND_TRUTH=gt.tar ...                         scores too; DUMP=1 stores the logits of every network first; GPUS=4; SCALES=0.5,1.0,2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

result=${RUN:-runs/bravo_ensemble}
root=${BRAVO_ROOT:-} samples=${SAMPLES:-} truth=${GROUND_TRUTH:-}
read -r -a checkpoints <<< "${CHECKPOINTS:-}"
workers=${WORKERS:-2}

if [ -z "$root" ]; then
    [ "${#checkpoints[@]}" -eq 0 ] || fail "CHECKPOINTS is set but BRAVO_ROOT is not; give the folder that holds bravo_1.0"
    tree=$result/data root=$result/data/images samples=$result/data/samples truth=$result/data/truth
    run python scripts/bravo_tree.py --root "$tree"
    run python -m datasets.prepare synthetic --root "$tree" --train 16 --val 5 --size 96,192 --seed 0
    for seed in 1 2 3 4 5 6 7; do
        run python train.py --dataset synthetic --override_dataset_root "$tree" --assets_path "$result/assets" --seed "$seed" \
            --arch ocrnet.HRNet --trunk hrnetv2_w18_small_v1 --ocr_mid_channels 16 --ocr_key_channels 8 \
            --crop_size 96,192 --bs_trn 4 --max_epoch 3 --val_freq 3 --optimizer adamw --lr 3e-3 --class_uniform_pct 0 --num_workers 0 \
            --result_dir "$result/models/$seed" --resume auto
        checkpoints+=("$(ls -t "$result/models/$seed"/last_checkpoint_ep*.pth | head -n 1)")
    done
fi
[ "${#checkpoints[@]}" -gt 0 ] || fail "no checkpoints; name them in CHECKPOINTS, separated by spaces"

data=(--dataset bravo --override_dataset_root "$root" --num_workers "$workers")
scales=()
[ -z "${SCALES:-}" ] || scales=(--n_scales "$SCALES")
published=(--label_function mean --score_function max_softmax_mean_softmax)
if [ -n "${DUMP:-}" ]; then
    stored=()
    for number in "${!checkpoints[@]}"; do
        run torchrun --standalone --nproc-per-node="${GPUS:-1}" train.py "${data[@]}" --eval val --no_metrics --bs_val 1 --dump_logits "${scales[@]+"${scales[@]}"}" \
            --snapshot "${checkpoints[number]}" --result_dir "$result/logits/$number"
        stored+=("$result/logits/$number/logits")
    done
    run python ensemble.py fuse "${stored[@]}" "${published[@]}" --out_path "$result/fused" --num_workers "$workers"
else
    run torchrun --standalone --nproc-per-node="${GPUS:-1}" ensemble.py run "${checkpoints[@]}" "${data[@]}" "${scales[@]+"${scales[@]}"}" "${published[@]}" \
        --out_path "$result/fused"
fi

given=()
[ -z "$samples" ] || given=(--samples "$samples")
run python ensemble.py submit bravo "$result/fused" "$result/submission.tar" "${given[@]+"${given[@]}"}"
if [ -n "$truth" ]; then
    run python ensemble.py eval bravo --gt "$truth" --submission "$result/submission.tar" "${given[@]+"${given[@]}"}" \
        --json "$result/scores.json" --page "$result/scores.html"
fi
printf '\n%s is what the server takes\n' "$result/submission.tar"
