"""Every flag of train.py does something: in some run of a tiny network it changes weights, scores, pictures, files, the
exit code or what is printed, as its row in tests/flag_rows.py says. Runs without the flag are shared by the rows."""

import hashlib
import pkgutil
import re
import shutil
from argparse import Namespace

import cv2
import numpy as np
import pytest
import standin
import yaml
from flag_rows import CALLS, CHARTS, CODE, ERROR, FILES, PICTURES, PRINTED, ROWS, SCORES, WEIGHTS
from small import EPOCH, run, stop_after

from utils import checkpoint
from utils.cli import flags
from utils.settings import SETTINGS

TINY = '--trunk test/pyramid --ocr_mid_channels 8 --ocr_key_channels 4 --segattn_bot_ch 4 --epoch_batches 2'.split()
# Parts whose arguments are all that shows of a flag in one process on a CPU.
CALLED = {
    'datasets.loading.loader._worker_options': lambda num_workers: num_workers,
    'engine.builders.eval_loader': lambda eval_set, batch_size, *rest: batch_size,
    'engine.run.Run.scalars': lambda run, values, *rest: tuple(values),
    'engine.run.set_deterministic': lambda deterministic: deterministic,
    'engine.run.init_from_env': lambda distributed, device, minutes: minutes,
    'engine.keeper.CheckpointKeeper.save': lambda keeper, state, *rest, **named: state['batch_in_epoch'],
    'engine.machine.compiler_lacks': lambda device: 'asked',
    'torch.nn.Module.compile': lambda net: 'compiled',
}
INSTEAD = {'torch.nn.Module.compile': lambda net: None, 'engine.machine.compiler_lacks': lambda device: None}


class Walk:
    """Runs of train.py by their flags, each made once; `words` have the places of `made` in braces."""

    def __init__(self, street, folder):
        self.street, self.folder, self.made, self.runs, self.count = street, folder, {}, {}, 0

    def place(self, name) -> str:
        """The path that stands for {name}, made when it is first asked for."""
        if name not in self.made:
            self.made[name] = getattr(self, f'_{name}')(self.folder / name)
        return str(self.made[name])

    def run(self, words: str, capsys, is_shared=False) -> Namespace:
        """What a run of train.py with these flags has left; shared: from an earlier call."""
        if words in self.runs and is_shared:
            return self.runs[words]
        self.count += 1
        out = self.folder / f'{self.count}'
        names = {name: self.place(name) for name in re.findall(r'{(\w+)}', words) if name != 'out'}
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            calls = recorded(patch)
            error = code = None
            try:
                code = self.train(out, words.format(out=out, **names).split())
            except Exception as raised:
                error = raised
        printed = ''.join(capsys.readouterr())
        found = Namespace(code=code, error=type(error), printed=printed, calls=calls, **left(out))
        self.runs[words] = found
        return found

    def train(self, out, words) -> int:
        with pytest.MonkeyPatch.context() as patch:
            standin.register(patch)
            mine = [] if '--eval' in words else [*TINY, *EPOCH]
            return run(self.street, out, [*mine, *words], small=False)

    def _trained(self, folder, *words):
        assert self.train(folder, list(words)) == 0
        return next((folder / 'run').glob('last*.pth'))

    def _snapshot(self, folder):
        return self._trained(folder)

    def _flipped(self, folder):
        return self._trained(folder, '--do_flip')

    def _stopped(self, folder):
        stop_after(1)
        assert self.train(folder, []) == 75
        return next((folder / 'run').glob('last*.pth'))

    def _run(self, folder):
        return shutil.copytree(self.folder / 'snapshot' / 'run', folder) if self.place('snapshot') else folder

    def _dumped(self, folder):
        words = f'--eval val --snapshot {self.place("snapshot")} --dump_logits --result_dir {folder}'
        assert self.train(self.folder / 'first', words.split()) == 0
        return folder

    def _nowhere(self, folder):
        return folder

    def _config(self, folder):
        folder.mkdir()
        (folder / 'lr.yml').write_text('lr: 0.1\n')
        return folder / 'lr.yml'

    def _pipeline(self, folder):
        folder.mkdir()
        flip = {'__class_fullname__': 'VerticalFlip', 'p': 1.0}
        (folder / 'flip.yaml').write_text(yaml.safe_dump({'__version__': '1.4.0', 'transform': flip}))
        return folder / 'flip.yaml'

    def _yaml(self, folder, road=(7,)):
        folder.mkdir()
        classes = [{'name': 'road', 'id': list(road)}, {'name': 'sky', 'id': 23}, {'name': 'car', 'id': 26}]
        values = {
            'root': str(self.street / 'synthetic'),
            'images': 'leftImg8bit/{split}/{folder}/{stem}_leftImg8bit.png',
            'labels': 'gtFine/{split}/{folder}/{stem}_gtFine_labelIds.png',
            'unlisted': 'ignore',
            'classes': classes,
        }
        (folder / 'own.yaml').write_text(yaml.safe_dump(values))
        return folder / 'own.yaml'

    def _other_yaml(self, folder):
        return self._yaml(folder, road=(7, 8, 11))

    def _list(self, folder):
        images = sorted((self.street / 'synthetic' / 'leftImg8bit').rglob('*.png'))
        folder.mkdir()
        (folder / 'folds.csv').write_text(''.join(f'{image.stem},{place % 2}\n' for place, image in enumerate(images)))
        return folder / 'folds.csv'

    def _images(self, folder):
        return self.street / 'synthetic' / 'leftImg8bit' / 'val'

    def _many(self, folder):
        """Twenty images, of which an evaluation pictures every second."""
        image = next(self._images(folder).rglob('*.png'))
        folder.mkdir()
        for number in range(20):
            shutil.copy(image, folder / f'{number}.png')
        return folder

    def _damaged(self, folder):
        shutil.copytree(self._images(folder), folder)
        (folder / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n')
        return folder

    def _cityscapes(self, folder):
        """20 fine images of road and car, 6 coarse ones of truck and car, whose automatic labels are of person."""
        rng, base = np.random.default_rng(0), folder / 'Cityscapes'
        road, person, car, truck = 7, 24, 26, 27
        for split, city, kind, ids in (
            ('train', 'ulm', 'gtFine', (road, car)),
            ('val', 'lindau', 'gtFine', (road, car)),
            ('train_extra', 'graz', 'gtCoarse', (truck, car)),
        ):
            for number in range(20 if split == 'train' else 6):
                stem = f'{split}/{city}/{city}_{number:06d}_000000'
                write(base / f'leftImg8bit/{stem}_leftImg8bit.png', rng.integers(0, 256, (32, 48, 3)))
                write(base / f'{kind}/{stem}_{kind}_labelIds.png', stripes(ids))
                if kind == 'gtCoarse':
                    write(base / f'autolabelled/{stem}_leftImg8bit.png', stripes((car, person)))
                    write(base / f'autolabelled/{stem}_leftImg8bit_prob.png', stripes((255, 100)))
        return folder


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels.astype(np.uint8))


