"""Gallery: the sink that writes the pictures of an evaluation and the records that its page is made from.

Below best_images/ an image has <rel>_<layer>.png, <folder>/composited_<stem>.png, and its record <rel>.json, which is
written last. Records are plain data: which pictures there are, and how well the image was predicted. They are gathered
from all ranks, and utils.pages.page renders them.
"""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from utils.files import stamps
from utils.files.atomic import write_json
from utils.files.images import write_png
from utils.files.limits import parse_json
from utils.outputs.dumps import beside
from utils.outputs.pictures import composite, error_mask, grey_image, palette_image
from utils.outputs.sink import EvalBatch, Sink
from utils.outputs.writers import HostCopy, WriterPool

LAYERS = ('input', 'gt', 'prediction', 'err_mask', 'prob_mask')  # whatever the network
KINDS = ('photo', 'classes', 'error', 'map')  # of layers
PICTURED = 10  # images, when not all are asked for


@dataclass
class Layer:
    """A picture of an image. file: posix path relative to the page; kind: photo, classes, error or map (of [0, 1])."""

    key: str
    title: str
    file: str
    kind: str


@dataclass
class PageRecord:
    """What the page shows of an image. miou, accuracy in [0, 1], None without labels; ious: [class id, IoU] pairs."""

    name: str
    index: int
    width: int
    height: int
    layers: list = field(default_factory=list)
    miou: float | None = None
    accuracy: float | None = None
    wrong: int = 0
    valid: int = 0
    ious: list = field(default_factory=list)
    run: str = ''

    def layer(self, key: str):
        """The layer called `key`, or None."""
        return next((layer for layer in self.layers if layer.key == key), None)

    def save(self, path):
        write_json(path, asdict(self), durable=False)


def load_record(path, run: str, folder):
    """The record stored at path, or None: not there, of another run, or with a picture missing below folder."""
    try:
        stored = parse_json(Path(path).read_bytes())
        record = PageRecord(**{**stored, 'layers': [Layer(**layer) for layer in stored['layers']]})
        if not _is_plain(record):
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    complete = all((Path(folder) / layer.file).is_file() for layer in record.layers)
    return record if complete and run and record.run == run else None


def _is_plain(record: PageRecord) -> bool:
    """Whether the values are of the types that `save` writes; an altered record is drawn again."""

    def number(*values):
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)

    whole = (record.index, record.width, record.height, record.wrong, record.valid)
    return (
        all(type(value) is int and value >= 0 for value in whole)
        and all(value is None or number(value) for value in (record.miou, record.accuracy))
        and all(number(label, iou) for label, iou in record.ious)
        and all(isinstance(text, str) for text in (record.name, record.run))
        and all(isinstance(text, str) for layer in record.layers for text in asdict(layer).values())
        and all(layer.kind in KINDS for layer in record.layers)
    )


def score(record: PageRecord, prediction: np.ndarray, labels: np.ndarray, valid: np.ndarray, num_classes: int):
    """Fill in the record's scores. The mIoU of an image is the mean over the classes in its label or its prediction.

    Args:
        prediction, labels: trainIds (H, W).
        valid: bool (H, W), the pixels that count.
    """
    pairs = labels[valid].astype(np.int64) * num_classes + prediction[valid]
    counts = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    right, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
    record.valid, record.wrong = int(counts.sum()), int(counts.sum() - right.sum())
    if record.valid:
        record.accuracy = 1 - record.wrong / record.valid
        record.ious = [[int(c), float(right[c] / union[c])] for c in np.flatnonzero(union)]
        record.miou = float(np.mean([iou for _, iou in record.ious]))


