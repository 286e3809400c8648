#!/usr/bin/env bash
# From a fresh clone to a trained, scored and dumped network, on a CPU: environment, synthetic street, training,
# evaluation at three scales. Five minutes after the installation on two cores. A second run reuses what is there.
#
#   bash scripts/quickstart.sh
#   RUN=runs/other SEED=1 bash scripts/quickstart.sh      another run directory, another seed
#   PYTHON=python3.12 bash scripts/quickstart.sh          another interpreter for .venv; NO_VENV=1 uses what is installed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

data=${DATA:-assets/data}
result=${RUN:-runs/quickstart}
seed=${SEED:-0}
start=$SECONDS

run python -m datasets.prepare synthetic --root "$data" --train 120 --val 20 --size 192,384 --seed 0

common=(--dataset synthetic --override_dataset_root "$data" --seed "$seed" --num_workers 2)
network=(--arch ocrnet.HRNet_Mscale --trunk hrnetv2_w18_small_v1 --ocr_mid_channels 64 --ocr_key_channels 32 --segattn_bot_ch 32)
run python train.py "${common[@]}" "${network[@]}" --result_dir "$result" --resume auto \
    --rmi_loss --supervised_mscale_loss_wt 0.05 --class_uniform_pct 0.5 --class_uniform_tile 192 \
    --crop_size 128,256 --scale_min 0.6 --scale_max 1.5 --bs_trn 4 --bs_val 2 --val_freq 8 \
    --optimizer adamw --lr 3e-3 --weight_decay 1e-2 --lr_step iter --max_epoch 25

best=$(best_checkpoint "$result" "the same command again continues it")
run python train.py "${common[@]}" --result_dir "$result/eval" --snapshot "$best" \
    --eval val --n_scales 0.5,1.0,2.0 --bs_val 1 --dump_logits --dump_all_images --overwrite

printf '\nfinished in %d:%02d minutes. Look at:\n' $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
printf '  %-36s %s\n' \
    "$result/eval/best_images/index.html" 'inputs, labels, predictions and attention side by side (open it in a browser)' \
    "$result/eval/metrics.json" 'the table above as numbers' \
    "$result/eval/logits/" 'logits of every validation image, for ensembles' \
    "$result/logging.log" 'the log of the training; TensorBoard reads the folder too'
