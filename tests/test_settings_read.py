"""Every setting is read somewhere, and nothing writes to flags that are complete."""

import re

from attribute_reads import Reads
from small import ROOT

from utils.settings import SETTINGS

PACKAGES = ('aggregation', 'datasets', 'engine', 'loss', 'network', 'transforms', 'utils')
PROGRAMS = ('train.py', 'ensemble.py')
HANDED_ON = {'options': 'MODEL'}  # networks are given the section MODEL under this name
SOURCES = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in (*(file for name in PACKAGES for file in (ROOT / name).rglob('*.py')), *map(ROOT.joinpath, PROGRAMS))
    if 'utils/settings/' not in str(file)
}


def of_train(name, text):
    """Whether `args` in a module are the flags of train.py: those of a program with a parser of its own are others."""
    has_parser = re.search(r'^from utils.cli.parser import .*\bParser\b', text, re.MULTILINE)
    others = name == 'ensemble.py' or name.startswith(('aggregation/', 'datasets/prepare/'))
    return not others and (name == 'utils/cli/flags.py' or not has_parser)


OF_TRAIN = Reads({name: text for name, text in SOURCES.items() if of_train(name, text)})
EVERYWHERE = Reads(SOURCES, HANDED_ON)


def unread(flags, keys):
    return sorted(set(flags) - OF_TRAIN.flags), sorted(set(keys) - EVERYWHERE.keys)


def test_every_setting_is_read():
    keys = {setting.cfg for setting in (*SETTINGS.values(), *SETTINGS.keys_only) if setting.cfg}
    assert len(keys) > 50
    # a flag with a key of cfg is read through it
    assert unread([name for name, setting in SETTINGS.items() if not setting.cfg], keys) == ([], [])


def test_a_setting_that_nothing_reads_is_found_although_its_name_is_part_of_other_words():
    parts = ['pred', 'train', 'dump', 'scale', 'class_uniform', 'mscale']
    keys = ['DATASET.CVP', 'DATASET.DIR', 'DATASET.CLASS', 'MODEL.OCR.CHANNELS', 'MODEL.ASPP', 'CV', 'QUALITY']
    text = ''.join(SOURCES.values())
    assert all(name in text for name in parts) and all(
        key.rpartition('.')[2] in text for key in keys if 'CVP' not in key
    )
    assert unread(parts, keys) == (sorted(parts), sorted(keys))


def test_what_counts_as_a_read():
    code = """
args.lr = args.rate
setattr(args, 'lr', getattr(args, 'decay'))  # args.commented
'args.quoted'
other.args.attribute
x = '--debug' in argv
class A:
    key: str = 'A_DIR'
    def f(self, options):
        settings, n = cfg.DATASET, 1
        def g():
            return settings.CV, settings.ROOT.strip()
        return cfg.DATASET[self.key], config.cfg.LOSS['ALPHA'], options.WIDTH, self.options.OCR.MID
def f(settings, section=None):
    section = section or cfg.LOSS
    cfg.MODEL.WRITTEN = 1
    return settings.QUALITY, section.BETA, (cfg.LOSS if n else other).GAMMA, cfg[n]
"""
    loss = "@register('name', argument='registered')\nclass Loss:\n    pass"
    reads = Reads({'a.py': code, 'loss/b.py': loss}, {'options': 'MODEL'})
    assert reads.flags == {'rate', 'decay', 'debug', 'registered'}
    assert reads.writes == ['a.py:2', 'a.py:3']
    expected = {'DATASET.CV', 'DATASET.ROOT', 'DATASET.A_DIR', 'LOSS.ALPHA', 'LOSS.BETA', 'LOSS.GAMMA'}
    assert {key for key in reads.keys if key.count('.') and key.isupper()} == expected | {
        'MODEL.WIDTH',
        'MODEL.OCR.MID',
    } | {'MODEL.OCR'}


def test_nothing_writes_to_flags_once_they_are_parsed():
    allowed = 'utils/cli/parser.py'  # which makes them
    assert [place for place in EVERYWHERE.writes if not place.startswith(allowed)] == []
