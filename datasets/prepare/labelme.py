"""Labelme (Wada et al.): a JSON file for each photo, with polygons, rectangles, circles and masks.

Shapes are drawn in the order of the file, later over earlier, as labelme's own export does. Lines and points, which it
would draw 10 pixels wide, are left out. The class __ignore__ is void, _background_ the ground. A photo that is missing
but embedded in its JSON file (imageData) is written to `images` below --out.
"""

import base64
import math

from datasets.loading.formats import BMP, JPEG, PNG, TIFF, WEBP, format_of
from datasets.prepare.convert import read_json
from datasets.prepare.converter import Job
from datasets.prepare.drawing.annotated import VOID, Annotated, Photo, whole
from datasets.prepare.drawing.label import PICTURE
from datasets.prepare.drawing.tool import Tool

WHAT = 'an annotation of labelme'
ENDINGS = {PNG: '.png', JPEG: '.jpg', TIFF: '.tif', BMP: '.bmp', WEBP: '.webp'}


def read(root, out, args):
    """The Annotated photos of every JSON file of labelme below `root`."""
    found = Annotated(root, out)
    for source in found.files('.json'):
        content = read_json(source, WHAT)
        if not isinstance(content, dict) or not isinstance(content.get('shapes'), list):
            found.notes['JSON files that are no annotations of labelme (without shapes), left out'] += 1
            continue
        with whole(source, WHAT):
            photo = _photo(found, source, content)
            if photo is not None:
                photo.shapes = [shape for entry in content['shapes'] if (shape := read_shape(found, entry))]
    return found


def _photo(found, source, content):
    height, width = content.get('imageHeight'), content.get('imageWidth')
    size = (int(height), int(width)) if height and width else None
    name = str(content.get('imagePath') or source.stem)
    if not content.get('imageData') or found.find(name, source) is not None:
        return found.photo(name, source, size)
    if found.root not in found.out.parents:
        raise ValueError(
            f'{source}: the photo is embedded and is written below --out; give an --out below {found.root}'
        )
    ending = ENDINGS.get(format_of(base64.b64decode(content['imageData'][:64])), '.png')
    path = found.out / 'images' / source.relative_to(found.root).with_suffix(ending)
    photo = Photo(path, path.relative_to(found.root).as_posix(), source, size)
    photo.extraction = Job(path, (source,), extract)
    return found.add(photo)


def extract(sources) -> tuple:
    """The bytes of the photo that is embedded in the annotation sources[0]."""
    data = read_json(sources[0], WHAT)['imageData']
    try:
        photo = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise ValueError(f'{sources[0]}: its imageData is damaged ({error}); put the photo beside it') from None
    if format_of(photo) is None:
        raise ValueError(f'{sources[0]}: its imageData is no image; put the photo beside it')
    return photo, ('the photo is missing, and is taken from its annotation',)


def read_shape(found, entry):
    """(class name, kind, data) of one shape; None, noted, for one without an area."""
    name, points, kind = str(entry['label']), entry['points'], entry.get('shape_type') or 'polygon'
    if name == VOID:
        found.notes[f'shapes of the class {VOID}, which are void'] += 1
    if kind in ('polygon', 'oriented_rectangle') or kind == 'rectangle' and len(points) == 4:
        return found.outline(name, points)
    if kind == 'rectangle':
        (left, top), (right, bottom) = points
        return found.box(name, left, top, right, bottom)
    if kind == 'circle':
        centre, rim = points
        radius = math.dist(centre, rim)
        return found.ellipse(name, *centre, radius, radius)
    if kind == 'mask':
        (left, top), _ = points
        return name, PICTURE, (round(top), round(left), base64.b64decode(entry['mask']))
    return found.without_area(kind)


TOOL = Tool('labelme', 'labelme: JSON files of polygons and masks to label maps', __doc__, read)
