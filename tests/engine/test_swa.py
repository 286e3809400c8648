"""Stochastic weight averaging: the mean of weights, batch statistics, rates, the checkpoint, stops."""

from types import SimpleNamespace

import pytest
import torch
from small import EPOCH, on_two_processes, stop_after
from torch import nn
from torch.optim.swa_utils import AveragedModel

import train
from engine import swa
from engine.distributed import Dist, init_from_env
from engine.keeper import CheckpointKeeper
from engine.trainer import Stopped
from loss.optimizer import get_scheduler
from utils import checkpoint
from utils.files.metrics_csv import MetricsTable

SHORT = [*EPOCH, '--epoch_batches', '2', '--max_epoch', '3', '--swa_epochs', '2', '--lr', '0.02']


def test_the_average_is_the_mean_of_the_weights_of_the_last_epochs():
    net = nn.Linear(1, 1, bias=False)
    average = AveragedModel(net)
    for epoch, weight in enumerate([7.0, 9.0, 1.0, 2.0, 6.0]):
        nn.init.constant_(net.weight, weight)
        swa.add_epoch(average, net, epoch, first=2)
    assert average.module.weight.item() == 3.0 and average.n_averaged == 3


def test_an_average_whose_epochs_were_put_off_begins_again():
    net = nn.Linear(1, 1, bias=False)
    average = AveragedModel(net)
    for weight, epoch, first in ((5.0, 0, 0), (8.0, 1, 2), (4.0, 2, 2), (2.0, 3, 2)):
        nn.init.constant_(net.weight, weight)
        swa.add_epoch(average, net, epoch, first)
    assert average.module.weight.item() == 3.0 and average.n_averaged == 2


def image(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_batch_statistics_are_those_of_all_batches_together():
    net = nn.Sequential(nn.BatchNorm2d(1, momentum=0.1))
    count = swa.renew_statistics(net, [image(0, 2), image(4, 8)], net, Dist())
    assert count == 2 and net[0].momentum == 0.1
    assert net[0].running_mean.item() == 3.5  # of 1 and 6
    assert net[0].running_var.item() == (2 + 1**2 + 8 + 6**2) / 2 - 3.5**2
    before = net[0].running_mean.clone()
    net(image(0, 100))
    assert net[0].running_mean.item() == pytest.approx(0.9 * before.item() + 0.1 * 50), 'nothing is left behind'


def test_every_pass_through_a_norm_counts_and_frozen_norms_stay():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.frozen = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

        def train(self, mode=True):
            super().train(mode)
            self.frozen.eval()
            return self

        def forward(self, x):
            return self.frozen(self.norm(x)) + self.norm(x + 10)

    net = Twice()
    assert swa.renew_statistics(net, [image(0, 2)], net, Dist()) == 1
    assert net.norm.running_mean.item() == 6  # of 1 and 11
    assert net.frozen.running_mean.item() == 0 and net.frozen.running_var.item() == 1


def test_a_network_without_such_norms_has_nothing_to_renew():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1), nn.BatchNorm2d(1, track_running_stats=False))
    assert swa.renew_statistics(net, [image(0, 2)], net, Dist()) == 0


def _statistics_of_two_ranks(folder):
    dist = init_from_env(True, None, 5)
    net = nn.Sequential(nn.BatchNorm2d(1))
    swa.renew_statistics(net, [image(0, 2) if dist.rank == 0 else image(4, 8)], net, dist)
    torch.save((net[0].running_mean, net[0].running_var), folder / f'{dist.rank}.pt')
    dist.shutdown()


def test_several_processes_find_the_statistics_of_all_their_batches(tmp_path):
    on_two_processes(_statistics_of_two_ranks, tmp_path)
    for rank in range(2):
        mean, variance = torch.load(tmp_path / f'{rank}.pt')
        assert mean.item() == 3.5 and variance.item() == 47 / 2 - 3.5**2


@pytest.mark.parametrize(
    'flags, expected',
    [
        ([], [0.5, 0.4, 0.4, 0.4, 0.4]),
        (['--swa_lr', '0.01'], [0.5, 0.1, 0.1, 0.1, 0.1]),
        (['--swa_lr', '0.01', '--swa_anneal_epochs', '2'], [0.5, 0.4, 0.25, 0.1, 0.1]),
    ],
)
def test_the_rate_is_constant_in_the_last_epochs(flags, expected):
    args = train.parse_args(['--max_epoch', '10', '--swa_epochs', '4', '--lr', '0.1', *flags])
    optimizer = torch.optim.SGD([{'params': [nn.Parameter(torch.zeros(1))], 'lr': 0.1}], lr=0.1)
    scheduler, rates = get_scheduler(optimizer, args, 1), []
    for epoch in range(5, 10):
        scheduler.enter(epoch)
        rates.append(optimizer.param_groups[0]['lr'] / 0.1)
    assert rates == pytest.approx(expected)


