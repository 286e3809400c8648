"""Label conversions that converters share: look-up of ids and colours, polygons, and PNGs with a palette."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from datasets.collection.cityscapes_labels import CLASSES
from datasets.labels import colour_codes
from datasets.loading.reading import read_image, read_label
from utils.classes import lookup_table
from utils.files.images import encode_png
from utils.files.limits import parse_json
from utils.outputs.pictures import palette_image

IGNORE = 255
UNKNOWN = 254  # stands in tables for the ids that they do not hold
CITYSCAPES_PALETTE = CLASSES.colors.tobytes()
CODES = 1 << 24  # colours that there are, see colour_codes
MOST_PIXELS = 1 << 28  # of a label that is drawn; a wrong size in an annotation would fill the memory


def id_table(id_map: dict) -> bytes:
    """256 bytes: id_map as a table, UNKNOWN for the ids it does not hold."""
    return lookup_table(id_map, UNKNOWN).tobytes()


def map_label(sources, table: bytes, palette: bytes | None) -> tuple:
    """The label map sources[0] with every id replaced by `table` (see id_table), as a PNG."""
    label, notes = look_up(read_label(sources[0]), table)
    return label_png(label, palette), notes


def look_up(raw: np.ndarray, table: bytes):
    """(`raw` uint8 (H, W) mapped by `table`, notes about the ids it does not hold, which become IGNORE)."""
    label = cv2.LUT(raw, np.frombuffer(table, np.uint8))
    outside = label == UNKNOWN
    if not outside.any():
        return label, ()
    label[outside] = IGNORE
    return label, tuple(f'id {value} is in no table and became {IGNORE} (void)' for value in np.unique(raw[outside]))


def label_png(label: np.ndarray, palette: bytes | None) -> bytes:
    """The PNG of a label map uint8 (H, W): indices into `palette` (3 bytes a colour), or grey values without one."""
    return encode_png(
        label if palette is None else palette_image(label, np.frombuffer(palette, np.uint8).reshape(-1, 3))
    )


def codes_of(path) -> np.ndarray:
    """The colour_codes of an image file, uint32 (H, W)."""
    return colour_codes(read_image(path))


def look_up_codes(codes: np.ndarray, value_of: dict, default: int) -> np.ndarray:
    """uint8 (H, W): value_of[code], 0 <= code < CODES, of every pixel, `default` for codes it does not hold.

    One table of 16 MiB, of which the system hands out only the pages that are touched: values are stored as the
    difference from the default, so that what is never written is right.
    """
    table = np.zeros(CODES, np.uint8)
    table[list(value_of)] = np.array(list(value_of.values()), np.uint8) ^ np.uint8(default)
    return table[codes] ^ np.uint8(default)


def copy_file(sources) -> tuple:
    """The bytes of sources[0]."""
    return sources[0].read_bytes(), ()


def read_json(path, what: str):
    """The content of a JSON file; ValueError naming it and `what` it should be when it is none."""
    try:
        return parse_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{path}: is no whole JSON file ({error}), but should be {what}; unpack or download it again'
        ) from None


def draw_polygons(path, id_of: dict, background: int):
    """(ids uint8 (H, W), notes) of an annotation of polygons, in the format of Cityscapes and IDD.

    Polygons are drawn in the order of the file. Left out are deleted ones, those of fewer than three points, and labels
    with a negative id. A label "xgroup" that is not known is drawn as "x"; other unknown labels are left out and noted.
    """
    annotation = read_json(path, 'an annotation of polygons')
    notes = []
    try:
        width, height = annotation['imgWidth'], annotation['imgHeight']
        if not 0 < width * height <= MOST_PIXELS:
            raise ValueError(f'{width}x{height} pixels, possible are 1 to {MOST_PIXELS}')
        image = Image.new('L', (width, height), background)
        draw = ImageDraw.Draw(image)
        for entry in annotation['objects']:
            if entry.get('deleted'):
                continue
            name = entry['label']
            if name not in id_of and name.endswith('group'):
                name = name[: -len('group')]
            if name not in id_of:
                notes.append(f'polygons with the unknown label {name!r} were left out')
            elif len(entry['polygon']) >= 3 and id_of[name] >= 0:
                draw.polygon([tuple(point) for point in entry['polygon']], fill=id_of[name])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f'{path}: is no annotation of polygons ({type(error).__name__}: {error}; expected imgWidth, imgHeight and'
            ' objects with label and polygon); unpack or download it again'
        ) from None
    return np.array(image), tuple(dict.fromkeys(notes))
