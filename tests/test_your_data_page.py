"""The commands of docs/your_data.md in their order: those without a training run as they stand, those with one are
parsed, and in the slow variant run on a few small photos."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import ROOT, SMALL

sys.path[:0] = [str(ROOT / 'tests/datasets'), str(ROOT / 'tests')]
import drawn  # noqa: E402
from prepare_trees import write_png  # noqa: E402

import predict  # noqa: E402
import train  # noqa: E402
from network import export  # noqa: E402
from scripts import train_folds  # noqa: E402
from utils.cli.flags import build_parser  # noqa: E402

PAGE = (ROOT / 'docs/your_data.md').read_text('utf-8')
BLOCKS = re.findall(r'```\n(.*?)```', PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace('\\\n', ' ').splitlines() if line.strip()]
TINY = [
    *SMALL,
    '--crop_size',
    '64,64',
    '--bs_trn',
    '2',
    '--max_epoch',
    '1',
    '--epoch_batches',
    '1',
    '--num_workers',
    '0',
]


def photo(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the folders that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    road = drawn.box(0, 30, 96, 64)
    for place, day in enumerate(('monday', 'tuesday', 'wednesday', 'thursday', 'friday')):
        for number in range(2):
            photo(Path(f'photos/{day}/{number}.png'), 2 * place + number)
            shapes = [{'label': 'road', 'points': road}, {'label': 'car', 'points': drawn.box(9, 20, 40, 50)}]
            record = {'imagePath': f'{number}.png', 'imageHeight': 64, 'imageWidth': 96, 'shapes': shapes}
            drawn.write(Path(f'photos/{day}/{number}.json'), record)
    for number in range(2):
        photo(Path(f'new_photos/{number}.png'), number)
        photo(Path(f'coco_export/{number}.png'), number)
        photo(Path(f'cvat_export/{number}.png'), number)
        photo(Path(f'voc_export/JPEGImages/{number}.png'), number)
        write_png(Path(f'voc_export/SegmentationClass/{number}.png'), np.full((64, 96), 7), palette=True)
        photo(Path(f'painted/images/{number}.png'), number)
        write_png(Path(f'painted/labels/{number}.png'), np.repeat([[1], [2]], 32, 0).repeat(96, 1))
    instance = {'id': 1, 'image_id': 0, 'category_id': 1, 'segmentation': [[0, 0, 9, 0, 9, 9]], 'iscrowd': 0}
    images = [{'id': n, 'file_name': f'{n}.png', 'height': 64, 'width': 96} for n in range(2)]
    categories = [{'id': 1, 'name': 'car'}]
    drawn.write(Path('coco_export/i.json'), {'images': images, 'annotations': [instance], 'categories': categories})
    shape = '<box label="car" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    entries = ''.join(f'<image name="{n}.png" width="96" height="64">{shape}</image>' for n in range(2))
    meta = '<meta><task><labels><label><name>car</name></label></labels></task></meta>'
    drawn.write(Path('cvat_export/annotations.xml'), f'<annotations>{meta}{entries}</annotations>')
    return tmp_path


def program(words):
    """(what runs a command, its arguments)."""
    if words[1] == '-m':
        name = words[2] if words[2].startswith('network') else f'{words[2]}.__main__'
        return importlib.import_module(name).main, words[3:]
    return {'train.py': train, 'predict.py': predict, 'scripts/train_folds.py': train_folds}[words[1]].main, words[2:]


def is_light(words):
    return '--summary' in words or words[1] == '-m' and words[2].startswith('datasets')


def test_every_command_of_the_page_is_known():
    assert len(COMMANDS) == 14 and all(command.startswith('python ') for command in COMMANDS)


def test_commands_without_a_training_run_as_they_stand_and_the_others_are_parsed(folder, monkeypatch, capsys):
    monkeypatch.setattr(train, 'summary', lambda args, *_, **__: f'{args.trunk}')
    monkeypatch.setattr('datasets.prepare.__main__.usable_cores', lambda: 1)  # processes take seconds to start
    for command in COMMANDS:
        words = shlex.split(command)
        run, flags = program(words)
        if is_light(words):
            assert run(flags) == 0, f'{command}\n{capsys.readouterr()}'
        elif words[1] == 'scripts/train_folds.py':
            assert train_folds.parse_args(flags).rest == ['--recipe', 'small', '--minutes', '60']
        else:
            parsers = {'train.py': build_parser, 'predict.py': predict.build_parser, '-m': export.build_parser}
            parsers[words[1]]().parse_all(flags)
    printed = capsys.readouterr().out
    assert '10 photos (8 train, 2 val: whole folders are held out), 3 classes' in printed
    assert '--recipe small: ' in printed and '--max_epoch 400' in printed and '--crop_size 64,96' in printed
    assert Path('painted.yaml').is_file() and Path('assets/verify/custom_photos/index.html').is_file()


@pytest.mark.slow
def test_every_command_of_the_page_runs(folder, capsys):
    for command in COMMANDS:
        words = shlex.split(command)
        run, flags = program(words)
        is_training = '--recipe' in words and '--summary' not in words
        assert run([*flags, *(TINY if is_training else ())]) == 0, f'{command}\n{capsys.readouterr()}'
    results = 'results/0_color.png', 'runs/folds/folds.json', 'runs/folds/predictions/1_overlay.jpg', 'streets.pt2'
    assert [name for name in results if not Path(name).is_file()] == []
