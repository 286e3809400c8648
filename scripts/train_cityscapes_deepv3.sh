#!/usr/bin/env bash
# The published training of DeepLabV3+ on a wide ResNet-38 with the fine labels of Cityscapes: 8 GPUs of 16 GB, 175 epochs, cross-entropy,
# from an ImageNet trunk (bash scripts/fetch_weights.sh says where that file comes from).
#
#   DATA=/data GPUS=8 bash scripts/train_cityscapes_deepv3.sh
#   RESUME=auto DATA=/data GPUS=8 bash scripts/train_cityscapes_deepv3.sh        continue the run where it stopped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

start_from --pretrained imagenet

launch "${GPUS:-8}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/train_cityscapes_deepv3}" \
    --dataset cityscapes --cv 0 --crop_size "800,800" --bs_trn 1 --bs_val 1 --num_workers 4 \
    --arch deepv3.DeepV3PlusW38 --syncbn --fp16 --lr 5e-3 --poly_exp 2 --max_epoch 175 \
    "${start[@]}" "$@"
