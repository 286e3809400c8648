"""Recipes: files, what a run takes from one, and what it keeps when it is resumed."""

import json
from argparse import Namespace

import pytest
import yaml
from small import SMALL

import network
from engine.planning import recipe
from engine.planning.plan import Facts, Trunk
from engine.planning.recipe import apply, choose_trunk, read_recipe
from utils import checkpoint
from utils.cli import flags

SMALLEST = dict(zip((flag[2:] for flag in SMALL[::2]), SMALL[1::2]))
TINY = {
    'about': 'the smallest of all',
    'flags': {
        **{name: int(value) for name, value in SMALLEST.items() if name != 'trunk'},
        'rmi_loss': True,
        'optimizer': 'adamw',
    },
    'trunks': [
        {
            'trunk': 'hrnetv2_w18_small_v1',
            'pretrained': 'none',
            'parameters': 2e6,
            'train_bytes': 2000,
            'eval_bytes': 300,
            'lr': 0.004,
        }
    ],
    'crop_pixels': 64 * 96,
    'long_edge': 1024,
    'batch': 4,
    'images': 12,
    'epochs': [1, 400],
}


@pytest.fixture
def tiny(tmp_path):
    """tiny(**changes): the path of a recipe."""

    def make(**changes):
        path = tmp_path / 'tiny.yaml'
        path.write_text(yaml.safe_dump({**TINY, **changes}))
        return path

    return make


def test_a_run_trains_as_its_recipe_says_prints_the_plan_and_records_plain_flags(program, tiny):
    code, printed = program('--recipe', tiny(), '--lr', '0.003', '--num_workers', '0', small=False)
    assert code == 0, printed
    assert 'the smallest of all. 12 images of 128x64 pixels (median) to train on, 5 to validate; cpu' in printed
    assert '--crop_size 64,96' in printed and '--bs_trn 4' in printed, '6144 of 8192 pixels in multiples of 32'
    assert '--lr 0.003' in printed and '  given; the plan has --lr 0.004' in printed
    assert printed.index('--crop_size') < printed.index('[epoch 0], [iter')
    record = json.loads((program.run_dir / 'hparams.json').read_text())
    state = checkpoint.load(next(program.run_dir.glob('last_checkpoint_ep0.pth')))
    for name, value in {'bs_trn': 4, 'lr': 0.003, 'max_epoch': 1, 'rmi_loss': True, 'optimizer': 'adamw'}.items():
        assert record[name] == state['args'][name] == value
    assert record['ocr_mid_channels'] == 32 and tuple(record['crop_size']) == (64, 96)


def test_a_plan_can_be_looked_at_with_the_summary(program, tiny, monkeypatch):
    monkeypatch.setattr('train.summary', lambda args, *_, **__: f'{args.trunk}, {args.bs_trn} images')
    code, printed = program('--recipe', tiny(), '--summary', small=False)
    assert code == 0 and '--class_uniform_tile 64' in printed and 'hrnetv2_w18_small_v1, 4 images' in printed
    assert not program.run_dir.exists()


def parsed(*argv):
    return flags.parse([str(word) for word in argv])


def test_a_resumed_run_keeps_what_was_planned_whatever_the_recipe_would_say_now(tiny):
    path = str(tiny())
    before = {**vars(parsed('--recipe', path)), 'bs_trn': 3, 'crop_size': (96, 96), 'ocr_mid_channels': 40, 'lr': 0.5}
    lines = []
    args = apply(parsed('--recipe', path, '--resume', 'auto', '--lr', '0.1'), {'args': before}, lines.append)
    assert (args.bs_trn, args.crop_size, args.ocr_mid_channels, args.lr) == (3, (96, 96), 40, 0.1)
    assert lines == ['--recipe: as it was decided when the run began']


def test_a_resumed_run_keeps_the_length_that_its_minutes_gave_it():
    before = {**vars(parsed('--minutes', '5')), 'max_epoch': 37, 'val_freq': 4, 'epoch_batches': 9}
    args = apply(parsed('--minutes', '5', '--resume', 'auto'), {'args': before}, print)
    assert (args.max_epoch, args.val_freq, args.epoch_batches) == (37, 4, 9)
    args = apply(parsed('--minutes', '5', '--resume', 'auto'), {'args': vars(parsed())}, print)
    assert args.max_epoch == 180, 'the run had no minutes before'


