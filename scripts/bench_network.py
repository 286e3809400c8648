"""Benchmark lines with a network: evaluation, the training step, dumping logits.

The plain form is eager and contiguous, computes every head at every scale at the size of the image and keeps every map;
on a CPU it is fp32, on a GPU fp16 autocast. Ours is what train.py runs: its evaluator, its training loop, its dumper.
"""

import io
import tempfile
from contextlib import contextmanager, redirect_stderr
from functools import partial

import torch
import torch.nn.functional as F

import config
import network
from datasets.loading.loader import eval_loader
from datasets.sampling.sets import EvalSet
from engine import precision
from engine.distributed import Dist
from engine.evaluator import Evaluator
from engine.score import ScoreKeeper
from engine.trainer import Learner, Trainer, TrainOptions
from loss import build_criterion
from loss.optimizer import get_optimizer, get_scheduler
from network.averaging import EvalOptions, autocast, average_logits
from scripts.baseline_losses import PlainRMILoss
from scripts.baseline_network import plain_copy, plain_n_scale, plain_two_scale
from scripts.bench_data import IGNORE, NUM_CLASSES, photo_batch, shape, street_files
from scripts.bench_measure import Case, Form
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.cli import flags
from utils.outputs.dumper import Dumper
from utils.outputs.dumps import DumpOptions
from utils.outputs.kinds import MASK_SCORES
from utils.outputs.sink import EvalBatch
from utils.settings import SETTINGS

SCALES = (0.5, 1.0, 2.0)
SUPERVISED_SCALES = 0.05
# Form -> budgets (evaluation, training step) relative to the plain form, and of its peak memory.
BUDGETS = {
    'cpu': {'fp32': (0.75, 0.82), 'bf16': (0.42, 0.46)},
    'cuda': {'bf16': (1 / 3, 1 / 2.5), 'fp16': (1 / 3, 1 / 2.5)},
}
MEMORY_BUDGET = 0.5
DUMP_BUDGET = {'cpu': 0.25, 'cuda': 0.05}  # on a GPU: hidden, that is within what two runs differ by


def build_net(trunk: str, device: torch.device):
    """HMSA on `trunk` as train.py builds it, compiled on a GPU."""
    net = network.get_net('ocrnet.HRNet_Mscale', NUM_CLASSES, trunk=trunk, n_scales=SCALES).to(
        device, memory_format=torch.channels_last
    )
    if device.type == 'cuda':
        net.compile()
    return net


def plain_net(trunk: str, device: torch.device):
    """The network that the plain form takes its layers from."""
    return plain_copy(network.get_net('ocrnet.HRNet_Mscale', NUM_CLASSES, trunk=trunk, n_scales=SCALES)).to(device)


def plain_precision(device: torch.device) -> str:
    return 'fp16' if device.type == 'cuda' else 'fp32'


def plain_normalize(pictures):
    mean, std = (
        torch.tensor(values, device=pictures.device).view(1, 3, 1, 1)
        for values in (config.cfg.DATASET.MEAN, config.cfg.DATASET.STD)
    )
    return (pictures.float() / 255 - mean) / std


def normalize(device: torch.device) -> Normalize:
    return Normalize(config.cfg.DATASET.MEAN, config.cfg.DATASET.STD, channels_last=True).to(device)


def plain_title(device: torch.device) -> str:
    return f'the plain form, eager {plain_precision(device)}, contiguous NCHW'


@contextmanager
def evaluation(settings):
    """Hierarchical inference at three scales, from bytes to class and confidence of every pixel."""
    device = settings.device
    pictures, _ = photo_batch(settings.size, device)
    net, plain = build_net(settings.trunk, device).eval(), plain_net(settings.trunk, device).eval()
    to_floats = normalize(device)

    @torch.no_grad()
    def run_plain():
        with autocast(device, plain_precision(device)):
            outputs = plain_n_scale(plain, plain_normalize(pictures), SCALES)
        return torch.softmax(outputs['pred'], dim=1).cpu().max(dim=1)

    @torch.inference_mode()
    def run(name):
        logits, _ = average_logits(net, to_floats(pictures), EvalOptions(precision=name))
        batch = EvalBatch(['a.png'], [0], pictures, None, logits)
        return batch.prediction, batch.confidence

    forms = [
        Form(partial(run, name), budget, name, memory_budget=MEMORY_BUDGET, resident=(net,))
        for name, (budget, _) in BUDGETS[device.type].items()
    ]
    yield Case(
        f'evaluation at scales {", ".join(map(str, SCALES))}, {settings.trunk}, {shape(settings.size)}',
        plain_title(device),
        Form(run_plain, resident=(plain,)),
        forms,
        repeats=5,
        images=1,
    )


