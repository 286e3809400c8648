"""Records of runs as flags, and run directories seen from outside, without a training: the checkpoints are empty."""

import json

import pytest
from small import SMALL

import predict
import train
from config import scope
from engine.distributed import Dist
from engine.run import write_hparams
from utils.cli import run_record
from utils.files.run_directory import checkpoints, weights_file
from utils.settings import SETTINGS
from utils.version import VERSION


@pytest.fixture
def directory(tmp_path):
    """A run directory with the record of a training and checkpoints without content."""
    args = train.parse_args([*SMALL, '--pre_size', '96', '--do_flip', '--crop_size', '48,64', '--result_dir', 'runs/a'])
    folder = tmp_path / 'a'
    folder.mkdir()
    with scope(**SETTINGS.as_cfg(vars(args))):
        write_hparams(folder, args, Dist())
    for name in ('best_checkpoint_ep9', 'best_checkpoint_ep10', 'last_checkpoint_ep11'):
        (folder / f'{name}.pth').touch()
    return folder


def read(directory) -> dict:
    return json.loads((directory / 'hparams.json').read_text())


def change(directory, **entries):
    (directory / 'hparams.json').write_text(json.dumps({**read(directory), **entries}))


def plain(value):
    return list(value) if isinstance(value, tuple) else value


def test_the_weights_of_a_directory_are_its_best_checkpoint_and_those_of_a_file_the_file(directory):
    assert weights_file(directory) == str(directory / 'best_checkpoint_ep10.pth')
    assert weights_file('some/file.pth') == 'some/file.pth'
    assert [file.name for file in checkpoints(directory, 'best')] == [
        'best_checkpoint_ep10.pth',
        'best_checkpoint_ep9.pth',
    ]
    assert checkpoints(directory / 'nowhere', 'last') == []


def test_a_directory_without_a_best_checkpoint_names_what_is_there_or_near(directory):
    for file in directory.glob('best*'):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r'--run .*a: holds last_checkpoint_ep11.pth but no best_checkpoint_ep'):
        weights_file(directory, '--run')
    (directory / 'best_checkpoint_ep1.pth').touch()
    (directory / 'eval_val').mkdir()
    (directory / 'eval_val/x.png').touch()
    for folder, held in ((directory / 'eval_val', '0 folders, files: 1 .png'), (directory.parent, '1 folder, files: ')):
        with pytest.raises(FileNotFoundError) as error:
            weights_file(folder)
        assert f'{folder}: holds no best_checkpoint_ep*.pth (holds {held}' in str(error.value)
        assert str(error.value).endswith(f'did you mean {directory}?')


SPOILT = {
    'typo': ({'pre_sise': 96}, ["holds 'pre_sise', which is no flag", 'did you mean pre_size']),
    'newer': (
        {'warm_start': 3, 'command': {'version': '10.0.0'}},
        ["was written by version 10.0.0 of this program and holds 'warm_start'", f'this one, {VERSION},'],
    ),
    'value': ({'pre_size': 'big'}, ["says pre_size 'big', which --pre_size cannot be ('big' is not a whole number"]),
    'switch': ({'do_flip': 'yes'}, ["says do_flip 'yes', which --do_flip cannot be (true or false)"]),
    'choice': ({'precision': 'fp8'}, ["says precision 'fp8'", '(one of fp32, fp16, bf16)']),
    'cfg': (
        {'cfg.MODEL.OCR.MID_CHANNELS': 64},
        ['cfg.MODEL.OCR.MID_CHANNELS 64 where --ocr_mid_channels 32 beside it makes 32'],
    ),
    'python': (
        {'cfg.DATASET.CITYSCAPES_SPLITS': 5},
        ['cfg.DATASET.CITYSCAPES_SPLITS 5 where the default is 3', 'inside config.scope'],
    ),
    'cfg typo': ({'cfg.MODEL.OCR.MID_CHANELS': 32}, ['did you mean cfg.MODEL.OCR.MID_CHANNELS']),
}


@pytest.mark.parametrize('kind', SPOILT)
@pytest.mark.parametrize('use', ['--run DIR --eval val', '--resume DIR', '--config DIR/hparams.json'])
def test_a_record_that_cannot_be_used_is_refused_in_one_sentence(directory, capsys, kind, use):
    entries, parts = SPOILT[kind]
    change(directory, **entries)
    assert train.main(use.replace('DIR', str(directory)).split()) == 2
    printed = capsys.readouterr().err
    assert printed.count('\n') == 1 and all(part in printed for part in parts), printed


@pytest.mark.parametrize(
    'use, remedy',
    [
        ('--run DIR --eval val', 'remove it: its checkpoints hold the flags too'),
        ('--resume DIR', 'remove it: its checkpoints hold the flags too'),
        ('--config DIR/hparams.json', 'give the flags instead'),
    ],
)
def test_a_record_that_is_cut_off_is_refused_with_what_helps(directory, capsys, use, remedy):
    path = directory / 'hparams.json'
    path.write_bytes(path.read_bytes()[:300])
    assert train.main(use.replace('DIR', str(directory)).split()) == 2
    printed = capsys.readouterr().err
    assert 'hparams.json: is no whole JSON file' in printed and f'copy it again, or {remedy}' in printed, printed


