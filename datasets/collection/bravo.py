"""BRAVO challenge (Vu et al., 2024, arXiv 2409.15107): images whose labels are not public."""

from datasets.base import registered
from datasets.collection.paired import PairedTrainIds


@registered
class Bravo(PairedTrainIds):
    """Every PNG and JPEG image below the folder of the challenge, which has one folder for each of its subsets.

    Images are named relative to that folder, so that dumps lie as the benchmark wants them.
    """

    name = 'bravo'
    splits = ('val',)
    labelled_splits = ()
    directory_key = 'BRAVO_DIR'
    other_directories = ('bravo', 'BRAVO', '')
    remedy = (
        'unpack the archives of https://github.com/valeoai/bravo_challenge below ROOT/bravo_1.0 and give'
        ' --override_dataset_root ROOT'
    )
    markers = ('bravo_ACDC', 'bravo_SMIYC', 'bravo_synobjs', 'bravo_outofcontext', 'bravo_synflare', 'bravo_synrain')
    image_endings = ('.png', '.jpg')
