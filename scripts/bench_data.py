"""Benchmark lines without a network: samples, the class-uniform index, the region loss, the confusion matrix."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

import config
import datasets
from datasets.loading.cache import with_cache
from datasets.sampling import class_uniform
from datasets.sampling.sets import TrainSet
from datasets.verify.whole import verify
from scripts.baseline_transforms import photo_like_pair
from scripts.bench_measure import Case, Form
from transforms import build_train_transform
from transforms.deferred import augment, draw
from transforms.photometric import ColorJitter, RandomGaussianBlur
from utils.cli import flags
from utils.cores import usable_cores
from utils.metrics import ConfusionMatrix

NUM_CLASSES, IGNORE = 19, 255
SAMPLES = 8  # per call: the random scale decides what one costs
FILES, COPIES = 6, 6  # label files drawn, and how often each stands in the dataset
VERIFIED = 12  # pairs of the dataset that is verified


@contextmanager
def street_files(size, files: int, copies: int = 1, split: str = 'train'):
    """Yields a Cityscapes dataset of files * copies photo-like pairs of `size` (h, w) in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix='bench_') as folder:
        images, labels = (Path(folder, kind, split, 'benchtown') for kind in ('leftImg8bit', 'gtFine'))
        for parent in (images, labels):
            parent.mkdir(parents=True)
        for number in range(files):
            image, label = photo_like_pair(*size, seed=number)
            first = f'benchtown_{number:03d}_000'
            cv2.imwrite(str(images / f'{first}_leftImg8bit.png'), image)
            cv2.imwrite(str(labels / f'{first}_gtFine_labelIds.png'), label)
            for copy in range(1, copies):
                name = f'benchtown_{number:03d}_{copy:03d}'
                shutil.copy(images / f'{first}_leftImg8bit.png', images / f'{name}_leftImg8bit.png')
                shutil.copy(labels / f'{first}_gtFine_labelIds.png', labels / f'{name}_gtFine_labelIds.png')
        with config.scope(DATASET__ROOT=folder, ASSETS_PATH=str(Path(folder, 'assets'))):
            yield datasets.get_dataset('cityscapes', split)


def photo_batch(size, device, images: int = 1):
    """A batch of `images` photo-like pictures uint8 (N, 3, h, w), labels uint8 (N, h, w) of trainIds, some ignored."""
    pairs = [photo_like_pair(*size, seed=number) for number in range(images)]
    ids = torch.from_numpy(np.stack([label for _, label in pairs]))
    # of 34 ids 31 count: about a tenth of the pixels is ignored
    labels = torch.where(ids < 31, ids % NUM_CLASSES, IGNORE)
    pictures = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2).contiguous()
    return pictures.to(device), labels.to(device)


@contextmanager
def sample(settings):
    """One training sample: random scale, crop, flip, colour jitter, Gaussian blur, one core."""
    side = min(settings.photo_size)
    args = flags.parse(['--crop_size', str(side), '--gblur'])
    with street_files(settings.photo_size, 1) as dataset:
        item = dataset.items[0]
        train_set = TrainSet(dataset, build_train_transform(args, dataset.ignore_label), seed=0, class_uniform_pct=0)
        epochs = count()

        def decode():
            for _ in range(SAMPLES):
                cv2.imread(str(item.image))
                cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED)

        def load():
            for _ in range(SAMPLES):
                train_set[next(epochs), 0]

        yield Case(
            f'{SAMPLES} training samples from {shape(settings.photo_size)} PNG pairs, crop {side}x{side}, one core',
            'decoding the pairs with OpenCV',
            Form(decode),
            [Form(load, 1.35)],
            repeats=15,
            images=SAMPLES,
            threads=1,
        )


