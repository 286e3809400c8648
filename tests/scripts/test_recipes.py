"""Every recipe's command is one that train.py accepts, and says what the recipe is for."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import train

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / 'scripts'
SHELL = [
    'eval_cityscapes',
    'dump_cityscapes',
    'dump_folder',
    'train_cityscapes',
    'train_cityscapes_coarse',
    'train_camvid',
    'quickstart',
]
SAME = [
    'eval_cityscapes',
    'dump_cityscapes',
    'dump_folder',
    'train_cityscapes',
    'train_cityscapes_coarse',
    'train_cityscapes_deepv3',
    'eval_mapillary',
    'train_mapillary',
]  # as shell script and as runx experiment
RUNX = [*SAME, 'train_camvid']
# Stands in for python and torchrun: notes its arguments, and leaves the checkpoint that a training would leave.
STUB = """#!/usr/bin/env bash
printf '%s\\0' "$(basename "$0")" "$@" >> "$NOTES"
printf '\\n' >> "$NOTES"
[ "$1" = train.py ] && [ -n "${TRAIN_CODE:-}" ] && exit "$TRAIN_CODE"
while [ $# -gt 1 ]; do
    [ "$1" = --result_dir ] && mkdir -p "$2" && touch "$2/${STUB_LEAVES:-best_checkpoint_ep3.pth}"
    shift
done
exit "${STUB_CODE:-0}"
"""


def stubs(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(STUB)
        (folder / name).chmod((folder / name).stat().st_mode | stat.S_IXUSR)
    return folder


def calls(tmp_path, script, *arguments, **environment):
    """The commands that a script runs, as lists of words, with python and torchrun replaced by notes."""
    notes = tmp_path / 'notes'
    path = f'{stubs(tmp_path / "bin", "python", "torchrun")}:{os.environ["PATH"]}'
    variables = {
        **os.environ,
        'PATH': path,
        'NOTES': str(notes),
        'NO_VENV': '1',
        'RUN': str(tmp_path / 'run'),
        'FOLDER': 'photos',
        **environment,
    }
    done = subprocess.run(
        ['bash', SCRIPTS / script, *arguments], env=variables, capture_output=True, text=True, timeout=60
    )
    recorded = [line.split('\0')[:-1] for line in notes.read_text().split('\n') if line] if notes.exists() else []
    return done, recorded


def trainings(recorded):
    return [train.parse_args(words[words.index('train.py') + 1 :]) for words in recorded if 'train.py' in words]


@pytest.mark.parametrize('script', sorted(path.name for path in SCRIPTS.glob('*.sh')))
def test_every_script_is_valid_bash(script):
    assert subprocess.run(['bash', '-n', SCRIPTS / script]).returncode == 0


@pytest.mark.parametrize('name', SHELL)
def test_train_accepts_the_flags_of_every_shell_recipe(name, tmp_path):
    done, recorded = calls(tmp_path, f'{name}.sh')
    assert done.returncode == 0, done.stderr
    assert trainings(recorded)


def test_the_published_evaluation_is_the_published_evaluation(tmp_path):
    _, recorded = calls(tmp_path, 'eval_cityscapes.sh', '--do_flip', GPUS='4', ASSETS='/a')
    assert recorded[0][:4] == ['torchrun', '--standalone', '--nnodes=1', '--nproc-per-node=4']
    (args,) = trainings(recorded)
    assert (args.dataset, args.eval, args.n_scales, args.precision, args.do_flip) == (
        'cityscapes',
        'val',
        (0.5, 1.0, 2.0),
        'fp16',
        True,
    )
    assert args.snapshot == '/a/seg_weights/cityscapes_ocrnet.HRNet_Mscale_outstanding-turtle.pth'


def test_one_process_is_started_without_torchrun_and_its_exit_code_is_the_recipe_s(tmp_path):
    done, recorded = calls(tmp_path, 'train_cityscapes.sh', GPUS='1', STUB_CODE='2')
    assert recorded[0][:2] == ['python', 'train.py'] and len(recorded) == 1
    assert done.returncode == 2


def test_the_published_training_is_the_published_training(tmp_path):
    (args,) = trainings(calls(tmp_path, 'train_cityscapes.sh')[1])
    assert (args.lr, args.poly_exp, args.max_epoch, args.crop_size, args.bs_trn) == (5e-3, 2.0, 175, (1024, 2048), 1)
    assert args.rmi_loss and args.syncbn and args.supervised_mscale_loss_wt == 0.05 and args.optimizer == 'sgd'


def test_the_state_of_the_art_training_is_the_published_one(tmp_path):
    (args,) = trainings(calls(tmp_path, 'train_cityscapes_coarse.sh')[1])
    assert (args.lr, args.poly_exp, args.max_epoch, args.max_cu_epoch) == (1e-2, 2.0, 175, 150)
    assert args.coarse_boost_classes == (3, 4, 6, 7, 9, *range(11, 19)) and args.custom_coarse_dropout_classes == (
        14,
        15,
        16,
    )
    assert args.custom_coarse_prob == 0.5 and args.mask_out_cityscapes and args.rmi_loss


def test_the_mapillary_recipes_are_the_published_ones(tmp_path):
    (score,) = trainings(calls(tmp_path / 'e', 'eval_mapillary.sh')[1])
    assert (score.dataset, score.pre_size, score.n_scales, score.do_flip) == (
        'mapillary',
        2177,
        (0.25, 0.5, 1.0, 2.0),
        True,
    )
    (args,) = trainings(calls(tmp_path / 't', 'train_mapillary.sh')[1])
    assert (args.crop_size, args.bs_trn, args.lr, args.poly_exp, args.max_epoch, args.pretrained) == (
        (1024, 1024),
        2,
        5e-3,
        1.0,
        200,
        'imagenet',
    )
    assert args.gblur and args.rmi_loss and args.supervised_mscale_loss_wt == 0


@pytest.mark.parametrize(
    'script, start',
    [
        (
            'train_cityscapes',
            {'snapshot': 'assets/seg_weights/ocrnet.HRNet_industrious-chicken.pth', 'allow_class_mismatch': True},
        ),
        ('train_mapillary', {'pretrained': 'imagenet'}),
        ('train_camvid', {}),
    ],
)
def test_a_recipe_resumed_with_auto_still_knows_its_start_and_one_resumed_with_a_file_does_not(script, start, tmp_path):
    args = trainings(calls(tmp_path / 'auto', f'{script}.sh', RESUME='auto')[1])[0]
    assert args.resume == 'auto' and {name: getattr(args, name) for name in start} == start
    args = trainings(calls(tmp_path / 'file', f'{script}.sh', RESUME='a.pth')[1])[0]
    assert (args.resume, args.snapshot, args.pretrained) == ('a.pth', None, 'none')


def test_a_folder_recipe_without_a_folder_says_so(tmp_path):
    done, recorded = calls(tmp_path, 'dump_folder.sh', FOLDER='')
    assert done.returncode == 2 and done.stderr.startswith('set FOLDER') and recorded == []


def test_the_camvid_recipe_trains_and_scores_with_the_folders_of_its_variables(tmp_path):
    fit, score = trainings(calls(tmp_path, 'train_camvid.sh', ASSETS='/a', DATA='/d')[1])
    assert {(args.assets_path, args.override_dataset_root, args.precision) for args in (fit, score)} == {
        ('/a', '/d', 'bf16')
    }
    assert (
        score.eval == 'val'
        and score.n_scales == (0.5, 1.0, 2.0)
        and score.snapshot.endswith('run/best_checkpoint_ep3.pth')
    )


@pytest.mark.parametrize('script, commands', [('quickstart.sh', 3), ('train_camvid.sh', 2), ('dump_folder.sh', 1)])
def test_without_an_environment_a_machine_that_has_python3_alone_will_do(script, commands, tmp_path):
    tools = stubs(tmp_path / 'bin', 'python3')
    for name in ('bash', 'basename', 'dirname', 'head', 'ls', 'mkdir', 'touch'):
        (tools / name).symlink_to(shutil.which(name))
    environment = {
        'PATH': str(tools),
        'NOTES': str(tmp_path / 'notes'),
        'NO_VENV': '1',
        'RUN': str(tmp_path / 'run'),
        'FOLDER': 'photos',
    }
    done = subprocess.run(
        [shutil.which('bash'), SCRIPTS / script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [line.split('\0')[0] for line in (tmp_path / 'notes').read_text().splitlines()] == ['python3'] * commands


@pytest.mark.parametrize('script, code', [('quickstart', 75), ('train_camvid', 75), ('train_camvid', 130)])
def test_a_script_whose_training_was_stopped_does_not_go_on_to_the_evaluation(script, code, tmp_path):
    done, recorded = calls(tmp_path, f'{script}.sh', TRAIN_CODE=str(code))
    assert done.returncode == code
    assert len(trainings(recorded)) == 1 and not trainings(recorded)[0].eval


def test_the_quickstart_renders_trains_and_evaluates_what_it_trained(tmp_path):
    done, recorded = calls(tmp_path, 'quickstart.sh', DATA=str(tmp_path / 'data'), SEED='4')
    assert [words[1:4] for words in recorded] == [
        ['-m', 'datasets.prepare', 'synthetic'],
        *[['train.py', '--dataset', 'synthetic']] * 2,
    ]
    fit, score = trainings(recorded)
    assert fit.seed == 4 and fit.resume == 'auto' and fit.rmi_loss and fit.class_uniform_pct == 0.5
    assert (
        score.n_scales == (0.5, 1.0, 2.0)
        and score.dump_logits
        and score.snapshot.endswith('run/best_checkpoint_ep3.pth')
    )
    for words in recorded:  # each command is shown before it runs
        assert '+ ' + shlex.join(words) in done.stderr.replace('\\,', ',')


@pytest.mark.parametrize('script, remedy', [('quickstart.sh', 'the same command'), ('train_camvid.sh', 'RESUME=auto')])
def test_a_training_that_was_stopped_before_its_first_validation_is_not_scored(script, remedy, tmp_path):
    done, recorded = calls(tmp_path, script, STUB_LEAVES='last_checkpoint_ep0.pth')
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f'{tmp_path}/run holds no best checkpoint: ') and remedy in last
    assert [args.eval for args in trainings(recorded)] == [None]


def runx_commands(name, tmp_path):
    """What runx would run for a recipe: one command for each run."""
    (tmp_path / 'runx.yml').write_text(f'LOGROOT: {tmp_path}/runs\n')
    done = subprocess.run(
        [
            sys.executable,
            '-W',
            'ignore',
            '-m',
            'runx.runx',
            SCRIPTS / f'{name}.yml',
            '-i',
            '-n',
            '-c',
            tmp_path / 'runx.yml',
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    commands = re.findall(r'^cd (\S+)/code; PYTHONPATH=\S*\s+(.*)$', done.stdout, re.MULTILINE)
    values = {'ASSETS': '/a', 'DATA': '/d', 'FOLDER': '/photos'}
    return [
        (logdir, shlex.split(re.sub(r'\$(\w+)', lambda found: values[found[1]], command)))
        for logdir, command in commands
    ]


@pytest.mark.parametrize('name', RUNX)
def test_train_accepts_the_flags_of_every_runx_recipe(name, tmp_path):
    commands = runx_commands(name, tmp_path)
    assert commands
    for (logdir, _), args in zip(commands, trainings([words for _, words in commands])):
        assert args.result_dir == logdir and args.assets_path == '/a'


def test_the_camvid_recipe_expands_to_two_trunks_and_a_run_without_rmi(tmp_path):
    runs = trainings([words for _, words in runx_commands('train_camvid', tmp_path)])
    assert [(args.trunk, args.rmi_loss) for args in runs] == [
        ('hrnetv2_w18_small_v1', True),
        ('hrnetv2_w18', True),
        ('hrnetv2_w18_small_v1', False),
    ]


@pytest.mark.parametrize('name', SAME)
def test_shell_and_runx_recipes_of_one_name_agree(name, tmp_path):
    (shell,) = trainings(calls(tmp_path, f'{name}.sh', ASSETS='/a', DATA='/d', FOLDER='/photos')[1])
    ((_, words),) = runx_commands(name, tmp_path)
    (runx,) = trainings([words])
    ignored = {'result_dir', 'given'}
    assert {key: value for key, value in vars(shell).items() if key not in ignored} == {
        key: value for key, value in vars(runx).items() if key not in ignored
    }


@pytest.mark.parametrize(
    'name, file',
    [
        ('eval_cityscapes', 'hmsa_eval_cityscapes'),
        ('dump_folder', 'hmsa_dump_folder'),
        ('train_cityscapes', 'hmsa_cityscapes'),
        ('train_cityscapes_coarse', 'hmsa_cityscapes_sota'),
        ('train_cityscapes_deepv3', 'deeplab_cityscapes'),
        ('eval_mapillary', 'hmsa_eval_mapillary'),
        ('train_mapillary', 'hmsa_mapillary'),
    ],
)
def test_a_shell_recipe_and_the_file_of_flags_of_its_experiment_agree(name, file, tmp_path):
    (shell,) = trainings(calls(tmp_path, f'{name}.sh', FOLDER='photos')[1])
    flags = train.parse_args(['--config', str(SCRIPTS / 'experiments' / f'{file}.yml')])
    ignored = {'config', 'given', 'result_dir', 'override_dataset_root', 'num_workers', 'fp16'}
    differ = {name for name, value in vars(flags).items() if vars(shell)[name] != value}
    assert differ <= ignored and (shell.precision, shell.fp16) == ('fp16', True)


@pytest.mark.parametrize('name', RUNX)
def test_runx_copies_neither_data_nor_environments(name):
    patterns = yaml.safe_load((SCRIPTS / f'{name}.yml').read_text())['CODE_IGNORE_PATTERNS'].split(',')
    assert {'.git', '.venv', 'assets', 'runs', 'logs'} <= set(patterns)
