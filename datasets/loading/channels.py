"""Channels of images: grey, RGB, colour with depth, or the bands of a multispectral TIFF, as uint8 (H, W, C).

`read_channels` reads a file with as many channels as a network takes (--in_channels). Values of more than 8 bits are
mapped to bytes by --value_range, whose ends become 0 and 255; without it the upper 8 of 16 bits are kept.
"""

import io
from contextlib import suppress

import cv2
import numpy as np

from datasets.loading.formats import PNG, TIFF, UNDECODABLE, format_of, opened, problem, tiff_shape
from datasets.loading.orientation import orientation_of, shown
from datasets.loading.reading import read_bytes, read_image, unreadable
from utils.cli.wording import counted
from utils.files.decoder_lines import caught, tell

RGB = 3
_PNG_PALETTE = 3
_MOST_OF_OPENCV = 4  # channels of a file that OpenCV decodes


def read_channels(path, channels: int = RGB, value_range=None) -> np.ndarray:
    """The image as uint8 (H, W, channels).

    One channel: grey; a file of colours becomes grey by ITU-R 601. Three: RGB, as read_image has it. Of any other
    number the file has to have as many: red, green, blue and a fourth of a PNG or TIFF, or the bands or pages of a TIFF
    in their order.

    Args:
        value_range: (low, high) of the values that become 0 and 255; what lies beyond is cut off. None: 8 bits as they
            are, and the upper 8 of 16.

    Raises FileNotFoundError, or ValueError naming the file when it is no whole image, has another number of channels,
    or values of more than 16 bits without value_range.
    """
    if channels == RGB and value_range is None:
        return read_image(path)
    values = _as_bytes(_values(path), value_range, path)
    found = values.shape[2]
    if channels == 1 and found in (3, 4):
        values = cv2.cvtColor(np.ascontiguousarray(values[..., :3]), cv2.COLOR_RGB2GRAY)[..., None]
    elif channels == RGB and found in (1, 4):
        values = np.repeat(values, 3, axis=2) if found == 1 else values[..., :3]
    elif channels != found:
        raise ValueError(
            f'{path}: has {counted(found, "channel")}, expected the {channels} of --in_channels (channels in the file'
            ' of --data_yaml); correct that number, or take the file out'
        )
    return np.ascontiguousarray(values)


def _values(path) -> np.ndarray:
    """The values of a file (H, W, C) in their own type, as viewers show it."""
    data = read_bytes(path)
    fault = problem(data)
    if fault is not None:
        raise unreadable(path, fault)
    form = format_of(data)
    if form == TIFF and tiff_shape(data)[2] > _MOST_OF_OPENCV:
        values = _by_tifffile(data, path)
    elif form == PNG and data[25:26] == bytes([_PNG_PALETTE]):  # OpenCV loses its transparency or keeps it, by version
        with opened(data) as image:
            values = np.array(image.convert('RGB'))
    else:
        values = _by_opencv(data, path)
    return shown(values if values.ndim == 3 else values[..., None], orientation_of(data))


def _by_opencv(data: bytes, path) -> np.ndarray:
    """A file of up to four channels, or a TIFF with a page for each channel."""
    pages, lines = (), []
    with suppress(cv2.error):
        flags = cv2.IMREAD_UNCHANGED
        array = np.frombuffer(data, np.uint8)
        if format_of(data) == TIFF:
            (_, pages), lines = caught(cv2.imdecodemulti, array, flags)
        else:
            image, lines = caught(cv2.imdecode, array, flags)
            pages = () if image is None else (image,)
    if not pages:
        raise unreadable(path, f'{UNDECODABLE} ({lines[0]})' if lines else UNDECODABLE)
    tell(path, lines)
    if len(pages) > 1 and len({page.shape for page in pages}) == 1 and pages[0].ndim == 2:
        return np.dstack(pages)
    first = pages[0]
    if first.ndim == 2:
        return first
    order = [2, 1, 0, 3][: first.shape[2]] if first.shape[2] >= RGB else slice(None)
    return first[..., order]  # OpenCV has blue first


def _by_tifffile(data: bytes, path) -> np.ndarray:
    try:
        import tifffile
    except ImportError:
        raise ValueError(
            f'{path}: is a TIFF of {tiff_shape(data)[2]} channels, for more than {_MOST_OF_OPENCV} the package tifffile'
            ' is needed, which is not installed; pip install -r requirements-extras.txt'
        ) from None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            values, axes = series.asarray(), series.axes
    except Exception as error:  # of many kinds, about compressions too
        raise unreadable(path, f'{UNDECODABLE} ({error})') from None
    if values.ndim != RGB or not {'Y', 'X'} <= set(axes):
        raise unreadable(path, f'is a TIFF of the axes {axes} {values.shape}, expected rows, columns and channels')
    return np.moveaxis(values, (axes.index('Y'), axes.index('X')), (0, 1))


def _as_bytes(values: np.ndarray, value_range, path) -> np.ndarray:
    if value_range is not None:
        low, high = value_range
        scaled = (values.astype(np.float32) - low) * (255 / (high - low))
        if not np.isfinite(scaled).all():
            raise ValueError(f'{path}: holds values that are no numbers; replace them by one of --value_range')
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if values.dtype != np.uint8:
        raise ValueError(
            f'{path}: holds {values.dtype} values, images have 8 or 16 bits; give --value_range LOW,HIGH (range in the'
            ' file of --data_yaml), the values that become black and white'
        )
    return values