def stripes(ids):
    return np.repeat(np.array(ids), 48 // len(ids))[None].repeat(32, 0)


def recorded(patch) -> list:
    """Fill a list with the calls of CALLED."""
    calls = []
    for name, about in CALLED.items():
        module, _, attribute = name.rpartition('.')
        holder = pkgutil.resolve_name(module)
        original = INSTEAD.get(name) or getattr(holder, attribute)

        def call(*values, _original=original, _about=about, _name=name, **named):
            calls.append((_name, _about(*values, **named)))
            return _original(*values, **named)

        patch.setattr(holder, attribute, call)
    return calls


def left(out) -> dict:
    """The fingerprints of what a run has left below `out`."""
    files = sorted(path for path in out.rglob('*') if path.is_file())
    last = [path for path in files if re.match(r'last_checkpoint.*\.pth', path.name)]
    scores = [path.read_text() for path in files if path.name == 'metrics.json']
    pictures = [path for path in files if path.suffix == '.png' and 'best_images' in path.parts]
    names = [re.sub(r'events\..*', 'events', str(path.relative_to(out))) for path in files]
    dumps = [path for path in files if 'logits' in path.parts and path.suffix in ('.npz', '.npy')]
    return {
        WEIGHTS: [weights_of(path) for path in last],
        SCORES: scores,
        PICTURES: digest(path.read_bytes() for path in pictures),
        CHARTS: digest(path.read_bytes() for path in files if 'lr_find' in str(path.relative_to(out))),
        FILES: (names, digest(path.read_bytes() for path in dumps)),
    }


def weights_of(path) -> str:
    state = checkpoint.load(path)
    held = [state['state_dict'], checkpoint.averaged_weights(state) or {}]
    return digest(key.encode() + np.ascontiguousarray(value).tobytes() for part in held for key, value in part.items())


def digest(parts) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def test_every_flag_has_a_row_and_every_row_a_flag():
    assert ROWS.keys() == SETTINGS.keys()
    parsed = vars(flags.build_parser().parse_all([])).keys()
    assert parsed - SETTINGS.keys() <= {'given'}
    assert all(f'--{name}' in row.words.split() for name, row in ROWS.items())


@pytest.fixture(scope='module')
def walk(street, tmp_path_factory):
    return Walk(street, tmp_path_factory.mktemp('walk'))


@pytest.mark.slow
@pytest.mark.parametrize('name', ROWS)
def test_every_flag_changes_what_its_row_says(name, walk, capsys):
    row = ROWS[name]
    without = walk.run(row.base, capsys, is_shared=True)
    found = walk.run(f'{row.base} {row.words}', capsys)
    assert f'--{name} has no effect' not in found.printed
    if row.changes == PRINTED:
        seen = [bool(re.search(row.pattern, one.printed)) for one in (without, found)]
        assert seen[0] != seen[1], found.printed
        return
    if row.changes not in (CODE, ERROR):
        assert found.code == without.code == 0, found.printed
    assert getattr(found, row.changes) != getattr(without, row.changes), found.printed


@pytest.mark.slow
def test_two_runs_of_the_same_flags_leave_the_same(walk, capsys):
    first, second = (walk.run('--seed 5', capsys) for _ in range(2))
    for kind in (WEIGHTS, SCORES, PICTURES, FILES, CODE, CALLS, ERROR):
        assert getattr(first, kind) == getattr(second, kind)