class Gallery(Sink):
    """Draws input, label, prediction, composite, error, confidence and attention of about ten images, or of all."""

    def __init__(
        self,
        result_dir,
        classes,
        total: int,
        every=False,
        scales=False,
        made_by: dict | None = None,
        overwrite=False,
        writers=None,
    ):
        """Prepare; nothing is written before the first batch.

        Args:
            result_dir: the folder above best_images/.
            classes: names and colours.
            total: images of the whole set, whatever this rank sees of it; decides which are pictured.
            every: picture every image.
            scales: the predictions of single scales too, of every image.
            made_by: what decides the pictures, as plain JSON values; pictures of other settings are drawn again, and
                all are where it is None.
            overwrite: draw again what is there.
            writers: a WriterPool that is shared with other sinks.
        """
        self.folder, self.classes = Path(result_dir) / 'best_images', classes
        self.scales, self.overwrite = scales, overwrite
        self._step = 1 if every or scales else max(1, total // PICTURED)
        self._run = '' if made_by is None else stamps.digest_of_values([made_by, scales])
        self._records, self._lock, self._writers = {}, Lock(), writers or WriterPool()

    @property
    def page(self) -> Path:
        """Where the page of these pictures belongs."""
        return self.folder / 'index.html'

    def layer(self, name: str, key: str) -> Path:
        """The picture `key` of an image."""
        path = beside(self.folder, name, '.png')
        return path.with_name(f'composited_{path.name}' if key == 'composited' else f'{path.stem}_{key}.png')

    def files(self, name: str) -> list:
        """Every file of an image whose name does not depend on the network."""
        return [self._record(name), *(self.layer(name, key) for key in ('composited', *LAYERS))]

    def _record(self, name) -> Path:
        return beside(self.folder, name, '.json')

    def wants(self, names, indices, labelled):
        missing = [self.missing(name, index) for name, index in zip(names, indices)]  # takes over what stands
        return any(missing)

    def wants_scales(self, indices):
        return any(self._pictured(index) for index in indices)

    def _pictured(self, index) -> bool:
        return int(index) % self._step == 0

    def missing(self, name: str, index: int) -> bool:
        """Whether the pictures of an image are still to be drawn; those that stand are taken over."""
        if not self._pictured(index):
            return False
        record = None if self.overwrite else load_record(self._record(name), self._run, self.folder)
        if record is None:
            return True
        record.index = int(index)
        self._keep(record)
        return False

    def process(self, batch: EvalBatch):
        """Hand over what is missing of a batch; waits while the writers are behind, raises their first error."""
        for k, (name, index) in enumerate(zip(batch.names, batch.indices, strict=True)):
            if self.missing(name, index):
                self._writers.submit(
                    self._draw,
                    PageRecord(name, int(index), batch.images.shape[-1], batch.images.shape[-2], run=self._run),
                    HostCopy(batch.images[k].permute(1, 2, 0)),
                    None if batch.labels is None else HostCopy(batch.labels[k].to(torch.uint8)),
                    HostCopy(batch.prediction[k].to(torch.uint8)),
                    HostCopy(batch.confidence[k].float()),
                    self._assets(batch, k),
                )

    def _assets(self, batch, k) -> dict:
        """Host copies by key: attention maps float32 (h', w'), and with `scales` their predictions uint8 (h', w')."""
        assets = {}
        for key, tensor in batch.assets.items():
            if key.startswith('attn_'):
                assets[key] = HostCopy(tensor[k, 0].float())
            elif key.startswith('pred_') and self.scales:
                assets[key] = HostCopy(tensor[k].argmax(0).to(torch.uint8))
        return assets

    def _draw(self, record, image, labels, prediction, confidence, assets):
        """Write every picture of an image, then its record, which marks them as complete; in a writer's thread.

        Args:
            image, labels, prediction, confidence: as HostCopy, (H, W, 3) RGB and (H, W); labels None without any.
            assets: of _assets.
        """
        name, classes = record.name, self.classes

        def add(key, title, kind, picture):
            path = self.layer(name, key)
            write_png(path, picture)
            record.layers.append(Layer(key, title, path.relative_to(self.folder).as_posix(), kind))

        image, prediction, confidence = image.numpy(), prediction.numpy(), confidence.numpy()
        coloured = palette_image(prediction, classes.colors)
        add('input', 'Input', 'photo', image)
        if labels is not None:
            labels = labels.numpy()
            valid = (labels < len(classes)) & (labels != classes.ignore_label)
            score(record, prediction, labels, valid, len(classes))
            add('gt', 'Label', 'classes', palette_image(labels, classes.colors))
        add('prediction', 'Prediction', 'classes', coloured)
        add('composited', 'Prediction over input', 'photo', composite(image, coloured))
        if labels is not None:
            add('err_mask', 'Error', 'error', grey_image(error_mask(prediction, labels, valid), name))
        add('prob_mask', 'Confidence', 'map', grey_image(confidence, f'{name}: its confidence'))
        for key, asset in assets.items():
            scale = scale_title(key)
            if key.startswith('attn_'):
                add(key, f'Attention {scale}', 'map', grey_image(asset.numpy(), f'{name}: its attention {key}'))
            else:
                add(key, f'Prediction {scale}', 'classes', palette_image(asset.numpy(), classes.colors))
        record.save(self._record(name))
        self._keep(record)

    def _keep(self, record):
        with self._lock:
            self._records[record.name] = record

    def records(self) -> list:
        """The records of this rank's images in the order of the dataset; complete after close()."""
        with self._lock:
            return sorted(self._records.values(), key=lambda record: record.index)

    def close(self):
        self._writers.close()

    def abort(self):
        """Drop what waits to be drawn; every file that stands is whole."""
        self._writers.abort()

    def gather(self, dist):
        """The records of every rank."""
        return [record for part in dist.gather_objects(self.records()) for record in part]


def scale_title(key: str) -> str:
    """The scale of an asset as a title: 'attn_05x' -> '0.5×', 'pred_10x' -> '1.0×'; other keys keep their tail."""
    match = re.fullmatch(r'[a-z]+_(\d)(\d+)x', key)
    return f'{match[1]}.{match[2]}×' if match else key.split('_', 1)[1]
