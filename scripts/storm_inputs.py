"""Inputs that the storm damages, and the readers that take them: they return a value that is right in itself, or raise
a ValueError or OSError that names the file, within bounded time and memory."""

import io
import random
import tarfile
import zipfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.optim.swa_utils import AveragedModel

from aggregation.benchmarks.score_files import encode_hdf5, read_score
from aggregation.benchmarks.trees import Tree, read_gray
from datasets.labels import ColorTable
from datasets.loading.cache import PixelCache
from datasets.loading.reading import label_size, peek, read_image, read_label
from engine.distributed import Dist
from engine.seeding import capture_rng
from engine.state import resume_learner, resume_random_state
from network.loading import trained_on
from scripts import storm_damage
from scripts.storm_trials import Kind, Watched
from utils import checkpoint
from utils.classes import Classes
from utils.cli import flags
from utils.files.archives import locate
from utils.files.sources import find_sources
from utils.outputs import logits as stored
from utils.restore import restore_weights
from utils.settings import SETTINGS

SECONDS, MEMORY = 20.0, 1 << 30  # that one input may take; bytes: 2^29 pixels, the default of --max_pixels, are refused
CLASSES = Classes.numbered(3)


class Wrong(Exception):
    """A reader returned what cannot be."""


def need(holds, what: str):
    if not holds:
        raise Wrong(what)


class Damaged(Kind):
    """Files of one sort with damaged bytes.

    make: folder -> {file name: its bytes}; read: of the path of a damaged one, in a folder with the others; raises
    Wrong for a value that cannot be. also: what a message may name instead of the file.
    """

    group, share, burst = 'files', 0.12, 400

    def __init__(self, name: str, make: Callable[[Path], dict[str, bytes]], read: Callable[[Path], object], also=()):
        self.name, self._make, self.read, self.also = name, make, read, also
        self.what = f'{name} that are damaged: read, or refused by name'

    def prepare(self, folder):
        self.samples = self._make(folder)
        self._lay_out(folder)
        for name in filter(self.samples.get, self.samples):
            self.read(folder / name)

    def run(self, seed, numbers, folder):
        self._lay_out(folder)
        watched = Watched(lambda number: self.test(seed, number, folder), SECONDS, MEMORY)
        yield from watched.run(numbers, folder / 'log')

    def _lay_out(self, folder):
        for name, data in self.samples.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def test(self, seed: int, number: int, folder: Path) -> str | None:
        """What did not hold in a trial."""
        rng = self.random(seed, number)
        name = rng.choice(list(self.samples))
        data, damage = self.damage(name, rng)
        path = folder / name
        path.write_bytes(data)
        random.seed(number)
        try:
            self.read(path)
            return None
        except (ValueError, OSError) as error:
            named = any(part in str(error) for part in (Path(name).name, Path(name).stem, *self.also))
            return None if named else told(name, damage, error, 'names no file')
        except BaseException as error:
            return told(name, damage, error)
        finally:
            path.write_bytes(self.samples[name])

    def damage(self, name: str, rng) -> tuple[bytes, str]:
        return storm_damage.damaged(self.samples[name], rng)


def told(name, damage, error, why='') -> str:
    place = ''
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if 'storm' not in file.name:
            place = f' at {file.name}:{trace.tb_lineno}'
        trace = trace.tb_next
    return f'{name}, {damage}: {why or type(error).__name__} ({" ".join(str(error).split())[:160]}){place}'


# --- pictures


def picture(mode='RGB', size=(40, 24)) -> Image.Image:
    values = np.random.default_rng(3).integers(0, 8, (size[1], size[0], 3), np.uint8) * 30
    return Image.fromarray(values).convert(mode)