@contextmanager
def training(settings):
    """A step of training on two scales: RMI, auxiliary output and supervised scales, SGD."""
    device = settings.device
    scales = f'--supervised_mscale_loss_wt={SUPERVISED_SCALES}'
    args = flags.parse(['--rmi_loss', scales, '--lr', '1e-5', '--trunk', settings.trunk])
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        batch = photo_batch(settings.size, device, settings.batch)
        plain = PlainTraining(plain_net(settings.trunk, device), args, batch)
        forms = []
        for name, (_, budget) in BUDGETS[device.type].items():
            trainer = build_trainer(build_net(settings.trunk, device), args, device, name)
            forms.append(
                Form(
                    partial(step, trainer, batch),
                    budget,
                    name,
                    memory_budget=MEMORY_BUDGET,
                    resident=(trainer.learner.net, trainer.learner.optimizer),
                )
            )
        yield Case(
            f'training step, two scales, RMI, {settings.trunk}, {settings.batch}x{shape(settings.size)}',
            plain_title(device),
            Form(plain.step, resident=(plain.net, plain.optimizer)),
            forms,
            repeats=5,
            images=settings.batch,
        )


class PlainTraining:
    """The training step as the formulas have it: the published objective on outputs enlarged to the labels."""

    def __init__(self, net, args, batch):
        self.net, (self.pictures, self.labels) = net.train(), batch
        self.criterion = PlainRMILoss(NUM_CLASSES)
        self.optimizer = torch.optim.SGD(
            net.parameters(), lr=args.lr, momentum=args.momentum, weight_decay=args.weight_decay
        )
        self.precision = plain_precision(self.pictures.device)
        self.scaler = precision.grad_scaler(self.pictures.device, self.precision)
        self.weights = {
            'pred': 1.0,
            'aux': args.ocr_alpha,
            'pred_05x': SUPERVISED_SCALES,
            'pred_10x': SUPERVISED_SCALES,
        }

    def step(self):
        with autocast(self.pictures.device, self.precision):
            outputs = plain_two_scale(self.net, plain_normalize(self.pictures))
        labels = self.labels.long()
        total = 0
        for name, weight in self.weights.items():
            logits = F.interpolate(outputs[name], size=labels.shape[1:], mode='bilinear', align_corners=False)
            total = total + weight * self.criterion(logits, labels, do_rmi=name == 'pred')
        self.scaler.scale(total).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()


class OneBatch:
    """A loader whose epochs are all the same batch."""

    def __init__(self, batch):
        pictures, labels = batch
        self.batch = {'image': pictures, 'label': labels, 'name': [f'{number}.png' for number in range(len(pictures))]}

    def set_epoch(self, epoch, start_batch=0):
        pass

    def __len__(self):
        return 1

    def __iter__(self):
        return iter([self.batch])


def build_trainer(net, args, device: torch.device, name: str) -> Trainer:
    """The training loop of train.py in precision `name`, with nothing to log, save or validate."""

    criterion = build_criterion(args, net.output_names, NUM_CLASSES, IGNORE, of_queries=net.kind == MASK_SCORES).to(
        device
    )
    optimizer = get_optimizer(net, args)
    scheduler = get_scheduler(optimizer, args, steps_per_epoch=1)
    options = TrainOptions(max_epoch=0, precision=name)
    scaler = precision.grad_scaler(device, name)
    learner = Learner(net, net, normalize(device), criterion, optimizer, scheduler, scaler)
    return Trainer(learner, options, Dist(device=device))


def step(trainer: Trainer, batch):
    """One more epoch, of one batch."""
    trainer.options.max_epoch += 1
    with redirect_stderr(io.StringIO()):
        trainer.fit(OneBatch(batch))


@contextmanager
def dump(settings):
    """Evaluation of a few images with every logit written to disk, against the same without; the rest of a run is the
    same."""
    device, images = settings.device, settings.images
    name = 'bf16' if device.type == 'cuda' else 'fp32'
    net = build_net(settings.trunk, device)
    with (
        street_files(settings.size, 1, images, 'val') as dataset,
        tempfile.TemporaryDirectory(prefix='bench_') as folder,
    ):
        loader = eval_loader(EvalSet(dataset), 1, num_workers=0)
        dist, options = Dist(device=device), DumpOptions(overwrite=True)
        evaluator = Evaluator([net], normalize(device), dist, EvalOptions(precision=name), lambda line: None)
        classes, names = Classes.numbered(NUM_CLASSES), [item.name for item in dataset.items]

        def run(dumping):
            sinks = [ScoreKeeper(NUM_CLASSES)]
            if dumping:
                sinks.append(Dumper(['logits'], options, folder, classes, names))
            evaluator.run(loader, sinks)

        yield Case(
            f'dumping the logits of {images} images of {shape(settings.size)}, {settings.trunk}, {name}: time added',
            'evaluating them at three scales',
            Form(lambda: run(False)),
            [Form(lambda: run(True), DUMP_BUDGET[device.type], added=True)],
            repeats=3,
            images=images,
        )
