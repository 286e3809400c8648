import pytest

import predict
import train
from datasets.verify.commandline import build_parser as verify_parser
from utils.cli import flags
from utils.cli.mistyped import ELSEWHERE
from utils.settings import SETTINGS


@pytest.mark.parametrize(
    'argv, message',
    [
        (['--learning_rate', '1'], 'unknown flag --learning_rate; it is called --lr here'),
        (['--batch_size', '4'], 'unknown flag --batch_size; it is called --bs_trn or --bs_val here'),
        (['--batch-size=4'], 'unknown flag --batch-size; it is called --bs_trn or --bs_val here'),
        (
            ['--gpu', '0'],
            'unknown flag --gpu; which GPUs are used is said before the command, by CUDA_VISIBLE_DEVICES=0',
        ),
        (['--lr'], '--lr: expected one argument; it is --lr RATE: learning rate at the start (default: 0.002)'),
        (['--precision'], 'it is --precision {fp32,fp16,bf16}: arithmetic of the network'),
        (['--coarse_boost_classes'], 'it is --coarse_boost_classes'),
        (['--lrr', '1'], 'did you mean --lr'),
        (['--l', '1'], 'unknown flag --l;'),
        (['--config', 'nowhere.yml'], '--config nowhere.yml: cannot be read'),
        (['--lr', 'fast'], "--lr: 'fast' is not a number, such as 0.5"),
        (['--n_scales', '0.5,2.0'], 'lacks 1.0'),
        (['--n_scales', 'half,1.0'], "'half,1.0' is not a comma list of numbers, such as 0.5,0.5"),
        (['--crop_size', '1,2,3'], 'has 3 values, expected 1 or 2'),
        (['--scale_min', '2', '--scale_max', '1'], '--scale_min 2.0 is above --scale_max 1.0'),
        (['--eval', 'folder'], 'needs --eval_folder'),
        (['--eval_folder', 'x'], 'only read with --eval folder'),
        (['--resume', 'a', '--snapshot', 'b'], 'give one'),
        (['--resume', 'a', '--eval', 'val'], '--resume continues a training'),
        (['--restore_optimizer'], 'needs --snapshot'),
        (['--allow_class_mismatch'], 'needs --snapshot'),
        (['--crop_val'], 'needs --pre_size'),
        (['--dump_logits'], 'add --eval'),
        (['--dump_topn', '2', '--eval', 'folder', '--eval_folder', 'x', '--snapshot', 'y'], 'needs labels'),
        (['--loss_weights', '1,2'], 'needs --loss'),
        (['--loss', 'ce', '--rmi_loss'], 'give one'),
        (['--fp16', '--precision', 'bf16'], 'contradict'),
        (['--class_uniform_pct', '1.2'], '1.2 is out of range; give a number of at least 0 and of at most 1'),
        (['--cv', '-1'], '-1 is out of range; give a whole number of at least 0'),
    ],
)
def test_a_mistake_is_told_in_one_line_and_ends_with_code_2(argv, message, capsys):
    assert train.main(argv) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count('\n') == 1, printed


def test_every_name_from_elsewhere_leads_to_a_flag_of_some_program():
    known = {name for names in ELSEWHERE.values() for name in names}
    flags_of_all = set(SETTINGS) | {
        name for parser in (predict.build_parser(), verify_parser()) for name in vars(parser.parse_args([]))
    }
    assert known <= flags_of_all
    assert not ELSEWHERE.keys() & set(SETTINGS) - {'num_workers'}


def test_the_published_commands_parse_to_what_they_say():
    args = train.parse_args(
        '--dataset cityscapes --cv 0 --syncbn --distributed --result_dir R --crop_size 1052,1914 --fp16 --bs_trn 3'
        ' --bs_val 3 --poly_exp 2 --lr 1e-2 --supervised_mscale_loss_wt 0.05 --max_epoch 175 --arch ocrnet.HRNet_Mscale'
        ' --n_scales 0.5,1.0,2.0 --rmi_loss --class_uniform_tile 1024 --assets_path A --override_dataset_root D'
        ' --snapshot ASSETS_PATH/seg_weights/F.pth'.split()
    )
    assert (args.crop_size, args.n_scales, args.precision, args.lr, args.snapshot) == (
        (1052, 1914),
        (0.5, 1.0, 2.0),
        'fp16',
        0.01,
        'A/seg_weights/F.pth',
    )


def test_a_yaml_file_stands_under_the_command_line(tmp_path):
    path = tmp_path / 'recipe.yml'
    path.write_text('lr: 0.5\nrmi_loss: true\nfp16: false\ncrop_size: [64, 128]\nmax_epoch: 3\n')
    args = train.parse_args(['--config', str(path), '--max_epoch', '7'])
    assert (args.lr, args.rmi_loss, args.fp16, args.crop_size, args.max_epoch) == (0.5, True, False, (64, 128), 7)


