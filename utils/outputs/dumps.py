"""Dumps: files of one kind for every evaluated image, where they go, and dumps.json, which says what they hold.

A kind of dump is a subclass of Dump, and nothing else. `<rel>` is the image's name relative to its dataset, folders
kept, extension dropped:

    --dump_logits                  logits/<rel>_logits.npz (or .npy, .npy.zst)
    --dump_for_submission          submit/<rel>_pred.png, submit/<rel>_conf.png
    --dump_for_auto_labelling      <rel>.png, <rel>_prob.png, as the reader of coarse labels expects them
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock

import numpy as np

from utils.classes import Classes
from utils.files import stamps
from utils.files.images import write_png
from utils.files.npz import CHUNK
from utils.outputs import logits as stored
from utils.outputs.kinds import LOGITS
from utils.outputs.pictures import quantise
from utils.outputs.writers import half_saturated

DUMPS = {}  # name -> subclass of Dump
IMAGE, NETWORK = 'image', 'network'
RECORD, LABEL_SET = 'dumps.json', 'label_set'  # the second: key of the classes in an entry of the first
_LARGEST, _INFINITE = 0x7BFF, 0x7C00  # float16 bit patterns without the sign: 65504, infinity; NaN lies above

# What a dump may need -> its tensor of image k of an EvalBatch, on the device.
TENSORS = {
    'image': lambda batch, k, options: batch.images[k].permute(1, 2, 0),  # uint8 (h, w, 3)
    'prediction': lambda batch, k, options: batch.prediction[k],  # uint8 (h, w), trainIds
    'confidence': lambda batch, k, options: batch.confidence[k].float(),  # float32 (h, w)
    # float16 (K, h', w'), at the stride of the storage
    'logits': lambda batch, k, options: half_saturated(stored.reduce(batch.logits[k], options.storage.stride)),
}


@dataclass
class DumpOptions:
    """How dumps are written.

    made_by: what decides the values (weights, scales, flips ...), as plain JSON values; dumps of other settings are
    refused. about: what the manifest of logits says beside that. storage: how logits are stored. overwrite: write files
    again that are there already. grid: whose pixels they have, IMAGE, or NETWORK where --pre_size resized the image.
    """

    made_by: dict | None = None
    about: dict = field(default_factory=dict)
    storage: stored.Storage = stored.Storage()
    overwrite: bool = False
    grid: str = IMAGE


class Dump:
    """The base of a kind of dump, for one result directory. Defining a subclass registers it in DUMPS.

    name: in dumps.json and messages. flag: the setting that asks for it. folder: below the result directory. suffixes:
    of the files of an image, in place of its extension. needs: keys of TENSORS, what `write` is given. content: what
    dumps.json says of the values.
    """

    name = flag = folder = ''
    suffixes: tuple = ()
    needs: tuple = ()
    content: dict = {}

    def __init_subclass__(cls):
        DUMPS[cls.name] = cls

    def __init__(self, result_dir, classes: Classes, options: DumpOptions):
        self.root, self.classes, self.options = Path(result_dir) / self.folder, classes, options

    def files(self, name: str) -> tuple:
        """The paths of an image's files."""
        return tuple(beside(self.root, name, suffix) for suffix in self.suffixes)

    def entry(self) -> dict:
        """What dumps.json says of this dump."""
        files = ', '.join(str(PurePosixPath(self.folder) / f'<name>{suffix}') for suffix in self.suffixes)
        made = {'classes': list(self.classes.names), 'made_by': self.options.made_by}
        return {'files': files, 'grid': self.options.grid, **self.content, **made, LABEL_SET: self.classes.as_dict()}

    def write(self, name: str, size: tuple, *arrays: np.ndarray):
        """Write the files of an image of `size` (h, w) from the arrays that it needs; runs in a writer's thread."""
        raise NotImplementedError

    def keep(self, name: str, submit):
        """Take over an image whose files an earlier run wrote; submit(function, *args) runs it in a writer's thread."""

    def close(self, log):
        """Called when every file is written."""

    def gather(self, dist, names):
        """Called on every rank at the end; names: of all images, in the order of the dataset."""


class StoredLogits(Dump):
    """Logits before the softmax and their manifest, for ensembles."""

    name = folder = 'logits'
    flag = 'dump_logits'
    needs = ('logits',)
    content = {'kind': 'logits', 'layout': '(classes, height, width)'}

    def __init__(self, result_dir, classes, options):
        super().__init__(result_dir, classes, options)
        self.suffixes = (options.storage.suffix,)
        self.saturated = 0  # values beyond +-65504, written as that
        self._entries, self._earlier, self._lock = {}, stored.read_entries(self.root), Lock()

    def entry(self):
        kind = {'kind': (self.options.about or {}).get('kind', LOGITS)}
        return {**super().entry(), 'files': 'logits/<name>_logits.*', **kind, **self.options.storage._asdict()}

    def write(self, name, size, logits):
        saturated = count_saturated(logits, name)
        [path] = self.files(name)
        stored.write_logits(path, logits, size, self.options.storage)
        entry = stored.describe(path, size, logits.shape)
        with self._lock:
            self.saturated += saturated
            self._entries[name] = entry

    def keep(self, name, submit):
        """Take over the entry of the manifest; a run that was killed left none, then the file is read."""
        with self._lock:
            if name in self._entries:
                return
            [path] = self.files(name)
            entry = self._earlier.get(name)
            known = entry is not None and entry['bytes'] == path.stat().st_size
            self._entries[name] = entry if known else None  # asked for again while the file is read
        if not known:
            submit(self._read, name, path)

    def _read(self, name, path):
        entry = stored.describe_file(path)
        with self._lock:
            self._entries[name] = entry

    def close(self, log):
        if self.saturated:
            log(f'{self.root}: {self.saturated} logits exceed what float16 holds and were written as +-65504')

    def gather(self, dist, names):
        """Write the manifest of the images of every rank; returns its entries by name."""
        entries = {name: entry for part in dist.gather_objects(self._entries) for name, entry in part.items()}
        if dist.is_main:
            files = {name: self.files(name)[0].relative_to(self.root).as_posix() for name in names}
            about = {**self.options.about, 'grid': self.options.grid, 'storage': self.options.storage._asdict()}
            stored.write_manifest(self.root, entries, files, self.classes, about)
        return entries


