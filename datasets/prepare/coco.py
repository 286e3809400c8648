"""COCO (Lin et al., ECCV 2014, arXiv 1405.0312): JSON files of instances with polygons or run-length masks.

COCO has no order of instances. They are drawn in the order of the file, later over earlier, as the COCO-Stuff API
does, or with --order area by falling area, so that small ones lie above large ones. The polygons of an instance are
filled together, as pycocotools does: one inside another is no hole; a hole needs a run-length mask. Crowds (iscrowd)
are void and lie below all others. Instances with a box alone are left out.
"""

import re

from datasets.prepare.convert import read_json
from datasets.prepare.drawing.annotated import VOID, Annotated, split_named, whole
from datasets.prepare.drawing.label import POLYGONS, RUNS
from datasets.prepare.drawing.tool import Tool

WHAT = 'a file of instances in the format of COCO'


def add_flags(parser):
    parser.add_argument(
        '--order',
        choices=('file', 'area'),
        default='file',
        help='instances are drawn in the order of the file, or small ones above large ones',
    )


def read(root, out, args):
    """The Annotated photos of every JSON file of COCO below `root`."""
    found, names = Annotated(root, out), {}
    for source in found.files('.json'):
        content = read_json(source, WHAT)
        if not isinstance(content, dict) or not {'images', 'annotations', 'categories'} <= content.keys():
            found.notes['JSON files without images, annotations and categories, left out'] += 1
            continue
        with whole(source, WHAT):
            categories = {entry['id']: str(entry['name']) for entry in content['categories']}
            names.update(dict.fromkeys(name for _, name in sorted(categories.items())))
            by_image = _by_image(content)
            split = split_named(re.findall('[a-z]+', source.stem.lower()))  # as in instances_val2017.json
            for image in content['images']:
                size = int(image['height']), int(image['width'])
                photo = found.photo(str(image['file_name']), source, size, split)
                if photo is not None:
                    photo.shapes = _shapes(found, by_image[image['id']], categories, args.order)
    found.names = list(names)
    return found


def _by_image(content) -> dict:
    by_image: dict = {image['id']: [] for image in content['images']}
    if len(by_image) < len(content['images']):
        raise ValueError('two images have the same id')
    for entry in content['annotations']:
        by_image[entry['image_id']].append(entry)
    return by_image


def _shapes(found, entries, categories, order) -> list:
    crowds = [entry for entry in entries if entry.get('iscrowd')]
    others = [entry for entry in entries if not entry.get('iscrowd')]
    if order == 'area':
        others.sort(key=lambda entry: -float(entry['area']))
    if crowds:
        found.notes['crowds, which became void where no instance lies above them'] += len(crowds)
    named = [(VOID, entry) for entry in crowds] + [(categories[entry['category_id']], entry) for entry in others]
    shapes = [(name, _area(found, entry.get('segmentation'))) for name, entry in named]
    return [(name, *area) for name, area in shapes if area is not None]


def _area(found, segmentation):
    """(kind, data) of a segmentation; None, noted, without one."""
    if not segmentation:
        found.notes['instances with a box alone, left out'] += 1
        return None
    if isinstance(segmentation, dict):
        (height, width), lengths = segmentation['size'], segmentation['counts']
        return RUNS, ((int(height), int(width)), lengths if isinstance(lengths, str) else tuple(map(int, lengths)))
    outlines = [found.outline('', zip(part[::2], part[1::2], strict=True)) for part in segmentation]
    data = tuple(outline[2][0] for outline in outlines if outline is not None)
    return (POLYGONS, data) if data else None


TOOL = Tool('coco', 'COCO: instances with polygons or run-length masks to label maps', __doc__, read, add_flags)