@pytest.mark.parametrize(
    'text, message',
    [
        ('learn: 1', 'unknown key for flag --learn'),
        ('lr: [', 'not YAML'),
        ('lr: 1\nlr: 2', "key 'lr' stands twice at line 2"),
        ('- 1', 'holds a list'),
        ('fp16: 1', 'is a switch'),
        ('lr: quick', "recipe.yml: lr: 'quick' is not a number"),
        ('lr: 0.1\nmax_epoch: -1', 'recipe.yml: max_epoch: -1 is out of range; give a whole number of at least 1'),
        ('optimizer: adamx', "recipe.yml: optimizer: invalid choice: 'adamx'"),
        ('config: more.yml', 'names another file of flags, which is not read'),
    ],
)
def test_a_mistake_in_a_yaml_file_is_an_error(tmp_path, text, message):
    path = tmp_path / 'recipe.yml'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        train.parse_args(['--config', str(path)])


def test_test_mode_is_two_epochs():
    assert train.parse_args(['--test_mode', '--max_epoch', '9']).max_epoch == 2


def test_network_flags_come_from_the_checkpoint_unless_given():
    lines = []
    args = train.parse_args(['--eval', 'val', '--snapshot', 'F', '--ocr_key_channels', '8'])
    adopted = flags.adopt_network(
        args, {'arch': 'ocrnet.HRNet', 'network': {'trunk': 'hrnetv2_w18', 'ocr_key_channels': 16}}, lines.append
    )
    assert (adopted.arch, adopted.trunk, adopted.ocr_key_channels) == ('ocrnet.HRNet', 'hrnetv2_w18', 8)
    assert (args.arch, args.trunk) == ('ocrnet.HRNet_Mscale', None)
    assert len(lines) == 2
    args = train.parse_args(['--resume', 'F', '--arch', 'basic.HRNet'])
    with pytest.raises(ValueError, match='leave the flag out'):
        flags.adopt_network(args, {'arch': 'ocrnet.HRNet'}, lines.append)


def test_a_start_from_other_weights_under_resume_auto_may_have_another_network():
    args = train.parse_args(['--resume', 'auto', '--snapshot', 'F', '--arch', 'basic.HRNet'])
    # the snapshot's: there was nothing to continue
    assert flags.adopt_network(args, {'arch': 'ocrnet.HRNet_Mscale'}, lambda line: None).arch == 'basic.HRNet'
    # as load_state leaves it when it found a run to continue
    args = flags.with_values(args, snapshot=None)
    with pytest.raises(ValueError, match='the run to resume has arch ocrnet.HRNet_Mscale'):
        flags.adopt_network(args, {'arch': 'ocrnet.HRNet_Mscale'}, lambda line: None)


def test_a_run_that_stopped_within_an_epoch_goes_on_in_as_many_processes():
    args = train.parse_args([])
    state = {'args': vars(args), 'rng': [{}, {}]}
    flags.check_same_steps(args, state, 2)
    for world in (1, 3):
        with pytest.raises(ValueError, match=rf'found {world} processes \(were 2\); resume with the old values'):
            flags.check_same_steps(args, state, world)


def test_how_a_snapshot_was_loaded_does_not_matter_to_a_resumed_run():
    before = vars(
        train.parse_args(['--snapshot', 'F', '--allow_class_mismatch', '--snapshot_partial', '--restore_optimizer'])
    )
    assert flags.changed_since(train.parse_args(['--resume', 'auto']), {'args': before}) == []
    assert flags.changed_since(train.parse_args(['--resume', 'auto', '--lr', '1']), {'args': before}) == [
        f'--lr 1.0 (was {before["lr"]})'
    ]


def test_flags_of_a_training_are_told_when_they_are_given_to_an_evaluation():
    told = flags.unread(
        train.parse_args(
            [
                '--eval',
                'val',
                '--random_weights',
                '--lr',
                '1',
                '--grad_ckpt',
                '--pre_size',
                '64',
                '--crop_val',
                '--bs_val',
                '2',
                '--test_mode',
            ]
        )
    )
    assert told == ['--grad_ckpt, --lr: no effect with --eval']
    assert flags.unread(train.parse_args(['--lr', '1', '--grad_ckpt'])) == []


def test_the_old_name_of_a_flag_is_the_flag():
    args = train.parse_args(['-wb', '3'])
    assert (args.wt_bound, args.given) == (3.0, ['wt_bound'])
    assert flags.unread(args) == ['--wt_bound has no effect without --img_wt_loss or --jointwtborder or --loss']
    assert flags.unread(train.parse_args(['-wb=3', '--eval', 'val', '--random_weights'])) == [
        '--wt_bound: no effect with --eval'
    ]


def test_the_flags_of_a_command_line_are_complete():
    args = train.parse_args([])
    assert (args.arch, args.precision, args.source) == ('ocrnet.HRNet_Mscale', 'fp32', None)
    assert set(SETTINGS) | {'given', 'source'} == set(vars(args))


def test_flags_that_only_an_evaluation_reads_are_told_when_they_are_given_to_a_training():
    told = flags.unread(train.parse_args(['--overwrite', '--no_metrics', '--logits_format', 'npy']))
    assert told == [
        '--logits_format has no effect without --dump_logits',
        '--no_metrics has no effect without --eval',
        '--overwrite has no effect without --eval',
    ]
