"""ADE20K, SceneParsing (Zhou et al., CVPR 2017): annotations 0..150 to 150 classes 0..149, what is not annotated to
void 255.

train.py does not need them, it maps the annotations itself; other programs do.
"""

from datasets.collection.ade20k import ADE20K
from datasets.collection.layout import list_files
from datasets.prepare.convert import id_table, map_label
from datasets.prepare.converter import Converter, Job

SPLITS = ('training', 'validation')


def plan(base, args, made):
    """Jobs for annotations_150classes/{training,validation}/*.png."""
    arguments = (id_table(ADE20K.classes.id_map), ADE20K.classes.colors.tobytes())
    return [
        Job(base / 'annotations_150classes' / split / file.name, (file,), map_label, arguments)
        for split in SPLITS
        for file in list_files(base / 'annotations' / split, ['.png'])
    ]


CONVERTER = Converter(
    'ade20k',
    'ADE20K: annotations to 150 classes and void',
    __doc__,
    ADE20K,
    markers=('annotations',),
    remedy='unpack ADEChallengeData2016.zip there (images, annotations)',
    plan=plan,
)