def test_a_directory_without_a_last_checkpoint_is_not_resumed(directory, capsys):
    (directory / 'last_checkpoint_ep11.pth').unlink()
    assert train.main(['--resume', str(directory)]) == 2
    assert f'--resume {directory}: holds no last_checkpoint_ep*.pth' in capsys.readouterr().err


def test_the_record_of_a_run_is_a_file_of_flags(directory):
    before = read(directory)
    argv = ['--config', str(directory / 'hparams.json'), '--result_dir', 'other', '--scale_min', '0.7']
    args = train.parse_args(argv)
    changed = {name: value for name, value in vars(args).items() if name in before and plain(value) != before[name]}
    assert changed == {'result_dir': 'other', 'scale_min': 0.7, 'config': str(directory / 'hparams.json')}
    assert {'pre_size', 'do_flip', 'crop_size'} < set(args.given) and 'lr' not in args.given


def test_a_key_of_python_that_has_become_a_flag_is_taken_over_from_an_older_record():
    record = {'command': {'version': '0.1.0'}, 'max_epoch': 3, 'cfg.DATASET.MEAN': [0.5, 0.5, 0.5]}
    assert run_record.flags_of(record, 'old') == {'max_epoch': 3, 'mean': (0.5, 0.5, 0.5)}
    record['cfg.DATASET.MEAN'] = [0.485, 0.456, 0.406]
    assert run_record.flags_of(record, 'old') == {'max_epoch': 3}


def test_a_precision_of_a_record_gives_way_to_that_of_the_command_line(directory):
    change(directory, precision='fp16', fp16=True)
    assert train.parse_args(['--config', str(directory / 'hparams.json'), '--precision', 'bf16']).precision == 'bf16'
    told = []
    argv = ['--run', str(directory), '--eval', 'val']
    assert train.parse_args(argv, told.append).precision == 'fp16' and '--precision fp16' in told[0]
    assert train.parse_args([*argv, '--precision', 'fp32'], told.append).precision == 'fp32'
    assert told[-1] == '--precision fp32: given here, that run had fp16'


def test_a_json_file_of_flags_that_is_no_record_stays_one(tmp_path):
    (tmp_path / 'flags.json').write_text('{"lr": 0.5, "rmi_loss": true}')
    args = train.parse_args(['--config', str(tmp_path / 'flags.json')])
    assert (args.lr, args.rmi_loss) == (0.5, True)


@pytest.mark.parametrize('name, flags', [('run', ['--eval', 'val']), ('finetune_from', [])])
def test_the_record_of_a_tested_run_and_of_a_finetuned_one_can_be_given_again(directory, tmp_path, name, flags):
    args = train.parse_args([f'--{name}', str(directory), *flags, '--no_do_flip'])
    flat = {key: plain(value) for key, value in vars(args).items() if key != 'given'}
    (tmp_path / 'hparams.json').write_text(json.dumps({**flat, 'command': {}}))
    again = train.parse_args(['--config', str(tmp_path / 'hparams.json')])
    assert (again.snapshot, again.pre_size, again.do_flip) == (args.snapshot, args.pre_size, False)
    assert again.finetune_from == args.finetune_from and again.run is None  # all that the run had is there


def test_the_record_of_a_training_is_no_file_of_flags_for_another_program(directory):
    with pytest.raises(
        ValueError, match=r'is the record of a run of train.py, whose flags are not those of predict.py'
    ):
        predict.parse_args(['x.png', '--config', str(directory / 'hparams.json')])


def test_a_value_is_read_as_if_it_were_typed_and_nothing_is_the_default():
    assert run_record.read_value('crop_size', [48, 64], 'x') == (48, 64)
    assert run_record.read_value('extra_scales', [0.25], 'x') == (0.25,)
    assert run_record.read_value('lr', None, 'x') == 0.002
    assert run_record.read_value('do_flip', True, 'x') is True
    assert run_record.read_value('log_to', [], 'x') == run_record.read_value('measures', [], 'x') == ()


def test_a_switch_of_a_file_is_turned_off_by_its_twin(tmp_path):
    (tmp_path / 'flags.yml').write_text('do_flip: true\nrmi_loss: true\n')
    args = train.parse_args(['--config', str(tmp_path / 'flags.yml'), '--no_do_flip'])
    assert (args.do_flip, args.rmi_loss) == (False, True)
    assert SETTINGS['do_flip'].words(False) == ['--no_do_flip']


def test_a_list_of_files_is_found_from_the_folder_of_its_run(tmp_path):
    (tmp_path / 'a.pth').touch()
    record = {'teacher': ['a.pth', 'b.pth'], 'command': {'folder': str(tmp_path)}}
    assert run_record.flags_of(record, 'x')['teacher'] == (str(tmp_path / 'a.pth'), 'b.pth')
