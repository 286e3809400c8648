"""Train, evaluate and dump semantic segmentation networks.

    laptop   python train.py --dataset synthetic --trunk hrnetv2_w18_small_v1 --crop_size 192,384 --max_epoch 20
    one GPU  python train.py --dataset cityscapes --precision bf16 --rmi_loss --crop_size 1024,2048 --result_dir runs/a
    many     torchrun --standalone --nproc-per-node=8 train.py --dataset cityscapes --syncbn --precision bf16 ...
    score    python train.py --dataset cityscapes --eval val --n_scales 0.5,1.0,2.0 --snapshot runs/a/best_checkpoint_ep174.pth

Exit code 0: done, or stopped by SIGTERM or SIGUSR1 after saving; 2: a mistake in flags, files or data, told in one line.
"""
import sys

from torch.nn.parallel import DistributedDataParallel

import config
import datasets
import network
from config import cfg
from loss import build_criterion
from loss.optimizer import get_optimizer, get_scheduler
from transforms import build_train_transform, build_val_transform
from transforms.normalize import Normalize
from utils import checkpoint, distributed, flags, precision, report, syncbn
from utils.evaluator import EvalOptions, Evaluator
from utils.run import RunContext
from utils.trainer import Trainer, TrainOptions, ema_of

SPLITS = {'val': 'val', 'trn': 'train', 'test': 'test', 'folder': 'folder'}


def parse_args(argv=None):
    """The flags as a namespace, checked against each other. Raises ValueError for a mistake."""
    args = flags.build_parser().parse_all(sys.argv[1:] if argv is None else argv)
    return flags.check(args)


def main(argv=None):
    """Run the program; returns its exit code."""
    debug = '--debug' in (sys.argv if argv is None else argv)
    try:
        args = parse_args(argv)
        with config.scope(**flags.as_cfg(args)), distributed.process_group(args.distributed) as dist:
            return run(args, dist)
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f'train.py: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2


def run(args, dist):
    """Build everything that both training and evaluation need, then do one of them."""
    with RunContext(args, dist) as context:
        state = load_state(args, context)
        config.freeze()
        args.precision = precision.resolve(args.precision, dist.device, context.log)
        if args.eval:
            return evaluate(args, dist, context, state)
        return fit(args, dist, context, state)


def load_state(args, context):
    """The checkpoint to resume or start from (None without one); the network flags that it holds become args'."""
    if args.resume == 'auto':
        path = checkpoint.find_last(args.result_dir)
        context.log(f'--resume auto: continuing {path}' if path else f'--resume auto: no checkpoint in {args.result_dir}, starting anew')
    else:
        path = args.resume or args.snapshot
    state = checkpoint.load(path) if path else None
    flags.adopt_network(args, state, path, context.log)
    return state