def count_saturated(array: np.ndarray, name: str) -> int:
    """How many values of a clamped float16 array are +-65504; raises ValueError when one is NaN."""
    bits, count = array.reshape(-1).view(np.uint16), 0
    for begin in range(0, bits.size, CHUNK):
        magnitude = bits[begin : begin + CHUNK] & 0x7FFF
        largest = magnitude.max()
        if largest > _INFINITE:
            raise ValueError(
                f'{name}: its logits hold NaN: the network is not finite on this image; evaluate with --precision fp32'
                ' or another checkpoint'
            )
        if largest == _LARGEST:
            count += int((magnitude == _LARGEST).sum())
    return count


class Submission(Dump):
    """Label ids and a 16-bit confidence, for benchmark servers."""

    name, folder = 'submission', 'submit'
    flag = 'dump_for_submission'
    suffixes, needs = ('_pred.png', '_conf.png'), ('prediction', 'confidence')
    content = {'kind': 'label ids uint8, round(65535 p) uint16'}
    levels = 65535

    def write(self, name, size, prediction, confidence):
        ids, sure = self.files(name)
        write_png(ids, self.classes.trainid_to_id[prediction], durable=True)
        write_png(sure, quantise(confidence, self.levels, f'{name}: its confidence'), durable=True)


class AutoLabels(Submission):
    """Label ids and an 8-bit confidence, which the reader of coarse labels takes as training data."""

    name, folder = 'auto_labels', ''
    flag = 'dump_for_auto_labelling'
    suffixes = ('.png', '_prob.png')
    content = {'kind': 'label ids uint8, round(255 p) uint8'}
    levels = 255


def beside(folder: Path, name: str, suffix: str) -> Path:
    """The path of an output of the image `name` below `folder`."""
    relative = PurePosixPath(name)
    return folder / relative.parent / (relative.stem + suffix)


def claim(dumps, result_dir, write=True):
    """Enter `dumps` into the record of result_dir, dumps.json.

    Dumps of two checkpoints, or of two sets of scales, must not mix in one folder because the second run found the
    files of the first and skipped them: raises ValueError when a dump there was made with something else and is not
    overwritten. write: on one rank only.
    """
    path, entries = Path(result_dir) / RECORD, read_record(result_dir)
    for dump in dumps:
        before, entry = entries.get(dump.name), dump.entry()
        if before and 'grid' not in before:  # an earlier version wrote what the network saw
            before = {**before, 'grid': NETWORK if (before.get('made_by') or {}).get('pre_size') else IMAGE}
        # the names of the classes decide; records of earlier versions lack the rest
        changed = before and stamps.differences({**before, LABEL_SET: None}, {**entry, LABEL_SET: None})
        if changed and not dump.options.overwrite:
            raise ValueError(
                f'{path}: the {dump.name} dump there was made with {", ".join(changed)}; '
                'give another --result_dir, or --overwrite to write it again'
            )
        entries[dump.name] = entry
    if write and dumps:
        stamps.write(path, entries)


def read_record(result_dir) -> dict:
    """name of a dump -> what dumps.json says of it; empty without the file."""
    remedy = 'remove it and the dumps beside it, or give another --result_dir'
    return stamps.read(Path(result_dir) / RECORD, remedy, 'record of dumps') or {}


def check_outputs(names, paths_of, result_dir, inputs=()):
    """Raise ValueError unless every image has output files of its own, below the result directory.

    Args:
        names: of the images.
        paths_of: name -> the paths of all its output files.
        result_dir: for the message.
        inputs: paths of images and labels, none of which an output may replace.
    """
    owner, inputs = {}, {Path(path).resolve() for path in inputs}
    for name in names:
        relative = PurePosixPath(name)
        if relative.is_absolute() or '..' in relative.parts or not relative.name:
            raise ValueError(
                f'{name}: an image to be dumped needs a name relative to its dataset, without ".."; move it below the'
                ' dataset root'
            )
        for path in paths_of(name):
            if inputs and path.resolve() in inputs:
                raise ValueError(
                    f'--result_dir {result_dir}: {path} of {name} would replace an image or label of the dataset;'
                    ' give another --result_dir'
                )
            other = owner.setdefault(path, name)
            if other != name:
                raise ValueError(
                    f'{other} and {name}: both would be written to {path} (extensions are dropped); rename one of them'
                )
