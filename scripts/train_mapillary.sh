#!/usr/bin/env bash
# The published training on Mapillary Vistas 1.2, 65 classes: 8 GPUs of 32 GB, 200 epochs, from an ImageNet trunk
# (bash scripts/fetch_weights.sh says where that file comes from).
#
#   DATA=/data GPUS=8 bash scripts/train_mapillary.sh
#   RESUME=auto DATA=/data GPUS=8 bash scripts/train_mapillary.sh        continue the run where it stopped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

start_from --pretrained imagenet

launch "${GPUS:-8}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/train_mapillary}" \
    --dataset mapillary --pre_size 2177 --crop_size "1024,1024" --gblur --bs_trn 2 --bs_val 1 --num_workers 4 \
    --arch ocrnet.HRNet_Mscale --n_scales "0.5,1.0,2.0" --syncbn --fp16 \
    --rmi_loss --optimizer sgd --lr 5e-3 --lr_schedule poly --poly_exp 1.0 --max_epoch 200 \
    "${start[@]}" "$@"
