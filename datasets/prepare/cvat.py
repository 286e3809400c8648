"""CVAT (Sekachev et al.): annotations.xml of the export "CVAT for images 1.1".

Shapes are drawn by rising z_order, and within one in the order of the file, later over earlier. Polygons, boxes and
ellipses, also turned ones, and masks are drawn; polylines, points, skeletons and cuboids have no area and are left out.
The classes and their colours are those of the task. A label called background is the ground.
"""

from xml.etree import ElementTree

from datasets.prepare.drawing.annotated import Annotated, split_named, whole
from datasets.prepare.drawing.label import BOX_RUNS
from datasets.prepare.drawing.tool import Tool
from utils.files.limits import TEXT_BYTES, check_bytes

WHAT = 'an export "CVAT for images 1.1"'


class _NoEntities(ElementTree.TreeBuilder):
    """Refuses a document type, in which entities could stand that multiply."""

    def doctype(self, name, pubid, system):
        raise ValueError('it has a document type, which no export of CVAT has')


def read(root, out, args):
    """The Annotated photos of every XML file of CVAT below `root`."""
    found, colors = Annotated(root, out), {}
    for source in found.files('.xml'):
        tree = _parse(source)
        if tree.tag != 'annotations':
            found.notes['XML files that are no exports of CVAT, left out'] += 1
            continue
        if tree.find('track') is not None:
            raise ValueError(f'{source}: is an export "CVAT for video"; export the task as "CVAT for images 1.1"')
        with whole(source, WHAT):
            colors.update(_labels(tree))
            for image in tree.iterfind('image'):
                size = int(image.attrib['height']), int(image.attrib['width'])
                split = split_named([image.get('subset', '')])
                photo = found.photo(image.attrib['name'], source, size, split)
                if photo is not None:
                    photo.shapes = _shapes(found, image)
    found.names = list(colors) or None
    found.colors = {name: color for name, color in colors.items() if color}
    return found


def _parse(source):
    try:
        check_bytes(source.stat().st_size, 'the file', TEXT_BYTES)
        return ElementTree.fromstring(source.read_bytes(), ElementTree.XMLParser(target=_NoEntities()))
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f'{source}: is no whole XML file ({error}), but should be {WHAT}; export it again') from None


def _labels(tree) -> dict:
    """{name: colour or None} of the labels of the task."""
    labels = {}
    for label in tree.iterfind('meta//labels/label'):
        if label.find('parent') is None:  # the parts of a skeleton have one
            color = bytes.fromhex((label.findtext('color') or '').lstrip('#'))
            labels[label.findtext('name')] = tuple(color) if len(color) == 3 else None
    return labels


def _shapes(found, image) -> list:
    entries = sorted((entry for entry in image if entry.tag != 'tag'), key=lambda entry: int(entry.get('z_order') or 0))
    return [shape for entry in entries if (shape := _shape(found, entry))]


def _shape(found, entry):
    name, angle = entry.attrib['label'], float(entry.get('rotation') or 0)
    if entry.tag == 'polygon':
        return found.outline(name, [pair.split(',') for pair in entry.attrib['points'].split(';')])
    if entry.tag == 'box':
        return found.box(name, *(entry.attrib[side] for side in ('xtl', 'ytl', 'xbr', 'ybr')), angle)
    if entry.tag == 'ellipse':
        return found.ellipse(name, *(float(entry.attrib[key]) for key in ('cx', 'cy', 'rx', 'ry')), angle)
    if entry.tag == 'mask':
        top, left, height, width = (int(entry.attrib[key]) for key in ('top', 'left', 'height', 'width'))
        return name, BOX_RUNS, (top, left, (height, width), tuple(map(int, entry.attrib['rle'].split(','))))
    return found.without_area(entry.tag)


TOOL = Tool('cvat', 'CVAT: the XML file of "CVAT for images" to label maps', __doc__, read)
