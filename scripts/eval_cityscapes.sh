#!/usr/bin/env bash
# Scores the published Cityscapes checkpoint on val at scales 0.5, 1.0 and 2.0 (published: mIoU 86.92).
#
#   DATA=/data GPUS=8 bash scripts/eval_cityscapes.sh       DATA holds Cityscapes, ASSETS holds seg_weights/
#   bash scripts/eval_cityscapes.sh --do_flip               further flags go to train.py
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

launch "${GPUS:-1}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/eval_cityscapes}" \
    --dataset cityscapes --cv 0 --eval val --bs_val 1 --fp16 \
    --arch ocrnet.HRNet_Mscale --n_scales "0.5,1.0,2.0" \
    --snapshot ASSETS_PATH/seg_weights/cityscapes_ocrnet.HRNet_Mscale_outstanding-turtle.pth "$@"
