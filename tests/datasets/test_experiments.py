"""Published experiments: every file of flags and every command, as a dry run on a generated tree."""

import re
import shlex

import pytest
import yaml
from small import SMALL
from trees import coarse_tree, make_tree, scene, write

import train
from scripts import experiment_table
from utils.settings import SETTINGS

FILES = sorted(experiment_table.FOLDER.glob('*.yml'))
EXPERIMENTS = experiment_table.experiments()['experiments']
COMMANDS = list(dict.fromkeys(words for item in EXPERIMENTS for words in item['commands']))
TINY = '--crop_size 48,64 --pre_size 128 --bs_trn 1 --num_workers 0'.split()
QUICK = [next(words for words in COMMANDS if words.startswith(name)) for name in ('hmsa_cityscapes.yml', 'bravo_dump')]


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """A root with a tree of every dataset that an experiment names, made when it is asked for: data(name)."""
    root, made = tmp_path_factory.mktemp('experiments'), set()

    def make(name):
        if name not in made:
            coarse_tree(root) if name == 'cityscapes' else make_tree(name, root)
            made.add(name)
            for label in root.glob('Cityscapes/gtCoarse/train_extra/*/*_labelIds.png'):
                stem = label.name.removesuffix('_gtCoarse_labelIds.png')
                automatic = root / 'Cityscapes/autolabelled/train_extra' / label.parent.name
                write(automatic / f'{stem}_leftImg8bit.png', scene(0)[1])
                write(automatic / f'{stem}_leftImg8bit_prob.png', scene(0)[1])
        return root

    return make


def dry_run(words, data, folder, *more):
    """The exit code of train.py --dry_run with a command, on a tree of its dataset."""
    name, *flags = shlex.split(words)
    argv = ['--config', str(experiment_table.FOLDER / name), *flags, *more]
    args = train.parse_args([*argv, '--dry_run'])
    root = data(args.dataset)
    places = ['--override_dataset_root', root, '--assets_path', folder / 'assets', '--result_dir', folder / 'run']
    photos = ['--eval_folder', root] if args.eval == 'folder' else []
    return train.main([*argv, '--dry_run', *map(str, (*places, *photos))])


@pytest.mark.parametrize(
    'words',
    [*QUICK, *(pytest.param(words, marks=pytest.mark.slow) for words in COMMANDS if words not in QUICK)],
    ids=lambda words: words.replace('--', ''),
)
def test_a_dry_run_of_every_experiment_builds_its_data_and_network_and_misses_weights_alone(
    words, data, tmp_path, capsys
):
    config = yaml.safe_load((experiment_table.FOLDER / shlex.split(words)[0]).read_text())
    small = [] if config.get('eval') else TINY
    code = dry_run(words, data, tmp_path, *small, *(SMALL if words in QUICK else []))
    lines = capsys.readouterr().out.splitlines()
    missing = [line for line in lines if line.startswith('missing: ')]
    assert code == int(bool(missing)), lines
    assert all(re.search(r'\.pth|--pretrained|: runs/', line) for line in missing), missing
    assert any('M parameters' in line for line in lines) and any(line.startswith('data: ') for line in lines)
    assert not (tmp_path / 'run').exists() and not (tmp_path / 'assets').exists()
    if 'eval' not in config:
        assert any(line.startswith('length: ') for line in lines)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_a_file_of_flags_says_what_it_reached_and_holds_no_default(file):
    text = file.read_text()
    assert text.startswith('# ') and len(text.splitlines()[0]) > 40
    args = train.parse_args(['--config', str(file), '--dry_run'])
    same = [name for name in yaml.safe_load(text) if getattr(args, name) == SETTINGS[name].default]
    assert set(same) <= {'dataset', 'arch'}


def test_every_file_of_flags_is_one_of_the_commands():
    assert {words.split()[0] for words in COMMANDS} == {file.name for file in FILES}


def test_two_trainings_never_share_a_directory():
    runs = []
    for words in COMMANDS:
        name, *flags = shlex.split(words)
        args = train.parse_args(['--config', str(experiment_table.FOLDER / name), *flags, '--dry_run'])
        runs += [] if args.eval else [args.result_dir]
    assert len(runs) == len(set(runs)) > 80


def test_the_page_of_experiments_is_what_the_script_writes():
    assert experiment_table.PAGE.read_text() == experiment_table.page()


def test_scores_are_shown_as_published():
    scores = [{'at': 'scales 0.5, 1', 'mean': 81.26, 'best': 81.5}, {'mean': 71.9, 'about': True}]
    assert experiment_table.published(scores) == 'scales 0.5, 1: 81.26 (81.50)<br>about 71.9'
    every = [score for item in EXPERIMENTS for score in item['scores']]
    assert all(50 < score['mean'] <= score.get('best', 90) for score in every) and len(every) > 90


def test_a_score_of_ours_is_the_one_of_its_page(monkeypatch, tmp_path):
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'a.md').write_text(
        '| class | first | second |\n|---|---:|---:|\n| **mean IoU** | 1.25 | **2.5** |\n'
    )
    monkeypatch.setattr(experiment_table, 'ROOT', tmp_path)
    assert experiment_table.here({'page': 'a.md', 'line': 'mean IoU', 'column': 'second'}) == '[2.5](a.md)'
    with pytest.raises(ValueError, match=r'docs/a.md: has no line'):
        experiment_table.here({'page': 'a.md', 'line': 'mean', 'column': 'second'})
