#!/usr/bin/env bash
# Trains on the 367 photographs of CamVid and scores the best weights on val at three scales. DATA holds camvid/.
#
#   DATA=/data bash scripts/train_camvid.sh                   a small trunk, an hour on one CPU core (docs/results/camvid_cpu.md)
#   DATA=/data TRUNK=hrnetv2 bash scripts/train_camvid.sh --ocr_mid_channels 512 --ocr_key_channels 256 --segattn_bot_ch 256 \
#       --crop_size 360,480 --bs_trn 8 --max_epoch 300        the W48 trunk with full heads, on a GPU
#   RESUME=auto DATA=/data bash scripts/train_camvid.sh                           continue where it stopped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

result=${RUN:-runs/train_camvid}
common=(--assets_path "${ASSETS:-assets}" --dataset camvid --override_dataset_root "${DATA:-assets/data}" --precision "${PRECISION:-bf16}")
start_from

python train.py "${common[@]}" --result_dir "$result" --arch ocrnet.HRNet_Mscale --trunk "${TRUNK:-hrnetv2_w18_small_v1}" \
    --ocr_mid_channels 128 --ocr_key_channels 64 --segattn_bot_ch 64 --rmi_loss --supervised_mscale_loss_wt 0.05 \
    --class_uniform_pct 0.5 --class_uniform_tile 180 --crop_size "256,320" --bs_trn 4 --val_freq 5 \
    --optimizer adamw --lr 2e-3 --weight_decay 1e-2 --lr_step iter --poly_exp 0.9 --ema 0.99 --max_epoch 40 "${start[@]+"${start[@]}"}" "$@"

best=$(best_checkpoint "$result" "RESUME=auto continues it")
python train.py "${common[@]}" --result_dir "$result/eval" --eval val --n_scales "0.5,1.0,2.0" --dump_all_images \
    --snapshot "$best"
