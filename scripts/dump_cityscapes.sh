#!/usr/bin/env bash
# Evaluates Cityscapes val with the published checkpoint and writes everything there is to look at and to fuse: pictures
# of predictions, errors, attention and single scales, logits, and label ids for the benchmark server.
#
#   DATA=/data bash scripts/dump_cityscapes.sh
#   DATA=/data bash scripts/dump_cityscapes.sh --cv 3       train and val images (3475) instead of val (500)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

launch "${GPUS:-1}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/dump_cityscapes}" \
    --dataset cityscapes --cv 0 --eval val --bs_val 1 --fp16 \
    --arch ocrnet.HRNet_Mscale --n_scales "0.5,1.0,2.0" \
    --snapshot ASSETS_PATH/seg_weights/cityscapes_ocrnet.HRNet_Mscale_outstanding-turtle.pth \
    --dump_assets --dump_all_images --dump_logits --dump_for_submission "$@"
