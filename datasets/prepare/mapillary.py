"""Mapillary Vistas 1.2 (Neuhold et al., ICCV 2017): 66 classes to the 19 of Cityscapes, and config_cityscapes.json.

Loosely after The Fishyscapes Benchmark (arXiv 1904.03215). Service lane, curb, manhole, street light and the backs of
traffic signs become void. Vistas 2.0 brings the labels of 1.2 with it, in folders v1.2; these are taken too.
"""

import json

from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.layout import first_folder, list_files
from datasets.collection.mapillary import MapillaryCityLabel
from datasets.collection.tables import read_table
from datasets.prepare.convert import IGNORE, id_table, map_label, read_json
from datasets.prepare.converter import Converter, Job

SPLITS = ('training', 'validation')
CONFIGS = ('config.json', 'config_v1.2.json')
LABELS = ('labels', 'v1.2/labels')
# Of the Vistas classes that merge, the one whose colour the merged class gets; the colours are those of Cityscapes
# then.
COLOUR_FROM = {255: 65, 0: 13, 1: 15, 4: 3, 5: 45, 7: 50, 9: 29, 12: 20}


def plan(base, args, made):
    """Jobs for config_cityscapes.json and {training,validation}/labels_cityscapes/*.png."""
    path, config = read_config(base)
    classes = cityscapes_classes(config)
    palette = bytearray(768)
    for entry in classes:
        palette[3 * entry['id'] : 3 * entry['id'] + 3] = bytes(entry['color'])
    table = id_table({row['id']: row['trainid'] for row in read_table('mapillary')})
    jobs = [Job(base / 'config_cityscapes.json', (path,), make_config)]
    for split in SPLITS:
        for file in list_files(first_folder(base / split, LABELS, f'labels of {split}'), ['.png']):
            jobs.append(
                Job(base / split / 'labels_cityscapes' / file.name, (file,), map_label, (table, bytes(palette)))
            )
    return jobs


def read_config(base):
    """(path, content) of the first config that lists the 66 classes of Vistas 1.2 in their order."""
    path = next((base / name for name in CONFIGS if (base / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f'{base / CONFIGS[0]}: is missing, it names the classes; unpack it from the archive of Mapillary Vistas 1.2'
        )
    config = read_json(path, 'the config.json of Mapillary Vistas 1.2')
    known = [row['name'] for row in read_table('mapillary')]
    try:
        names = [label['name'] for label in config['labels']]
        complete = all(len(label['color']) == 3 for label in config['labels'])
    except (KeyError, TypeError):
        names, complete = [], False
    if names != known or not complete:
        found = next(
            (
                f'class {index} is {name!r} instead of {wanted!r}'
                for index, (name, wanted) in enumerate(zip(names, known))
                if name != wanted
            ),
            f'{len(names)} classes instead of {len(known)}',
        )
        raise ValueError(
            f'{path}: is not the config of Mapillary Vistas 1.2 ({found}); only the classes of version 1.2 can be'
            ' mapped'
        )
    return path, config


def cityscapes_classes(config) -> list:
    """The entries of `cityscapes_labels`, in the order in which the classes first appear among those of Vistas; the id
    is the trainId."""
    classes = {}
    for row, label in zip(read_table('mapillary'), config['labels']):
        trainid = row['trainid']
        if trainid not in classes:
            name = 'void' if trainid == IGNORE else CLASSES.names[trainid]
            color = config['labels'][COLOUR_FROM[trainid]]['color'] if trainid in COLOUR_FROM else label['color']
            classes[trainid] = {
                'color': color,
                'id': trainid,
                'instances': False,
                'readable': name.capitalize(),
                'name': name,
                'evaluate': True,
            }
    return list(classes.values())


def make_config(sources) -> tuple:
    """The whole config with cityscapes_labels added."""
    config = read_json(sources[0], 'the config.json of Mapillary Vistas 1.2')
    return json.dumps({**config, 'cityscapes_labels': cityscapes_classes(config)}, indent=4).encode(), ()


CONVERTER = Converter(
    'mapillary',
    'Mapillary Vistas 1.2: labels to the 19 classes of Cityscapes (dataset mapillary_citylabel)',
    __doc__,
    MapillaryCityLabel,
    markers=SPLITS,
    remedy='unpack Mapillary Vistas 1.2 there (config.json, training, validation)',
    plan=plan,
    aliases=(MapillaryCityLabel.name,),
)
