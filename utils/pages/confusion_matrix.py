"""Confusion matrix as a picture: rows are the truth, columns the prediction, each row in percent of its pixels."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.files.images import write_png

CELL, MARGIN, GAP = 46, 18, 8  # pixels
_INK, _SOFT, _LINE, _GROUND = (27, 31, 38), (93, 102, 114), (217, 222, 229), (255, 255, 255)
_RIGHT, _WRONG = (11, 99, 197), (203, 45, 45)  # full colour of the diagonal and of confusions


def confusion_picture(counts, class_names) -> Image.Image:
    """An RGB picture of counts (K, K), truth by prediction. A class without labelled pixels has an empty row."""
    counts = np.asarray(counts, np.float64)
    assert counts.shape == (len(class_names), len(class_names)), counts.shape
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    name_font, cell_font, title_font = (ImageFont.load_default(size) for size in (14, 12, 18))
    names_width = int(max(name_font.getlength(name) for name in class_names)) + GAP
    left, top = MARGIN + names_width, MARGIN + 54 + names_width
    side = CELL * len(class_names)
    width = (
        max(left + side, int(title_font.getlength(_TITLE)) + MARGIN, int(cell_font.getlength(_NOTE)) + MARGIN) + MARGIN
    )
    picture = Image.new('RGB', (width, top + side + MARGIN), _GROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN - 4), _TITLE, _INK, title_font)
    draw.text((MARGIN, MARGIN + 22), _NOTE, _SOFT, cell_font)
    for k, name in enumerate(class_names):
        draw.text((left - GAP, top + (k + 0.5) * CELL), name, _INK, name_font, anchor='rm')
        _paste_upright(picture, name, (left + k * CELL, top - GAP), name_font)
    for row, column in np.ndindex(*shares.shape):
        _cell(draw, (left + column * CELL, top + row * CELL), shares[row, column], row == column, cell_font)
    return picture


_TITLE = 'Confusion matrix'
_NOTE = 'rows: truth, columns: prediction; percent of the pixels of the true class'


def _paste_upright(picture, name, corner, font):
    """Write a column's name upwards, its end at the corner (left edge of the column, bottom)."""
    length = int(font.getlength(name)) + 2
    label = Image.new('RGB', (length, CELL), _GROUND)
    ImageDraw.Draw(label).text((0, CELL // 2), name, _INK, font, anchor='lm')
    picture.paste(label.rotate(90, expand=True), (corner[0], corner[1] - length))


def _cell(draw, corner, share, right, font):
    x, y = corner
    colour = _GROUND if np.isnan(share) else _blend(_RIGHT if right else _WRONG, share if right else share**0.5)
    draw.rectangle((x, y, x + CELL, y + CELL), colour, _LINE)
    if np.isnan(share) or share == 0:
        text, ink = ('-' if np.isnan(share) else ''), _SOFT
    else:
        text = f'{100 * share:.1f}' if share < 0.9995 else '100'
        ink = _GROUND if sum(colour) < 420 else _INK
    draw.text((x + CELL / 2, y + CELL / 2), text, ink, font, anchor='mm')


def _blend(colour, share):
    """From white (0) to colour (1). Confusions get the root of their share, else the many small ones would be
    invisible."""
    return tuple(round(ground + (full - ground) * share) for ground, full in zip(_GROUND, colour))


def write_confusion_matrix(path, counts, class_names):
    """Write the picture of a confusion matrix as PNG."""
    write_png(path, confusion_picture(counts, class_names))
