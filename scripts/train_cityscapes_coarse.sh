#!/usr/bin/env bash
# The state-of-the-art training on Cityscapes (published: mIoU 86.8 on val): train_cityscapes.sh with rare classes drawn from
# automatic labels of the 20000 coarse images too, up to epoch 150 of 175. 16 GPUs of 32 GB.
# Beside the fine data it needs leftImg8bit_trainextra, gtCoarse and the folder autolabelled: see docs/datasets.md.
#
#   DATA=/data GPUS=16 bash scripts/train_cityscapes_coarse.sh
#   DATA=/data bash scripts/train_cityscapes_coarse.sh --custom_coarse_dir runs/my_labels       labels of your own network
#   RESUME=auto DATA=/data bash scripts/train_cityscapes_coarse.sh                              continue the run where it stopped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements.txt

start_from --snapshot ASSETS_PATH/seg_weights/ocrnet.HRNet_industrious-chicken.pth --allow_class_mismatch

launch "${GPUS:-16}" train.py \
    --assets_path "${ASSETS:-assets}" --override_dataset_root "${DATA:-assets/data}" --result_dir "${RUN:-runs/train_cityscapes_coarse}" \
    --dataset cityscapes --cv 0 --class_uniform_tile 1024 --crop_size "1024,2048" --bs_trn 1 --bs_val 1 --num_workers 4 \
    --coarse_boost_classes "3,4,6,7,9,11,12,13,14,15,16,17,18" --max_cu_epoch 150 \
    --custom_coarse_prob 0.5 --custom_coarse_dropout_classes "14,15,16" --mask_out_cityscapes \
    --arch ocrnet.HRNet_Mscale --n_scales "0.5,1.0,2.0" --syncbn --fp16 \
    --rmi_loss --supervised_mscale_loss_wt 0.05 --lr 1e-2 --poly_exp 2 --max_epoch 175 \
    "${start[@]}" "$@"
