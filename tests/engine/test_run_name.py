"""Run directories by --exp: what stands in their names, and that a run is found again."""

import json

import pytest
from small import EPOCH, stop_after

import train
from engine.run_name import LONGEST, in_named_directory


def named(*words):
    return in_named_directory(train.parse_args([*map(str, words)]))


def test_the_changed_flags_stand_in_the_name_in_the_order_of_their_declarations():
    first = named('--exp', 'base', '--lr', '0.01', '--crop_size', '64,128', '--rmi_loss', '--max_epoch', '180')
    second = named('--rmi_loss', '--crop_size=64,128', '--exp', 'base', '--num_workers', '1', '--lr', '1e-2')
    assert first.result_dir == 'logs/cityscapes/ocrnet.HRNet_Mscale/base__crop_size_64_128__rmi_loss__lr_0.01'
    assert second.result_dir == first.result_dir and first.exp is None


def test_network_and_data_set_are_folders_and_without_a_change_the_name_stands_alone():
    args = named('--exp', 'a', '--arch', 'UNet', '--dataset', 'camvid', '--result_dir', 'runs')
    assert args.result_dir == 'runs/camvid/UNet/a'
    assert named('--exp', 'a', '--recipe', 'small').result_dir == 'logs/cityscapes/recipe_small/a__recipe_small'


def test_paths_lose_their_folders_and_brackets_their_characters():
    args = named('--exp', 'a', '--pretrained', '/net/x y/weights(1).pth', '--loss', 'rmi, ce')
    assert args.result_dir.endswith('/a__pretrained_weights1.pth__loss_rmi_ce')


def test_a_long_name_ends_in_a_checksum_of_the_whole():
    many = ','.join(['0.123456789'] * 30)
    first, second = (named('--exp', 'a', '--loss', 'ce', '--loss_weights', f'{many},{last}') for last in (1, 2))
    names = [args.result_dir.rpartition('/')[2] for args in (first, second)]
    assert [len(name) for name in names] == [LONGEST] * 2 and names[0] != names[1]
    assert names[0][:-8] == names[1][:-8] and names[0].startswith('a__loss_ce__loss_weights_0.123456789_')


def test_a_file_of_flags_stands_for_all_in_it(tmp_path):
    path = tmp_path / 'strong.yml'
    path.write_text('lr: 0.1\nrmi_loss: true\nfp16: true\n')
    assert named('--config', path, '--exp', 'a').result_dir.endswith('/a__config_strong')
    changed = named('--config', path, '--exp', 'a', '--lr', '0.2', '--no_rmi_loss')
    assert changed.result_dir.endswith('/a__config_strong__no_rmi_loss__lr_0.2')


@pytest.mark.parametrize('name', ['../up', 'a/b', '.hidden', 'a b', 'ü', '', 'x' * 81])
def test_a_name_that_is_no_folder_is_refused(name):
    if name:
        with pytest.raises(ValueError, match=r"--exp '.*is no name of a folder"):
            named('--exp', name)
    else:
        assert named('--exp', name).result_dir == 'logs'


def test_a_run_is_found_again_by_the_same_command_and_records_its_directory(program, snapshot):
    flags = [*EPOCH, '--exp', 'again', '--lr', '0.01', '--resume', 'auto', '--snapshot', snapshot]
    stop_after(2)
    code, printed = program(*flags)
    [run] = program.run_dir.glob('synthetic/ocrnet.HRNet_Mscale/again__*')
    assert code == 75 and run.name.endswith('__lr_0.01__max_epoch_1'), printed
    assert json.loads((run / 'hparams.json').read_text())['result_dir'] == str(run)
    code, printed = program(*flags)
    assert code == 0 and f'continuing {run}' in printed
    code, printed = program('--resume', run, '--exp', 'again')
    assert code == 2 and f'--resume {run} and --exp again both say where the run is' in printed
    assert [item.name for item in program.run_dir.glob('synthetic/*/*')] == [run.name]
