"""PASCAL Context (Mottaghi et al., CVPR 2014): the images of VOC 2010, every pixel labelled, with its 59 most frequent
classes."""

from datasets.base import registered
from datasets.collection.paired import Paired, classes_of, read_lines, with_stems
from datasets.collection.tables import read_table

# background first; the colours are those of ADE20K's first 60 classes, as elsewhere
ROWS = read_table('pascal_context')


@registered
class PascalContext(Paired):
    """4998 train and 5105 val images of at most 500x500 pixels; 59 classes, the background is ignored.

    As VOC 2010 is unpacked, with the labels beside it: JPEGImages/<id>.jpg, ImageSets/Main/{train,val}.txt with one id
    per line, PascalContext59/<id>.png with trainIds 0..58 and 255, which `python -m datasets.prepare pascal_context`
    makes.
    """

    name = 'pascal_context'
    classes = classes_of(ROWS[1:])
    splits = ('train', 'val')
    directory_key = 'PASCAL_CONTEXT_DIR'
    other_directories = ('VOCdevkit/VOC2010', 'VOCtrainval_03-May-2010/VOCdevkit/VOC2010', '')
    remedy = (
        'unpack VOCtrainval_03-May-2010.tar and the trainval.tar.gz of https://cs.stanford.edu/~roozbeh/pascal-context'
        ' below ROOT, run `python -m datasets.prepare pascal_context --root ROOT`, and give --override_dataset_root'
        ' ROOT'
    )
    image_folder = 'JPEGImages'
    label_folders = ('PascalContext59',)

    def _choose(self, images):
        path = self.directory / f'ImageSets/Main/{self.split}.txt'
        return with_stems(images, read_lines(path, self.remedy), path, self.remedy)


@registered
class PascalContext60(PascalContext):
    """The same images with the background as class 0: PascalContext60/<id>.png with trainIds 0..59."""

    name = 'pascal_context_60'
    classes = classes_of(ROWS)
    label_folders = ('PascalContext60',)
