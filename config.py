"""The one global configuration: `cfg` holds every default that a constructor or builder reads.

The program's flags are merged into it once, then it is frozen. It imports nothing of the project, so any module may
read it, but only while something is built: an object that exists carries what it needs. A key that is not declared
here can be neither read nor written, so a typo is an error and never a new setting.
"""

import difflib
from contextlib import contextmanager

from easydict import EasyDict


class Config(EasyDict):
    """An EasyDict whose keys are fixed once declared, and whose values are fixed once frozen."""

    def __getattr__(self, name):  # only called for what does not exist
        if name.startswith('__'):
            raise AttributeError(name)
        near = difflib.get_close_matches(name, list(self), n=1)
        hint = f'; did you mean {near[0]}?' if near else ''
        raise AttributeError(f'cfg has no key {name}{hint} (keys here: {", ".join(sorted(self))})')

    def __setattr__(self, name, value):
        state = self.__dict__.get('__state__', 'open')
        if state == 'frozen':
            raise AttributeError(f'cfg is frozen: {name} cannot change once the flags are merged')
        if state == 'closed' and name not in self:
            getattr(self, name)  # raises, naming the nearest key
        if type(value) is dict:
            value = Config(value)
        super().__setattr__(name, value)

    __setitem__ = __setattr__


def _set_state(section, state):
    section.__dict__['__state__'] = state
    for value in section.values():
        if isinstance(value, Config):
            _set_state(value, state)


def freeze(section=None):
    """Refuse every change of cfg from here on; flags are merged before this."""
    _set_state(cfg if section is None else section, 'frozen')


def as_dict(section=None):
    """The configuration as a plain nested dict (for hparams.json)."""
    section = cfg if section is None else section
    return {key: as_dict(value) if isinstance(value, Config) else value for key, value in section.items()}


def _restore(section, values):
    for key, value in values.items():
        if isinstance(value, dict):
            _restore(section[key], value)
        else:
            section[key] = value


@contextmanager
def scope(**values):
    """Use other values of cfg inside the block and the old ones after it: `with scope(MODEL__ALIGN_CORNERS=True): ...`.

    Double underscores separate sections. A frozen cfg is thawed for the block; a program runs in one scope of its own,
    so that calling it from Python twice starts from the same defaults twice.
    """
    before, state = as_dict(), cfg.__dict__['__state__']
    _set_state(cfg, 'closed')
    try:
        for path, value in values.items():
            *sections, key = path.split('__')
            section = cfg
            for name in sections:
                section = getattr(section, name)
            setattr(section, key, value)
        yield cfg
    finally:
        _set_state(cfg, 'closed')
        _restore(cfg, before)
        _set_state(cfg, state)


cfg = Config(
    {
        # Weights (seg_weights/), class-uniform indices (uniform_centroids/) and, unless DATASET.ROOT is given, data
        # (data/).
        'ASSETS_PATH': 'assets',
        'DATASET': {
            'ROOT': '',  # folder that holds one folder per dataset; '' means <ASSETS_PATH>/data
            'CITYSCAPES_DIR': 'Cityscapes-nvidia',  # below ROOT; Cityscapes and cityscapes are tried after it
            'CAMVID_DIR': 'camvid',
            'SYNTHETIC_DIR': 'synthetic',
            'MAPILLARY_DIR': 'mapillary-vistas-1.2',
            'MAPILLARY_V2_DIR': 'mapillary-vistas-2.0',
            'BDD100K_DIR': 'bdd100k',
            'IDD_DIR': 'IDD_Segmentation',
            'GTA5_DIR': 'GTA5',
            'SHIFT_DIR': 'SHIFT',
            'WILDDASH_DIR': 'WildDash2',
            'BRAVO_DIR': 'bravo_1.0',
            'SEGMENTMEIFYOUCAN_DIR': 'SegmentMeIfYouCan',
            'ACDC_DIR': 'ACDC',
            'KITTI_DIR': 'KITTI',
            'PASCAL_CONTEXT_DIR': 'VOC2010',
            'ADE20K_DIR': 'ADEChallengeData2016',
            'DATA_YAML': '',  # file that describes the images, labels and classes of dataset custom
            'CROP_SIZE': (896, 896),  # of the images of nullloader, (height, width) in pixels
            'CITYSCAPES_SPLITS': 3,  # number of cross-validation folds; --cv equal to it means train + val
            'CV': 0,  # which fold is the validation set
            'CLASS_UNIFORM_PCT': 0.5,  # share of an epoch that is drawn class by class
            # side of the tiles (pixels of the original image) that are searched for classes
            'CLASS_UNIFORM_TILE': 1024,
            'CLASS_UNIFORM_BIAS': None,  # list of K factors on the per-class quota, or None
            'QUALITY': 'fine',  # labels to train on: fine, coarse or fine_coarse
            'COARSE_PORTION': 1.0,  # share of the coarse images in each epoch of fine_coarse
            'COARSE_BOOST_CLASSES': (),  # trainIds whose class-uniform draws come from coarse images too
            'ONLY_COARSE': False,  # class-uniform draws from coarse images alone
            'MAX_CU_EPOCH': 150,  # first epoch without coarse images among the class-uniform draws
            # labels that a network wrote: a folder, also below ROOT; '' means autolabelled in the dataset's folder
            'CITYSCAPES_CUSTOMCOARSE': '',
            # probability below which a pixel of them is void; None: coarse labels are those that people drew
            'CUSTOM_COARSE_PROB': None,
            'CUSTOM_COARSE_DROPOUT_CLASSES': (),  # trainIds whose pixels in them are replaced by those that people drew
            'MASK_OUT_CITYSCAPES': False,  # leave out the own car and the rectification border in them
            # folder of decoded pixels, so that training decodes each file once; '' means none
            'CACHE_DIR': '',
            'IGNORE_IDS': (),  # raw label ids treated as ignore although the dataset does not know them
            'MEAN': (0.485, 0.456, 0.406),  # of the RGB values in [0, 1], ImageNet
            'STD': (0.229, 0.224, 0.225),
        },
        'MODEL': {
            'SEGATTN_BOT_CH': 256,  # bottleneck channels of segmentation and attention heads
            'MSCALE_LO_SCALE': 0.5,  # the low scale of the two-scale pass
            'MSCALE_INNER_3x3': True,  # the second 3x3 convolution of the attention head
            'MSCALE_DROPOUT': False,  # Dropout(0.5) before the attention head's last convolution
            'MSCALE_OLD_ARCH': False,  # key layout of the oldest attention head (to load old files)
            'ASPP_BOT_CH': 256,  # channels of each of the five branches of an ASPP
            'OCR_ASPP': False,  # an ASPP inside the OCR block
            'ATTNSCALE_BN_HEAD': False,  # attention-to-scale: the deeper, normalised attention head
            'INIT_DECODER': False,  # kaiming-initialise the decoder instead of torch's default
            'OCR': {
                'MID_CHANNELS': 512,  # pixel and object features
                'KEY_CHANNELS': 256,  # query and key of the object attention
            },
        },
        'LOSS': {
            'OCR_ALPHA': 0.4,  # weight of the auxiliary output
            'OCR_AUX_RMI': False,  # region mutual information on the auxiliary output too
            'SUPERVISED_MSCALE_WT': 0.0,  # weight of the single-scale outputs of a multi-scale network
        },
    }
)
_set_state(cfg, 'closed')
DEFAULTS = as_dict()  # as declared, whatever is merged or scoped later
