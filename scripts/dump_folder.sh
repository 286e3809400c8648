#!/usr/bin/env bash
# Segments the images of any folder, with the classes of Cityscapes; no data set has to be on the disk.
#
#   FOLDER=photos bash scripts/dump_folder.sh
#   FOLDER=photos bash scripts/dump_folder.sh --snapshot runs/mine/best_checkpoint_ep30.pth     your own weights
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
[ -n "${FOLDER:-}" ] || fail "set FOLDER to the folder with the images, as in FOLDER=photos bash $0"
use_environment requirements.txt

launch "${GPUS:-1}" train.py \
    --assets_path "${ASSETS:-assets}" --result_dir "${RUN:-runs/dump_folder}" \
    --dataset cityscapes --eval folder --eval_folder "$FOLDER" --bs_val 1 --fp16 \
    --arch ocrnet.HRNet_Mscale --n_scales "0.5,1.0,2.0" \
    --snapshot ASSETS_PATH/seg_weights/cityscapes_ocrnet.HRNet_Mscale_outstanding-turtle.pth \
    --dump_assets --dump_all_images "$@"