def packed(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def images(_) -> dict[str, bytes]:
    rgb, exif = picture(), turned()
    wide = np.random.default_rng(1).integers(0, 1 << 16, (24, 40), np.uint16)
    return {
        'rgb.png': packed(rgb, 'PNG', exif=exif),
        'alpha.png': packed(picture('RGBA'), 'PNG'),
        'palette.png': packed(picture('P'), 'PNG', bits=4),
        'deep.png': cv2.imencode('.png', wide)[1].tobytes(),
        'base.jpg': packed(rgb, 'JPEG', exif=exif),
        'progressive.jpg': packed(rgb, 'JPEG', progressive=True),
        'gray.jpg': packed(picture('L'), 'JPEG'),
        'inks.jpg': packed(picture('CMYK'), 'JPEG'),
        'lossy.webp': packed(rgb, 'WEBP', exif=exif),
        'lossless.webp': packed(rgb, 'WEBP', lossless=True),
        'plain.tif': packed(rgb, 'TIFF'),
        'lzw.tif': packed(rgb, 'TIFF', compression='tiff_lzw', exif=exif),
        'deflated.tif': packed(picture('L'), 'TIFF', compression='tiff_adobe_deflate'),
        'deep.tif': cv2.imencode('.tiff', wide)[1].tobytes(),
        'plain.bmp': packed(rgb, 'BMP'),
        'palette.bmp': packed(picture('P'), 'BMP'),
    }


def read_as_image(path):
    found = read_image(path)
    need(found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3, f'{found.dtype} {found.shape}')
    need(found.size, 'no pixels')
    size = peek(path)
    need(tuple(size) == found.shape[:2], f'an image of {found.shape} whose header is read as {size}')


def labels(_) -> dict[str, bytes]:
    gray = Image.fromarray(np.random.default_rng(2).integers(0, 9, (24, 40), np.uint8))
    wide = np.random.default_rng(1).integers(0, 9, (24, 40), np.uint16)
    return {
        'gray.png': packed(gray, 'PNG', exif=turned()),
        'bit.png': packed(picture('1'), 'PNG'),
        'palette.png': packed(picture('P'), 'PNG', bits=2),
        'deep.png': cv2.imencode('.png', wide)[1].tobytes(),
        'gray.tif': packed(gray, 'TIFF', compression='tiff_lzw'),
        'deep.tif': cv2.imencode('.tiff', wide)[1].tobytes(),
        'gray.bmp': packed(gray, 'BMP'),
        'colours.png': packed(picture(), 'PNG'),
        'colours.webp': packed(picture(), 'WEBP', lossless=True),
    }


COLOURS = ColorTable('storm', {(30 * r, 30 * g, 30 * b): r for r in range(8) for g in range(8) for b in range(8)})


def read_as_label(path):
    found = read_label(path, COLOURS if path.name.startswith('colours') else None)
    need(found.dtype == np.uint8 and found.ndim == 2 and found.size, f'{found.dtype} {found.shape}')
    size = label_size(path)
    need(tuple(size) == found.shape, f'labels of {found.shape} whose header is read as {size}')


# --- checkpoints


class Learner:
    """What resume_learner fills: the smallest one."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = torch.nn.Linear(2, 3)
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.1, momentum=0.9)
        self.scaler = torch.amp.GradScaler('cpu')
        self.ema, self.swa = AveragedModel(self.net), AveragedModel(self.net)


def state() -> dict:
    """The state of a training of that learner, as checkpoints hold it."""
    learner = Learner()
    learner.net(torch.ones(1, 2)).sum().backward()
    learner.optimizer.step()
    return {
        'state_dict': learner.net.state_dict(),
        'arch': 'basic.Linear',
        'trunk': 'hrnetv2',
        'num_classes': 3,
        'class_names': list(CLASSES.names),
        'network': {'arch': 'basic.Linear', 'trunk': 'hrnetv2', 'align_corners': False},
        'classes': CLASSES.as_dict(),
        'mean': [0.5] * 3,
        'std': [0.2] * 3,
        'optimizer': learner.optimizer.state_dict(),
        'optimizer_name': 'SGD',
        'scaler': learner.scaler.state_dict(),
        'ema': learner.ema.state_dict(),
        'swa': learner.swa.state_dict(),
        'epoch': 1,
        'epoch_done': False,
        'batch_in_epoch': 2,
        'global_step': 4,
        'best_metric': 'mean_iu',
        'best_score': 0.25,
        'best_epoch': 0,
        'rng': [capture_rng()],
        'args': {'lr': 0.1, 'crop_size': (48, 64)},
        'data': {'files': {'a.png': 'b'}, 'order': 'c'},
    }


def checkpoints(folder) -> dict[str, bytes]:
    whole, plain = state(), folder / 'plain.safetensors'
    weights = {key: value for key, value in whole.items() if key not in ('optimizer', 'scaler', 'ema', 'swa', 'rng')}
    files = {'training.pth': io.BytesIO(), 'old.pth': io.BytesIO(), 'bare.pth': io.BytesIO()}
    torch.save(whole, files['training.pth'])
    torch.save(whole, files['old.pth'], _use_new_zipfile_serialization=False)
    torch.save(whole['state_dict'], files['bare.pth'])
    checkpoint.save(plain, weights)
    return {**{name: file.getvalue() for name, file in files.items()}, plain.name: plain.read_bytes()}


def read_as_checkpoint(path):
    found = checkpoint.load(path)
    restore_weights(Learner().net, found['state_dict'], source=path)
    flags.adopt_network(Namespace(**SETTINGS.defaults(), given=[], source=str(path)), found, lambda line: None)
    trained_on(found, found.get('num_classes') or 3, path)
    if 'epoch' in found:
        checkpoint.resume_point(found, path)
    if found.get('optimizer'):
        resume_learner(found, path, Learner(), lambda line: None)
        resume_random_state(found, path, Dist(), lambda line: None)


class Altered(Damaged):
    """Checkpoints that are whole, and one of whose values is another one."""

    def damage(self, name, rng):
        file, other = io.BytesIO(), storm_damage.with_other_value(state(), rng)
        torch.save(other, file)
        return file.getvalue(), 'a value of another type'


# --- stored logits, archives, the cache


def logits(folder) -> dict[str, bytes]:
    values = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(1))
    names, found = [], {}
    for form, dtype, stride in (('npz', 'float16', 1), ('npy', 'float16', 1), ('npz', 'int8', 2), ('npy', 'int8', 2)):
        names.append((f'{form}{dtype}', stored.Storage(form, dtype, stride)))
    with suppress(ValueError):
        stored.zstandard()
        names += [('zst', stored.Storage('zst', 'float16', 1)), ('zst8', stored.Storage('zst', 'int8', 4))]
    for name, storage in names:
        path = folder / f'{name}{storage.suffix}'
        stored.write_logits(path, stored.reduce(values, storage.stride).half().numpy(), (12, 16), storage)
        found[path.name] = path.read_bytes()
    return found


def read_as_logits(path):
    found = stored.read_logits(path)
    need(found.values.dim() == 3 and found.values.is_floating_point(), f'{found.values.dtype} {found.values.shape}')
    need(found.values.numel() <= 1 << 24 and min(found.size) > 0, f'{tuple(found.values.shape)} of {found.size}')
    if found.size[0] * found.size[1] <= 1 << 20:
        need(tuple(found.full().shape[1:]) == tuple(found.size), f'{found.full().shape} of {found.size}')


def maps(_) -> dict[str, bytes]:
    score, file = np.random.default_rng(0).random((12, 16)).astype(np.float32), io.BytesIO()
    np.savez_compressed(file, value=score)
    found = {'a_msp.npz': file.getvalue()}
    with suppress(ValueError):
        found['b_msp.hdf5'] = encode_hdf5(score)
    file = io.BytesIO()
    np.save(file, score)
    found['c_msp.npy'] = file.getvalue()
    found['d_conf.png'] = cv2.imencode('.png', (score * 65535).astype(np.uint16))[1].tobytes()
    return found


def read_as_map(path):
    tree = Tree(path.parent)
    if path.suffix == '.png':
        found = read_gray(tree, path.name)
        need(found.ndim == 2, f'{found.shape}')
    else:
        found = read_score(tree, path.name)
        need(found.ndim == 2 and found.dtype == np.float32, f'{found.dtype} {found.shape}')


def archives(_) -> dict[str, bytes]:
    members = {f'photos/{name}': data for name, data in list(images(None).items())[:4]}
    members['photos/list.txt'] = b'a\nb\n'
    found = {}
    for name, method in (('stored.zip', zipfile.ZIP_STORED), ('deflated.zip', zipfile.ZIP_DEFLATED)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, 'w', method) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        found[name] = file.getvalue()
    for name, form in (
        ('plain.tar', tarfile.USTAR_FORMAT),
        ('pax.tar', tarfile.PAX_FORMAT),
        ('gnu.tar', tarfile.GNU_FORMAT),
    ):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode='w', format=form) as archive:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo('photos/link.png')
            link.type, link.linkname = tarfile.SYMTYPE, Path(next(iter(members))).name
            archive.addfile(link)
        found[name] = file.getvalue()
    return found


def read_as_archive(path):
    """Every member is read, each on its own: one that is damaged hides no other."""
    found = find_sources([str(path)])
    need(all(str(source).startswith(str(path)) for source in found.sources), 'a source outside the archive')
    need(all(path.stem in why for _, why in found.faults), f'a fault without the name: {found.faults}')
    for file in locate(path).walk():
        try:
            data = file.read_bytes()
            need(len(data) == file.size, f'{len(data)} bytes of {file.size}')
        except (ValueError, FileNotFoundError) as error:
            need(path.stem in str(error), f'names no file: {error}')


def caches(_) -> dict[str, bytes]:
    shapes = np.array([[4, 6], [2, 3]], np.int64)
    return {'a.raw': b'rawpair1' + np.int64(2).tobytes() + shapes.tobytes() + bytes(range(120))}


def read_as_cache(path):
    """As with_cache does it: what is no whole cache is built anew, with a line that names it."""
    try:
        cache = PixelCache(path, ['a', 'b'])
    except ValueError:
        return
    for item in ('a', 'b'):
        image, label = cache.load(item)
        need(image.shape[:2] == label.shape and image.shape[2] == 3, f'{image.shape} {label.shape}')


KINDS = [
    Damaged('images', images, read_as_image),
    Damaged('labels', labels, read_as_label),
    Damaged('checkpoints', checkpoints, read_as_checkpoint),
    Altered('altered checkpoints', lambda _: {'training.pth': b''}, read_as_checkpoint),
    Damaged('logits', logits, read_as_logits),
    Damaged('score maps', maps, read_as_map),
    Damaged('archives', archives, read_as_archive),
    Damaged('caches', caches, read_as_cache),
]