@pytest.mark.parametrize(
    'changes, part',
    [
        ({'crop_pixels': 'many'}, "crop_pixels: is 'many', expected a number above 0"),
        ({'batch': -1}, 'batch: is -1, expected a number above 0'),
        ({'flags': {'crop_sise': 3}}, 'there is no flag --crop_sise; did you mean crop_size'),
        ({'flags': {'optimizer': 'sgd', 'lr': 'fast'}}, "flags: says lr 'fast', which --lr cannot be ('fast' is not a"),
        ({'flags': {'max_epoch': -1}}, 'flags: says max_epoch -1, which --max_epoch cannot be (-1 is out of range'),
        ({'flags': {'optimizer': 'adamx'}}, "flags: says optimizer 'adamx', which --optimizer cannot be (one of"),
        ({'flags': {'rmi_loss': 'ja'}}, "flags: says rmi_loss 'ja', which --rmi_loss cannot be (true or false)"),
        ({'flags': 3}, 'flags: is 3, expected a mapping'),
        ({'epochs': [9]}, 'epochs: is [9], expected the fewest and the most'),
        ({'epochs': [9, 2]}, 'epochs: is [9, 2], expected the fewest and the most'),
        ({'trunks': [{'trunk': 'x'}]}, 'trunks[0]: eval_bytes is missing'),
        ({'trunks': [dict.fromkeys(Trunk._fields, 'x')]}, "trunks[0]: eval_bytes: is 'x', expected a number"),
        ({'extra': 1}, 'extra is no key of a recipe'),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence_with_its_name(tiny, changes, part):
    with pytest.raises(ValueError, match='tiny.yaml: ') as error:
        read_recipe(str(tiny(**changes)))
    assert part in str(error.value) and '\n' not in str(error.value)


def test_an_unknown_recipe_is_told_the_near_one_and_a_missing_file_its_name(program):
    code, printed = program('--recipe', 'smal')
    assert code == 2 and '--recipe smal: there is no such recipe; did you mean small' in printed
    code, printed = program('--recipe', 'mine.yaml')
    assert code == 2 and 'mine.yaml: cannot be read' in printed


def test_the_first_trunk_that_has_its_weights_is_taken(monkeypatch):
    def check(source, *_):
        if source == 'package':
            raise FileNotFoundError

    small = read_recipe('small')
    monkeypatch.setattr(network, 'check_names', lambda *names: None)
    monkeypatch.setattr(network, 'check_pretrained', check)
    args = Namespace(arch='x', assets_path='assets')
    assert choose_trunk(args, small, {}, 5) == small.trunks[1]
    assert choose_trunk(args, small, {'pretrained': 'none'}, 5) == small.trunks[2]._replace(pretrained='none')
    assert choose_trunk(args, small, {'trunk': 'timm/tf_efficientnet_lite0'}, 5) == small.trunks[0]


def test_another_network_is_measured(monkeypatch):
    monkeypatch.setattr(recipe, 'measure', lambda values, classes, lr: (values['arch'], classes, lr))
    args = parsed('--arch', 'basic.HRNet')
    small = read_recipe('small')
    assert choose_trunk(args, small, {'arch': 'basic.HRNet'}, 5) == ('basic.HRNet', 5, 0.002)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['small', 'balanced', 'published'])
def test_bytes_and_parameters_of_a_recipe_are_those_of_its_network(name):
    found = read_recipe(name)
    for entry in {trunk.trunk: trunk for trunk in found.trunks}.values():
        if entry.trunk.startswith('timm/'):
            pytest.importorskip('timm')
        counted = recipe.measure({**vars(parsed()), **found.flags, 'trunk': entry.trunk}, 19, entry.lr)
        for field in ('parameters', 'train_bytes', 'eval_bytes'):
            assert getattr(counted, field) == pytest.approx(getattr(entry, field), rel=0.2), (entry.trunk, field)


def test_sizes_of_a_sample_of_the_images_are_looked_at(monkeypatch):
    class Images:
        def __init__(self, sizes):
            self.items = sizes

        def __len__(self):
            return len(self.items)

        def sizes(self):
            return iter(self.items)

    monkeypatch.setattr(recipe, 'SAMPLE', 3)
    train = Images([(10, 20), (0, 0), (30, 40), (0, 0), (50, 10), (0, 0)])
    facts = recipe.gather_facts(train, Images([(1, 1)] * 2))
    assert isinstance(facts, Facts) and facts.size == (30, 20) and facts.largest == (30, 40)
    assert (facts.images, facts.validation_images, len(train.items)) == (6, 2, 6)
