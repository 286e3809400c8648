"""Gallery: the sink that writes the pictures of an evaluation and the records that its page is made from.

Below best_images/ an image has <rel>_<layer>.png, <folder>/composited_<stem>.png, its thumbnails <rel>_thumbnails.jpg,
its pixels for the pointer <rel>_pixels.js, and its record <rel>.json, which is written last. Records are gathered from
all ranks, and utils.pages.page renders them.
"""

import re
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from utils.files import stamps
from utils.files.images import write_png
from utils.outputs.dumps import beside
from utils.outputs.pictures import composite, error_mask, grey_image, palette_image, quantise
from utils.outputs.sink import EvalBatch, Sink
from utils.outputs.writers import HostCopy, WriterPool
from utils.pages.pixels import CONFIDENCE, write_pixels
from utils.pages.records import Layer, PageRecord, count_classes, load_record
from utils.pages.thumbnails import write_thumbnails

LAYERS = ('input', 'gt', 'prediction', 'err_mask', 'prob_mask')  # whatever the network
BESIDE = ('_thumbnails.jpg', '_pixels.js')  # what an image has for the page beside its layers
PICTURED = 10  # images, when not all are asked for


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
        layers = [self.layer(name, key) for key in ('composited', *LAYERS)]
        return [self._record(name), *layers, *(beside(self.folder, name, ending) for ending in BESIDE)]

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
        name, classes, small = record.name, self.classes, []

        def relative(path):
            return path.relative_to(self.folder).as_posix()

        def add(key, title, kind, picture, **ramp):
            path = self.layer(name, key)
            write_png(path, picture)
            record.layers.append(Layer(key, title, relative(path), kind, **ramp))
            small.append((kind, picture))

        image, prediction, confidence = image.numpy(), prediction.numpy(), confidence.numpy()
        coloured = palette_image(prediction, classes.colors)
        add('input', 'Input', 'photo', image)
        if labels is not None:
            labels = labels.numpy()
            valid = (labels < len(classes)) & (labels != classes.ignore_label)
            add('gt', 'Label', 'classes', palette_image(labels, classes.colors))
        add('prediction', 'Prediction', 'classes', coloured)
        add('composited', 'Prediction over input', 'photo', composite(image, coloured))
        if labels is not None:
            add('err_mask', 'Error', 'error', grey_image(error_mask(prediction, labels, valid), name))
            labels = np.where(valid, labels, 255).astype(np.uint8)
        percent = quantise(confidence, CONFIDENCE, f'{name}: its confidence')
        add('prob_mask', 'Confidence', 'map', grey_image(confidence, f'{name}: its confidence'), top=100, unit='%')
        for key, asset in assets.items():
            scale = scale_title(key)
            if key.startswith('attn_'):
                add(key, f'Attention {scale}', 'map', grey_image(asset.numpy(), f'{name}: its attention {key}'))
            else:
                add(key, f'Prediction {scale}', 'classes', palette_image(asset.numpy(), classes.colors))
        count_classes(record, len(classes), labels, prediction)
        thumbnails, pixels = (beside(self.folder, name, ending) for ending in BESIDE)
        write_thumbnails(thumbnails, small)
        write_pixels(pixels, label=labels, prediction=prediction, confidence=percent)
        record.thumbnails, record.pixels = relative(thumbnails), relative(pixels)
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
