"""The files of one evaluated image, written in a writer's thread from host copies.

Each function takes the paths, the image's name (for messages) and HostCopy objects, and waits for these itself.
"""

import re

import numpy as np

from utils.files.images import write_png
from utils.files.npz import CHUNK
from utils.outputs import logits as logit_files
from utils.outputs.pictures import composite, error_mask, grey_image, palette_image, quantise
from utils.pages.records import Layer, PageRecord, score

_LARGEST, _INFINITE = 0x7BFF, 0x7C00  # float16 bit patterns without the sign: 65504, infinity; NaN lies above


def write_logits(path, name: str, logits, size, storage) -> int:
    """Write float16 (K, h, w) of an image of `size` as `storage` says; returns how many values are saturated, raises
    ValueError on NaN."""
    array = logits.numpy()
    saturated = count_saturated(array, name)
    logit_files.write_logits(path, array, size, storage)
    return saturated


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


def write_submission(paths, name: str, prediction, confidence, info):
    """Label ids uint8 and the confidence as round(65535 p) uint16."""
    write_png(paths[0], info.trainid_to_id[prediction.numpy()], durable=True)
    write_png(paths[1], quantise(confidence.numpy(), 65535, f'{name}: its confidence'), durable=True)


def write_auto_labels(paths, name: str, prediction, confidence, info):
    """Label ids uint8 and the confidence as round(255 p) uint8, which the reader of coarse labels takes as training
    data."""
    write_png(paths[0], info.trainid_to_id[prediction.numpy()], durable=True)
    write_png(paths[1], quantise(confidence.numpy(), 255, f'{name}: its confidence'), durable=True)


def write_pictures(names, name, index, info, run, image, labels, prediction, confidence, assets) -> PageRecord:
    """Write every picture of an image, then its record, which marks them as complete; returns the record."""
    image, prediction, confidence = image.numpy(), prediction.numpy(), confidence.numpy()
    coloured = palette_image(prediction, info.palette)
    record = PageRecord(name, index, image.shape[1], image.shape[0], run=run)
    gallery = _Gallery(names, name, record)
    gallery.add('input', 'Input', 'photo', image)
    if labels is not None:
        labels = labels.numpy()
        valid = (labels < len(info.class_names)) & (labels != info.ignore_label)
        score(record, prediction, labels, valid, len(info.class_names))
        gallery.add('gt', 'Label', 'classes', palette_image(labels, info.palette))
    gallery.add('prediction', 'Prediction', 'classes', coloured)
    gallery.add('composited', 'Prediction over input', 'photo', composite(image, coloured), names.composite(name))
    if labels is not None:
        gallery.add('err_mask', 'Error', 'error', grey_image(error_mask(prediction, labels, valid), name))
    gallery.add('prob_mask', 'Confidence', 'map', grey_image(confidence, f'{name}: its confidence'))
    for key, asset in assets.items():
        scale = scale_title(key)
        if key.startswith('attn_'):
            gallery.add(key, f'Attention {scale}', 'map', grey_image(asset.numpy(), f'{name}: its attention {key}'))
        else:
            gallery.add(key, f'Prediction {scale}', 'classes', palette_image(asset.numpy(), info.palette))
    record.save(names.record(name))
    return record


def scale_title(key: str) -> str:
    """The scale an asset belongs to, for a person: 'attn_05x' -> '0.5×', 'pred_10x' -> '1.0×'; other keys keep their
    tail."""
    match = re.fullmatch(r'[a-z]+_(\d)(\d+)x', key)
    return f'{match[1]}.{match[2]}×' if match else key.split('_', 1)[1]


class _Gallery:
    """Writes the layers of one image and enters each into its record."""

    def __init__(self, names, name, record):
        self.names, self.name, self.record = names, name, record

    def add(self, key, title, kind, picture, path=None):
        path = path or self.names.layer(self.name, key)
        write_png(path, picture)
        self.record.layers.append(Layer(key, title, path.relative_to(self.names.pictures).as_posix(), kind))
