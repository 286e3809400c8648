#!/usr/bin/env bash
# Trains under SLURM, longer than one time limit: five minutes before the end the run saves itself, and the job queues again.
#
#   sbatch scripts/train_slurm.sh --dataset cityscapes --syncbn --fp16 --result_dir runs/a ...      the flags of train.py
#   sbatch --nodes=2 --gpus-per-node=4 --ntasks-per-node=4 scripts/train_slurm.sh ...               8 processes, one per GPU
#
# SLURM starts the processes itself, with the variables that torchrun would set: so that its signal reaches train.py, which
# finishes the step, saves and exits. Submit from the repository, inside the environment that train.py needs.
#SBATCH --job-name=segmentation
#SBATCH --nodes=1
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT

# srun passes USR1 on to its tasks; exec, so that it arrives at python and not at a shell. A task that has ended, stopped
# or failed, leaves the others a minute, so that all of a stopped training end with the code 75 that says so.
srun --kill-on-bad-exit=0 --wait=60 bash -c \
    'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS exec python train.py --distributed --resume auto "$@"' \
    train "$@" &
training=$!
stopping=
trap 'trap "" USR1; stopping=yes; kill -USR1 "$training"' USR1

code=0
wait "$training" || code=$?
if [ -n "$stopping" ]; then                     # that wait ended with the signal; this one ends with the training
    code=0
    wait "$training" || code=$?
    if [ "$code" -eq 75 ]; then                 # stopped and saved; 0: finished meanwhile
        scontrol requeue "$SLURM_JOB_ID"
        code=0
    fi
fi
exit "$code"
