"""One picture of many samples, each with its name and a line about it, and the colours of the classes below."""

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, COLUMNS = 420, 12, 4  # pixels of a picture's side, between pictures; pictures in a row
LINE, SWATCH = 17, 14  # pixels of a line of text, of a colour
_GROUND, _INK, _SOFT = (255, 255, 255), (27, 31, 38), (93, 102, 114)


def contact_sheet(title: str, cells: list, class_names, palette) -> Image.Image:
    """cells: (PIL picture with sides of at most CELL, name, line about it)."""
    columns = min(COLUMNS, len(cells))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(picture.height for picture, _, _ in row) + 2 * LINE + GAP for row in rows]
    width = max(columns * (CELL + GAP) + GAP, 2 * CELL)
    font, large = ImageFont.load_default(12), ImageFont.load_default(18)
    entries = _legend_places(class_names, width, font)
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
    for (left, line), name, colour in zip(entries, class_names, palette):
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
