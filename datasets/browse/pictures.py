"""Pictures of samples: the image with its label's colours over it, and a contact sheet of many."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.classes import Classes
from utils.outputs.pictures import composite, palette_image

SIDE = 640  # pixels of the longer side
CELL, GAP, COLUMNS = 420, 12, 4  # pixels of a picture's side, between pictures; pictures in a row
LINE, SWATCH = 17, 14  # pixels of a line of text, of a colour
_GROUND, _INK, _SOFT = (255, 255, 255), (27, 31, 38), (93, 102, 114)


def fitted(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """An image uint8 (H, W, 3), or a label (H, W) by nearest neighbours, with a longer side of at most `side` pixels.

    Small ones are enlarged by a whole number, so that their pixels can be seen.
    """
    factor = side / max(image.shape[:2])
    factor = int(factor) if factor >= 1 else factor
    size = tuple(max(1, round(length * factor)) for length in image.shape[1::-1])
    return cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if image.ndim == 3 and factor < 1 else cv2.INTER_NEAREST
    )


def overlay(image: np.ndarray, label: np.ndarray, palette: np.ndarray, side: int = SIDE) -> Image.Image:
    """The image (H, W, 3), fitted, with the colours of its label (H, W) of trainIds over it; ignored pixels become
    darker."""
    return composite(np.ascontiguousarray(fitted(image, side)), palette_image(fitted(label, side), palette))


def contact_sheet(title: str, cells: list, classes: Classes) -> Image.Image:
    """One picture of many samples and, below, the colours of the classes.

    cells: (Pillow picture with sides of at most CELL, name, line about it) of each sample.
    """
    columns = min(COLUMNS, len(cells))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(picture.height for picture, _, _ in row) + 2 * LINE + GAP for row in rows]
    width = max(columns * (CELL + GAP) + GAP, 2 * CELL)
    font, large = ImageFont.load_default(12), ImageFont.load_default(18)
    entries = _legend_places(classes.names, width, font)
    top = GAP + 2 * LINE
    legend_top = top + sum(heights) + GAP
    sheet = Image.new('RGB', (width, legend_top + (entries[-1][1] + 2) * LINE + GAP), _GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, _INK, large)
    for row, height in zip(rows, heights):
        for column, (picture, name, about) in enumerate(row):
            left = GAP + column * (CELL + GAP)
            sheet.paste(picture, (left, top))
            draw.text((left, top + picture.height + 2), _fitting(name, font), _INK, font)
            draw.text((left, top + picture.height + 2 + LINE), _fitting(about, font), _SOFT, font)
        top += height
    for (left, line), name, colour in zip(entries, classes.names, classes.colors):
        y = legend_top + line * LINE
        draw.rectangle((left, y, left + SWATCH, y + SWATCH - 2), tuple(map(int, colour)), _SOFT)
        draw.text((left + SWATCH + 5, y - 1), name, _INK, font)
    return sheet


def _legend_places(class_names, width, font):
    """(left, line) of each class: side by side as long as there is room."""
    places, left, line = [], GAP, 0
    for name in class_names:
        needed = SWATCH + 5 + int(font.getlength(name)) + 2 * GAP
        if left > GAP and left + needed > width:
            left, line = GAP, line + 1
        places.append((left, line))
        left += needed
    return places


def _fitting(text: str, font) -> str:
    """The text, or its end where it is wider than a picture: names differ at their end."""
    if font.getlength(text) <= CELL:
        return text
    while font.getlength('...' + text) > CELL:
        text = text[1:]
    return '...' + text
