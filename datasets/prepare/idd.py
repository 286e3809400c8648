"""India Driving Dataset (Varma et al., WACV 2019, arXiv 1811.10200), parts I and II: polygons to label maps beside
them."""

from datasets.collection.idd import IDD
from datasets.collection.layout import walk_files
from datasets.collection.tables import read_table
from datasets.prepare.convert import draw_polygons, label_png
from datasets.prepare.converter import Converter, Job

ID_TYPES = ('csTrainId', 'csId', 'id', 'level1Id', 'level2Id', 'level3Id', 'level4Id')
POLYGONS = '_polygons.json'


def add_flags(parser):
    parser.add_argument(
        '--id_type',
        choices=ID_TYPES,
        default=ID_TYPES[0],
        metavar='TYPE',
        help=f'encoding of the ids, one of {", ".join(ID_TYPES)}; {ID_TYPES[0]}: the 19 classes that train.py reads',
    )


def plan(base, args, made):
    """Jobs for gtFine/<split>/<drive>/<frame>_gtFine_label<id type>s.png."""
    ids = {row['name']: row[args.id_type] for row in read_table('idd')}
    files = walk_files(base / 'gtFine', [POLYGONS])
    return [
        Job(
            file.with_name(f'{file.name[: -len(POLYGONS)]}_label{args.id_type}s.png'),
            (file,),
            convert,
            (tuple(ids.items()),),
        )
        for file in files
    ]


def convert(sources, ids) -> tuple:
    """The polygons of sources[0], drawn with `ids` ((name, id), ...) on unlabeled ground."""
    ids = dict(ids)
    label, notes = draw_polygons(sources[0], ids, background=ids['unlabeled'])
    return label_png(label, None), notes


CONVERTER = Converter(
    'idd',
    'IDD Segmentation: polygons to label maps',
    __doc__,
    IDD,
    markers=('gtFine',),
    remedy='unpack IDD Segmentation there (leftImg8bit, gtFine)',
    plan=plan,
    add_flags=add_flags,
)
