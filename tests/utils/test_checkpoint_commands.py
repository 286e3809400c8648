"""python -m utils.checkpoint show, trim and average."""

import pytest
import torch

import network
from utils import checkpoint
from utils.cli.checkpoint_commands import main

WEIGHTS = {
    'conv.weight': torch.tensor([1.0, 3.0]),
    'bn.running_var': torch.tensor([1e6]),
    'bn.num_batches_tracked': torch.tensor(7),
}


def write(path, weights, **more):
    checkpoint.save(path, {'state_dict': weights, 'arch': 'basic.HRNet', 'class_names': ['road', 'car'], **more})
    return str(path)


def test_trim_keeps_the_evaluated_weights_and_the_description(tmp_path):
    ema = {f'module.{key}': value + 1 for key, value in WEIGHTS.items()}
    file = write(
        tmp_path / 'a.pth',
        WEIGHTS,
        ema=ema,
        optimizer={'state': {}},
        command='train.py',
        args={'result_dir': '/home/me'},
        epoch=3,
    )
    assert main(['trim', file, str(tmp_path / 'out.pth')]) == 0
    state = checkpoint.load(tmp_path / 'out.pth')
    assert state.keys() == {'state_dict', 'arch', 'class_names', 'epoch'}
    assert state['state_dict']['conv.weight'].tolist() == [2.0, 4.0]


def test_trim_keeps_all_that_describes_a_network(snapshot, tmp_path):
    assert main(['trim', str(snapshot), str(tmp_path / 'out.pth')]) == 0
    net = network.load(tmp_path / 'out.pth')
    described = network.description(net, net.trained_on.classes, dataset='x', mean=(0,) * 3, std=(1,) * 3)
    kept = checkpoint.load(tmp_path / 'out.pth')
    assert (
        described.keys() | {'state_dict', 'epoch', 'score', 'best_metric'}
        >= kept.keys()
        >= described.keys() | {'state_dict'}
    )


def test_show_names_what_the_score_is(tmp_path, capsys):
    assert main(['show', write(tmp_path / 'a.pth', WEIGHTS, score=0.25, best_metric='dice')]) == 0
    assert 'score: 0.25\nscore is: dice\n' in capsys.readouterr().out
    with pytest.raises(ValueError, match="its entry 'best_metric' is 3, expected text"):
        checkpoint.load(write(tmp_path / 'b.pth', WEIGHTS, best_metric=3))


def test_half_weights_leave_batch_statistics_whole(tmp_path, capsys):
    pytest.importorskip('safetensors')
    out = tmp_path / 'out.safetensors'
    assert main(['trim', write(tmp_path / 'a.pth', WEIGHTS), str(out), '--half']) == 0
    weights = checkpoint.load(out)['state_dict']
    assert weights['conv.weight'].dtype == torch.float16 and weights['conv.weight'].tolist() == [1.0, 3.0]
    assert weights['bn.running_var'].tolist() == [1e6] and weights['bn.num_batches_tracked'].item() == 7
    assert 'in 3 tensors (float16, float32, int64)' in capsys.readouterr().out


def test_average_is_the_mean_of_every_weight_and_counters_are_the_last(tmp_path):
    other = {key: value * 3 for key, value in WEIGHTS.items()}
    files = [write(tmp_path / 'a.pth', WEIGHTS), write(tmp_path / 'b.pth', other)]
    assert main(['average', *files, '--out', str(tmp_path / 'out.pth')]) == 0
    weights = checkpoint.load(tmp_path / 'out.pth')['state_dict']
    assert {key: value.tolist() for key, value in weights.items()} == {
        'conv.weight': [2.0, 6.0],
        'bn.running_var': [2e6],
        'bn.num_batches_tracked': 21,
    }


@pytest.mark.parametrize(
    'weights', [{**WEIGHTS, 'more': torch.zeros(1)}, {**WEIGHTS, 'conv.weight': torch.zeros(3)}], ids=['name', 'shape']
)
def test_the_average_of_two_networks_is_refused_and_nothing_is_written(tmp_path, capsys, weights):
    files = [write(tmp_path / 'a.pth', WEIGHTS), write(tmp_path / 'b.pth', weights)]
    assert main(['average', *files, '--out', str(tmp_path / 'out.pth')]) == 2
    different = 'more' if 'more' in weights else 'conv.weight'
    assert f'b.pth: is another network than {files[0]}, {different} differ' in capsys.readouterr().err
    assert not (tmp_path / 'out.pth').exists()


def test_show_says_what_a_file_is_and_holds(tmp_path, capsys):
    file = write(tmp_path / 'a.pth', WEIGHTS, trunk='hrnetv2', optimizer={'state': {1: 2}}, epoch=3, score=0.5)
    assert main(['show', file, '--debug']) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f'{file}: 0.0 MB')
    assert lines == [
        'weights: 0.0 M values in 3 tensors (float32, int64)',
        'network: basic.HRNet on hrnetv2',
        'classes: 2: road, car',
        'epoch: 3',
        'score: 0.5',
        'to go on with: optimizer',
    ]


def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path, capsys):
    file, out = write(tmp_path / 'a.pth', WEIGHTS), tmp_path / 'out.pth'
    out.write_text('mine')
    assert main(['trim', file, str(out)]) == 2
    assert 'is there already; give another name or --overwrite' in capsys.readouterr().err and out.read_text() == 'mine'
    assert main(['trim', file, str(out), '--overwrite']) == 0
    assert checkpoint.load(out)['arch'] == 'basic.HRNet'


@pytest.mark.parametrize('limit, kept', [(None, {'score', 'best_metric'}), ((58, 4), set())])
def test_a_score_of_a_part_of_the_images_is_not_handed_on(tmp_path, limit, kept):
    file = write(tmp_path / 'a.pth', WEIGHTS, score=0.5, best_metric='dice', args={'limit_batches': limit})
    assert main(['trim', file, str(tmp_path / 'out.pth')]) == 0
    assert checkpoint.load(tmp_path / 'out.pth').keys() & {'score', 'best_metric'} == kept


def test_an_average_has_no_score(tmp_path):
    files = [write(tmp_path / name, WEIGHTS, score=0.5, best_metric='dice') for name in ('a.pth', 'b.pth')]
    assert main(['average', *files, '--out', str(tmp_path / 'out.pth')]) == 0
    assert not checkpoint.load(tmp_path / 'out.pth').keys() & {'score', 'best_metric'}