@contextmanager
def cached(settings):
    """Samples from a cache of decoded pixels, against decoding what they need: the whole pair read; a sample scaled,
    cropped and flipped, whose colour jitter and blur are left to the device; and one whose loader does these too."""
    side = min(settings.photo_size)

    def transform(where):
        return build_train_transform(
            flags.parse(['--crop_size', str(side), '--gblur', '--augment_on', where]),
            IGNORE,
        )

    with street_files(settings.photo_size, SAMPLES) as dataset:
        pixels = with_cache(dataset, Path(config.cfg.ASSETS_PATH, 'cache'), log=lambda line: None)
        deferred, full = (
            TrainSet(pixels, transform(where), seed=0, class_uniform_pct=0) for where in ('device', 'loader')
        )
        epochs = count()

        def decode():
            for item in dataset.items:
                cv2.imread(str(item.image))
                cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED)

        def read():
            for item in pixels.items:
                for array in pixels.load(item):
                    array.copy()

        def load(train_set):
            epoch = next(epochs)
            for place in range(SAMPLES):
                train_set[epoch, place]

        yield Case(
            f'{SAMPLES} training samples from the cache of {shape(settings.photo_size)} pairs, crop {side}x{side}, one'
            ' core',
            'decoding the pairs with OpenCV',
            Form(decode),
            [
                Form(read, 0.15, 'pair'),
                Form(lambda: load(deferred), 0.15, 'device'),
                Form(lambda: load(full), name='loader'),
            ],
            repeats=15,
            images=SAMPLES,
            threads=1,
        )


@contextmanager
def photometric(settings):
    """Colour jitter and Gaussian blur of one crop where --augment_on device has it computed, against a loader on one
    core."""
    side = min(settings.photo_size)
    pictures, _ = photo_batch((side, side), settings.device)
    image = pictures[0].permute(1, 2, 0).contiguous().cpu().numpy()
    jitter, blur = ColorJitter(0.25), RandomGaussianBlur()
    seeds = count()

    def loader():
        rng = np.random.default_rng(next(seeds))
        return blur(jitter(image, rng), rng)

    yield Case(
        f'colour jitter and blur of a crop of {side}x{side}',
        'in a loader, on one core',
        Form(loader),
        [Form(lambda: augment(pictures, draw(jitter, blur, np.random.default_rng(next(seeds)))[None]))],
        repeats=15,
        images=1,
        threads=1,
    )


@contextmanager
def index(settings):
    """The class-uniform index, built and written; both forms in as many threads as this process has cores."""
    with street_files(settings.photo_size, FILES, COPIES) as dataset:
        threads = usable_cores()
        path = class_uniform.index_path(dataset, 1024, config.cfg.ASSETS_PATH)

        def decode():
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda item: cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED).shape, dataset.items))

        def build():
            path.unlink(missing_ok=True)
            class_uniform.load_or_build(dataset, 1024, config.cfg.ASSETS_PATH, log=lambda line: None)

        yield Case(
            f'class-uniform index of {len(dataset)} label files of {shape(settings.photo_size)}',
            f'decoding the files once, in {threads} threads',
            Form(decode),
            [Form(build, 1.5)],
            repeats=15,
        )


@contextmanager
def verification(settings):
    """Verification of a split: every image and label read once, without the page; both forms in as many threads as
    there are cores."""
    with street_files(settings.photo_size, VERIFIED) as dataset:

        def decode(item):
            cv2.imread(str(item.image))
            cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED)

        def decode_all():
            with ThreadPoolExecutor(usable_cores()) as pool:
                list(pool.map(decode, dataset.items))

        yield Case(
            f'verification of {len(dataset)} pairs of {shape(settings.photo_size)}',
            f'decoding the files once, in {usable_cores()} threads',
            Form(decode_all),
            [Form(lambda: verify('cityscapes', ['train'], log=lambda line: None), 1.5)],
            repeats=7,
        )


@contextmanager
def confusion(settings):
    """The confusion matrix of one image, in bytes as evaluation has it, against a bincount of pixels that need no
    preparation."""
    _, labels = photo_batch(settings.photo_size, settings.device)
    wrong = torch.rand(labels.shape, device=labels.device) < 0.1
    predictions = torch.where(wrong | (labels == IGNORE), torch.randint_like(labels, NUM_CLASSES), labels)
    index = labels.long().clamp(max=NUM_CLASSES).mul(NUM_CLASSES).add(predictions).flatten()
    matrix = ConfusionMatrix(NUM_CLASSES)
    yield Case(
        f'confusion matrix of one image of {shape(settings.photo_size)}',
        'one bincount of its pixels',
        Form(lambda: torch.bincount(index, minlength=NUM_CLASSES * (NUM_CLASSES + 1))),
        [Form(lambda: matrix.update(predictions, labels), 1.3)],
        repeats=41,
    )


def shape(size) -> str:
    return 'x'.join(map(str, size))
