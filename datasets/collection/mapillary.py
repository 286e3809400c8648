"""Mapillary Vistas (Neuhold et al., ICCV 2017): street scenes from all over the world, versions 1.2 and 2.0."""

from dataclasses import replace

from datasets.base import registered
from datasets.collection.layout import list_files
from datasets.collection.paired import Paired, PairedTrainIds, classes_of, read_file
from datasets.collection.tables import read_table
from utils.classes import categories_of
from utils.files.limits import parse_json

FOLDERS = {'train': 'training', 'val': 'validation', 'test': 'testing'}
REMEDY = 'unpack {} of https://www.mapillary.com/dataset/vistas below ROOT/{} and give --override_dataset_root ROOT'

# what reading something else than a config file raises
NO_CONFIG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def _rows(labels) -> list:
    """Names and colours of the entries of a config file or table; one of NO_CONFIG when they are none."""
    return [{'name': label['readable'].replace(' ', '_'), 'color': label['color']} for label in labels]


def _categories(names) -> dict:
    """The groups that full names such as animal--bird begin with; {} where some have none."""
    parts = [name.partition('--') if isinstance(name, str) else ('', '', '') for name in names]
    return categories_of(first for first, _, _ in parts) if all(dashes for _, dashes, _ in parts) else {}


@registered
class Mapillary(Paired):
    """Version 1.2: 18000 train, 2000 val and 5000 test images of many sizes with 65 classes; test without labels.

    {training,validation,testing}/images/<stem>.jpg, {training,validation}/labels/<stem>.png: the value of a pixel is
    the place of its class in config.json, 65 is unlabeled and ignored. Names and colours are those of config.json. The
    archive of version 2.0 has the same labels in {...}/v1.2/labels, with config_v1.2.json.
    """

    name = 'mapillary'
    classes = classes_of(_rows(read_table('mapillary')[:65]), ignore_label=65, void_id=65)
    categories = _categories(row['name'] for row in read_table('mapillary')[:65])
    directory_key = 'MAPILLARY_DIR'
    other_directories = ('mapillary', 'Mapillary', 'mapillary-vistas-2.0', '')
    remedy = REMEDY.format('version 1.2', 'mapillary-vistas-1.2')
    folder_names = FOLDERS
    image_folder = '{split}/images'
    label_folders = ('{split}/labels', '{split}/v1.2/labels')
    config_files = ('config.json', 'config_v1.2.json')

    def _find_items(self):
        root, items = super()._find_items()
        self._read_config()
        return root, items

    def _read_config(self):
        """Take names and colours from the config file; a note when there is none, ValueError when it is another
        version's."""
        files = [path for path in list_files(self.directory, ['.json']) if path.name in self.config_files]
        if not files:
            self.notes.append(
                f'{self.directory}: has no {self.config_files[0]}; the published names and colours of dataset'
                f' {self.name!r} are used'
            )
            return
        try:
            labels = parse_json(read_file(files[0], self.remedy))['labels']
            found = classes_of(_rows(labels))
        except NO_CONFIG as error:
            raise ValueError(
                f'{files[0]}: is no config file of Mapillary Vistas ({type(error).__name__}: {error}); {self.remedy}'
            ) from error
        expected, count = len(self.classes.id_map), self.num_classes
        if len(found) != expected:
            raise ValueError(
                f'{files[0]}: has {len(found)} labels, but dataset {self.name!r} has {expected}; {self.remedy}'
            )
        self.classes = replace(self.classes, names=found.names[:count], colors=found.colors[:count])
        self.categories = _categories(label.get('name') for label in labels[:count]) or self.categories


@registered
class MapillaryV2(Mapillary):
    """Version 2.0: the same images with 124 classes, labels in {training,validation}/v2.0/labels, config_v2.0.json.

    An output of the network is the place of its class in the config; the last one, 123 unlabeled, is ignored.
    """

    name = 'mapillary_v2'
    categories = {}  # the config file has them
    classes = classes_of(_rows(read_table('mapillary_v2')), id_map={**{entry: entry for entry in range(123)}, 123: 255})
    directory_key = 'MAPILLARY_V2_DIR'
    other_directories = ('mapillary-vistas-v2.0', 'mapillary', 'Mapillary', '')
    remedy = REMEDY.format('version 2.0', 'mapillary-vistas-2.0')
    label_folders = ('{split}/v2.0/labels',)
    config_files = ('config_v2.0.json',)


@registered
class MapillaryCityLabel(PairedTrainIds):
    """The images of version 1.2 with the 19 classes of Cityscapes; test without labels.

    {training,validation,testing}/images/<stem>.jpg, {training,validation}/labels_cityscapes/<stem>.png with trainIds,
    which `python -m datasets.prepare mapillary` makes.
    """

    name = 'mapillary_citylabel'
    directory_key = 'MAPILLARY_DIR'
    other_directories = Mapillary.other_directories
    remedy = (
        f'{REMEDY.format("version 1.2", "mapillary-vistas-1.2")}, and run `python -m datasets.prepare mapillary --root'
        ' ROOT`'
    )
    folder_names = FOLDERS
    image_folder = '{split}/images'
    label_folders = ('{split}/labels_cityscapes',)
