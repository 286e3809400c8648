#!/usr/bin/env bash
# Scores the published Mapillary Vistas 1.2 checkpoint on val: scales 0.25, 0.5, 1.0 and 2.0, mirrored too, the long edge of image
# and label at 2177 pixels (published: mIoU 61.05, in pure fp16).
#
#   DATA=/data GPUS=8 bash scripts/eval_mapillary.sh       DATA holds mapillary-vistas-1.2, ASSETS holds seg_weights/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

launch "${GPUS:-8}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/eval_mapillary}" \
    --dataset mapillary --eval val --bs_val 1 --pre_size 2177 --do_flip --fp16 \
    --arch ocrnet.HRNet_Mscale --n_scales "0.25,0.5,1.0,2.0" \
    --snapshot ASSETS_PATH/seg_weights/mapillary_ocrnet.HRNet_Mscale_fast-rattlesnake.pth "$@"
