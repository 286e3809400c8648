"""WildDash 2 (Zendel et al., CVPR 2022): panoptic annotation to ids of Cityscapes and to trainIds.

Every segment becomes the Cityscapes id of its category, by the unified label policy of the authors; pixels without a
segment become 0, unlabeled. When random_split/training.txt and validation.txt do not come with the download, every
image whose name has a SHA-256 divisible by five is put into validation.
"""

import hashlib
from pathlib import PurePath

from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.layout import first_folder
from datasets.collection.tables import read_table
from datasets.collection.wilddash import WildDash
from datasets.prepare.convert import (
    CITYSCAPES_PALETTE,
    CODES,
    IGNORE,
    codes_of,
    label_png,
    look_up_codes,
    read_json,
)
from datasets.prepare.converter import Converter, Job

WHAT = 'the panoptic annotation of WildDash 2 (images, annotations with segments_info)'
VALIDATION_SHARE = 5  # one image out of so many
IDS, TRAINIDS = 'semantic_cs', 'semantic_csTrain'


def plan(base, args, made):
    """Jobs for semantic_cs/*_labelIds.png, semantic_csTrain/*_labelIds.png and, if they are missing,
    random_split/*.txt."""
    path = base / 'panoptic.json'
    if not path.is_file():
        raise FileNotFoundError(f'{path}: is missing, it holds the annotation; unpack wd_public_v2p0.zip there')
    to_id = {row['id']: row['cityscapes_id'] for row in read_table('wilddash')}
    to_trainid = {category: CLASSES.id_map[raw] for category, raw in to_id.items()}
    masks = first_folder(base, ['panoptic'], 'masks')
    jobs, stems = [], []
    for stem, mask, segments in read_annotations(path):
        stems.append(stem)
        unknown = tuple(sorted({category for _, category in segments} - to_id.keys()))
        for folder, mapping, default, palette in (
            (IDS, to_id, 0, None),
            (TRAINIDS, to_trainid, IGNORE, CITYSCAPES_PALETTE),
        ):
            values = tuple((segment, mapping.get(category, default)) for segment, category in segments)
            jobs.append(
                Job(
                    base / folder / f'{stem}_labelIds.png',
                    (masks / mask,),
                    convert,
                    (values, default, unknown, palette),
                )
            )
    return jobs + split_jobs(base, tuple(sorted(stems)), made)


def read_annotations(path):
    """[(stem of the image, path of the mask, ((segment id, category), ...)), ...] of a COCO panoptic file."""
    content = read_json(path, WHAT)
    try:
        names = {image['id']: image['file_name'] for image in content['images']}
        return [
            (
                PurePath(names[annotation['image_id']]).stem,
                PurePath(annotation['file_name']),
                tuple((int(segment['id']), int(segment['category_id'])) for segment in annotation['segments_info']),
            )
            for annotation in content['annotations']
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f'{path}: is not {WHAT}: {type(error).__name__} {error}; unpack wd_public_v2p0.zip again'
        ) from None


def convert(sources, values, default, unknown, palette) -> tuple:
    """(PNG, notes): the mask sources[0] with every segment id replaced.

    Args:
        values: ((segment id, value), ...).
        default: the value of the other pixels.
        unknown: categories without a value, for the notes.
        palette: of the PNG.
    """
    impossible = [segment for segment, _ in values if not 0 <= segment < CODES]
    if impossible:
        raise ValueError(
            f'{sources[0]}: panoptic.json gives it the segment {impossible[0]}, but colours stand for 0 to {CODES - 1};'
            ' unpack wd_public_v2p0.zip again'
        )
    label = look_up_codes(codes_of(sources[0]), dict(values), default)
    notes = tuple(f'category {category} is in no table and became {default}' for category in unknown)
    return label_png(label, palette), notes


def split_jobs(base, stems, made):
    """Jobs for random_split/{training,validation}.txt; none when they come with the download."""
    folder = base / 'random_split'
    validation = tuple(
        stem for stem in stems if int(hashlib.sha256(stem.encode()).hexdigest(), 16) % VALIDATION_SHARE == 0
    )
    lists = {'validation': validation, 'training': tuple(sorted(set(stems) - set(validation)))}
    files = {name: folder / f'{name}.txt' for name in lists}
    return [
        Job(file, (), write_list, (lists[name],)) for name, file in files.items() if made(file) or not file.exists()
    ]


def write_list(sources, stems) -> tuple:
    """One name a line."""
    return ''.join(f'{stem}\n' for stem in stems).encode(), ()


CONVERTER = Converter(
    'wilddash',
    'WildDash 2: panoptic annotation to the 19 classes of Cityscapes',
    __doc__,
    WildDash,
    markers=('panoptic',),
    remedy='unpack wd_public_v2p0.zip there (panoptic.json, panoptic, images, random_split)',
    plan=plan,
)