def average(folder, epoch=2):
    return checkpoint.load(folder / f'swa_checkpoint_ep{epoch}.pth')


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_training_ends_with_the_mean_of_the_last_weights_in_a_checkpoint_of_its_own(program, monkeypatch):
    ends, original = [], CheckpointKeeper.save

    def save(self, state, epoch, score=None, is_epoch_end=True):
        if is_epoch_end and len(ends) == epoch:
            ends.append({key: value.clone() for key, value in state['state_dict'].items()})
        return original(self, state, epoch, score, is_epoch_end)

    monkeypatch.setattr(CheckpointKeeper, 'save', save)
    code, printed = program(*SHORT)
    assert code == 0 and len(ends) == 3, printed
    assert '--swa_epochs: the mean of the weights of 2 epochs, batch statistics of 2 batches: mean IoU 0.' in printed
    state, statistics = average(program.run_dir), ('running_mean', 'running_var', 'num_batches_tracked')
    assert state['averaged_epochs'] == 2 and 'optimizer' not in state
    for key, value in state['state_dict'].items():
        mean = (ends[1][key].double() + ends[2][key].double()) / 2
        if key.endswith(statistics):
            continue
        assert torch.allclose(value.double(), mean, rtol=0, atol=1e-6), key
    assert not torch.equal(state['state_dict']['backbone.bn1.running_mean'], ends[2]['backbone.bn1.running_mean'])
    row = MetricsTable.read(program.run_dir / 'metrics.csv').of('swa')
    assert row[2]['mean_iu'] == pytest.approx(state['mean_iu'])
    code, printed = program(*SHORT, '--resume', 'auto')
    assert code == 0 and 'nothing to train' in printed and 'the mean of the weights' not in printed, 'scored once'
    code, scored = program(
        *('--eval', 'val', '--snapshot', program.run_dir / 'swa_checkpoint_ep2.pth'),
        *('--result_dir', program.run_dir.parent / 'eval'),
        small=False,
    )
    assert code == 0 and f'[mean_iu {state["mean_iu"]:0.5f}]' in scored


@pytest.mark.parametrize('score, best', [(1.0, 'average'), (0.0, 'epoch'), (None, 'epoch')])
def test_the_average_is_the_best_checkpoint_where_it_is_better(program, monkeypatch, score, best):
    numbers = None if score is None else {'mean_iu': score}
    monkeypatch.setattr(swa, 'score_alone', lambda *_: numbers)
    assert program(*SHORT, '--max_epoch', '1', '--swa_epochs', '1', '--ema', '0.5')[0] == 0
    [file] = program.run_dir.glob('best_checkpoint_ep*.pth')
    state, last = checkpoint.load(file), checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')
    assert (state.get('averaged_epochs') == 1) is (best == 'average')
    assert last['best_epoch'] == 0 and (last['best_score'] == 1.0) is (best == 'average') and last['score'] < 1
    assert last['ema'] and 'optimizer' in last, 'the last checkpoint goes on with both averages'
    assert same(checkpoint.evaluated_weights(average(program.run_dir, 0)), average(program.run_dir, 0)['state_dict'])


def test_a_run_that_was_stopped_between_two_averaged_epochs_ends_in_the_same_bits(program, tmp_path):
    flags, stopped = [*SHORT, '--max_epoch', '2'], tmp_path / 'stopped'
    assert program(*flags)[0] == 0
    stop_after(3)
    assert program(*flags, '--result_dir', stopped)[0] == 75
    assert checkpoint.load(stopped / 'last_checkpoint_ep1.pth')['swa']['n_averaged'] == 1
    code, printed = program(*flags, '--result_dir', stopped, '--resume', 'auto')
    assert code == 0, printed
    assert same(average(program.run_dir, 1)['state_dict'], average(stopped, 1)['state_dict'])


def test_a_run_that_was_stopped_as_the_average_was_scored_scores_it_when_it_goes_on(program, monkeypatch):
    original, calls = swa.score_alone, []

    def score(*arguments):
        calls.append(arguments[2].nets[0].state_dict())
        if len(calls) == 1:
            raise Stopped
        return original(*arguments)

    monkeypatch.setattr(swa, 'score_alone', score)
    flags = [*SHORT, '--max_epoch', '1', '--swa_epochs', '1']
    program(*flags)
    assert not list(program.run_dir.glob('swa*'))
    first = {key: value.clone() for key, value in calls[0].items()}
    code, printed = program(*flags, '--resume', 'auto')
    assert code == 0 and 'the mean of the weights of 1 epoch' in printed, printed
    assert same(first, average(program.run_dir, 0)['state_dict'])


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--max_epoch', '3', '--swa_epochs', '4'], '--swa_epochs 4: the training has 3 epochs'),
        (['--swa_epochs', '2', '--early_stop', '3'], '--early_stop ends a training before'),
        (['--swa_epochs', '2', '--overfit', '3'], '--overfit ends a training before'),
    ],
)
def test_flags_that_contradict_it_are_named(flags, words, capsys):
    assert train.main(flags) == 2
    assert words in capsys.readouterr().err


def test_an_average_of_no_epoch_is_said(capsys):
    said = []
    learner = SimpleNamespace(swa=AveragedModel(nn.Linear(1, 1)))
    training = SimpleNamespace(learner=learner, position=SimpleNamespace(epoch=3), run=None, log=said.append)
    swa.score_average(training, None)
    assert said == ['--swa_epochs: no epoch was averaged, there is nothing to score']
