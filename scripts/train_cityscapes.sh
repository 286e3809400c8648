#!/usr/bin/env bash
# The published training on the fine labels of Cityscapes (published: mIoU 84.7): 8 GPUs of 32 GB, 175 epochs, from
# weights that were trained on Mapillary. That file is an ocrnet.HRNet with 65 classes: the class layers and the attention
# head start from random weights.
# The state-of-the-art recipe, with automatic labels of the coarse images, is train_cityscapes_coarse.sh.
#
#   DATA=/data GPUS=8 bash scripts/train_cityscapes.sh
#   RESUME=auto DATA=/data GPUS=8 bash scripts/train_cityscapes.sh        continue the run where it stopped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

start_from --snapshot ASSETS_PATH/seg_weights/ocrnet.HRNet_industrious-chicken.pth --allow_class_mismatch

launch "${GPUS:-8}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/train_cityscapes}" \
    --dataset cityscapes --cv 0 --class_uniform_tile 1024 --crop_size "1024,2048" --bs_trn 1 --bs_val 1 --num_workers 4 \
    --arch ocrnet.HRNet_Mscale --n_scales "0.5,1.0,2.0" --syncbn --fp16 \
    --rmi_loss --supervised_mscale_loss_wt 0.05 --lr 5e-3 --poly_exp 2 --max_epoch 175 \
    "${start[@]}" "$@"
