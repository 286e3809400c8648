"""Pascal VOC (Everingham et al., IJCV 2010): SegmentationClass/*.png beside JPEGImages, void 255.

Exports of labelme and CVAT have this form too: palette PNGs, or coloured ones with a labelmap.txt of names and colours.
Masks are taken over with the ids 0, background, and 1, 2, ...; what no class has becomes void. The splits are those of
ImageSets/Segmentation. Without --classes and labelmap.txt the classes are the 20 of VOC.
"""

from datasets.custom.classes import voc_color
from datasets.prepare.drawing.annotated import BACKGROUND, GROUND_NAMES, VOID, Annotated, split_named
from datasets.prepare.drawing.label import shows_colours
from datasets.prepare.drawing.tool import Tool, read_names

CLASSES = (
    'aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,sheep,'
    'sofa,train,tvmonitor'
).split(',')
MASKS = 'SegmentationClass'
NO_PHOTOS = {MASKS, 'SegmentationObject', 'SegmentationClassVisualization', 'SegmentationObjectVisualization'}
VOID_ID, VOID_COLOUR = 255, (224, 224, 192)


def read(root, out, args):
    """The Annotated photos of every mask below `root`."""
    found = Annotated(root, out, lambda path: not NO_PHOTOS & set(path.parts))
    masks = [path for path in found.files('.png') if path.parent.name == MASKS]
    if not masks:
        raise FileNotFoundError(f'{root}: has no folder {MASKS} with PNG files; unpack the export there')
    tables = found.files('labelmap.txt')
    if tables:
        found.colors = _labelmap(tables[0])
        names = list(found.colors)
    else:
        names = [name for name in read_names(args.classes) if name not in GROUND_NAMES] if args.classes else CLASSES
        found.colors = {name: voc_color(number) for number, name in enumerate(names, 1)}
    found.names, found.by_colour = names, bool(tables) or shows_colours(masks[0])
    if found.by_colour:
        colours = {(0, 0, 0): BACKGROUND, VOID_COLOUR: VOID} | {rgb: name for name, rgb in found.colors.items()}
        found.keys = {red + 256 * green + 65536 * blue: name for (red, green, blue), name in colours.items()}
    else:
        found.keys = {0: BACKGROUND, VOID_ID: VOID, **dict(enumerate(names, 1))}
    splits = _splits(found)
    for mask in masks:
        photo = found.photo(mask.stem, mask, split=splits.get(mask.stem))
        if photo is not None:
            photo.mask = mask
    return found


def _labelmap(path) -> dict:
    """{name: colour} of lines such as `road:128,64,128::`."""
    colors = {}
    for line in path.read_text(encoding='utf-8-sig').splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        name, _, rest = line.partition(':')
        try:
            colors[name.strip()] = red, green, blue = tuple(int(value) for value in rest.split(':')[0].split(','))
            bytes((red, green, blue))
        except ValueError:
            raise ValueError(f'{path}: {line!r} is not name:red,green,blue::; export it again') from None
    return colors


def _splits(found) -> dict:
    """{stem: split} of the lists in ImageSets/Segmentation."""
    splits = {}
    for path in found.files('.txt'):
        split = split_named([path.stem])
        if split and path.parent.name == 'Segmentation':
            for line in path.read_text(encoding='utf-8', errors='replace').split():
                splits[line.rpartition('/')[2]] = split
    return splits


TOOL = Tool('voc', 'Pascal VOC: SegmentationClass masks, also of labelme and CVAT, to label maps', __doc__, read)
