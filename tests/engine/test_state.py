import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engine.distributed import Dist
from engine.seeding import capture_rng, set_rng
from engine.state import pack_state, resume_learner, resume_optimizer, resume_random_state
from engine.trainer import Position
from utils import checkpoint
from utils.restore import restore_weights


def draw():
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.rand(3).tolist(),
        np.random.randn(),
        torch.rand(3).tolist(),
        torch.randperm(9).tolist(),
    ]


def test_every_generator_goes_on_bit_for_bit_after_a_trip_through_a_file(tmp_path):
    draw()  # an odd number of normal draws: Python and NumPy both hold one back
    np.random.randn(), random.gauss(0, 1)
    checkpoint.save(tmp_path / 'a.pth', {'state_dict': {}, 'rng': [capture_rng()]})
    expected = [draw() for _ in range(3)]
    draw()
    set_rng(checkpoint.load(tmp_path / 'a.pth')['rng'][0])
    assert [draw() for _ in range(3)] == expected


class Trainee:
    """A small training with every part that has a state."""

    def __init__(self, kind='sgd', lr=0.1, features=4):
        self.net = nn.Sequential(nn.Linear(features, 3), nn.Dropout(0.5), nn.Linear(3, 1))
        options = {
            'sgd': (torch.optim.SGD, {'momentum': 0.9}),
            'adam': (torch.optim.Adam, {}),
            'adamw': (torch.optim.AdamW, {}),
        }
        self.optimizer = options[kind][0](self.net.parameters(), lr, **options[kind][1])
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda epoch: (1 - epoch / 100) ** 2)
        self.scaler = torch.amp.GradScaler('cpu', init_scale=64.0, growth_interval=3)
        self.ema = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
        self.swa = AveragedModel(self.net)

    def steps(self, count):
        for _ in range(count):
            loss = self.net(torch.randn(5, 4)).square().mean()
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.scheduler.step()
            self.ema.update_parameters(self.net)

    def pack(self, **more):
        return pack_state(self, Position(epoch=2, batch=5, step=11), [capture_rng()], **more)

    def numbers(self):
        return [
            *(p.tolist() for p in self.net.parameters()),
            *(p.tolist() for p in self.ema.parameters()),
            self.optimizer.param_groups[0]['lr'],
            self.scaler.get_scale(),
            self.scheduler.last_epoch,
        ]


@pytest.mark.parametrize('kind', ['sgd', 'adamw'])
def test_a_restored_training_takes_the_same_steps_bit_for_bit(tmp_path, kind):
    torch.manual_seed(0)
    whole = Trainee(kind)
    whole.steps(4)
    checkpoint.save(tmp_path / 'a.pth', whole.pack(arch='toy', class_names=['road', 'sky']))
    whole.steps(4)

    torch.manual_seed(99)
    resumed, state = Trainee(kind), checkpoint.load(tmp_path / 'a.pth')
    restore_weights(resumed.net, state['state_dict'])
    said = []
    resume_learner(state, 'a.pth', resumed, log=said.append)
    resume_random_state(state, 'a.pth', Dist(), said.append)
    resumed.scheduler.load_state_dict(state['scheduler'])  # train.py enters its schedule by the position
    resumed.optimizer.param_groups[0]['lr'] = resumed.scheduler.get_last_lr()[0]
    resumed.steps(4)
    assert resumed.numbers() == whole.numbers()
    assert said == []
    assert (state['epoch'], state['batch_in_epoch'], state['global_step'], state['arch'], state['class_names']) == (
        2,
        5,
        11,
        'toy',
        ['road', 'sky'],
    )


def test_weights_are_stored_without_the_prefixes_of_wrappers():
    trainee = Trainee()
    trainee.net = nn.DataParallel(trainee.net)
    assert list(trainee.pack()['state_dict']) == ['0.weight', '0.bias', '2.weight', '2.bias']


def test_parts_that_an_older_file_lacks_start_anew_and_are_named():
    trainee, said = Trainee(), []
    state = {'state_dict': {}, 'optimizer': trainee.optimizer.state_dict(), 'epoch': 3}
    resume_learner(state, 'old.pth', trainee, log=said.append)
    resume_random_state(state, 'old.pth', Dist(), said.append)
    assert said == [f'old.pth: holds no {part} state, it starts anew' for part in ('scaler', 'ema')] + [
        'old.pth: holds the random states of 0 processes, this run has 1; they start anew, so it continues but not bit'
        ' for bit'
    ]


def test_learning_rate_and_weight_decay_stay_those_of_this_runs_flags():
    saved, resumed = Trainee(lr=0.1), Trainee(lr=0.7)
    saved.steps(2)
    resume_optimizer(saved.pack(), 'a.pth', resumed.optimizer)
    assert resumed.optimizer.param_groups[0]['lr'] == 0.7
    moments = [
        [state[key] for state in optimizer.state.values() for key in state]
        for optimizer in (saved.optimizer, resumed.optimizer)
    ]
    assert moments[0] and all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(*moments))


def test_averaged_weights_that_the_run_does_not_continue_are_named():
    trainee, said = Trainee(), []
    state, trainee.ema = trainee.pack(), None
    resume_learner(state, 'a.pth', trainee, log=said.append)
    assert said == ['a.pth: its averaged weights are left out; give --ema to continue them']


def test_averaged_weights_can_be_loaded_in_the_place_of_the_weights():
    trainee = Trainee()
    trainee.steps(3)
    averaged = checkpoint.averaged_weights(trainee.pack())
    net = Trainee().net
    assert restore_weights(net, averaged).complete
    assert torch.equal(net[0].weight, trainee.ema.module[0].weight)
    assert not torch.equal(net[0].weight, trainee.net[0].weight)
    assert checkpoint.averaged_weights({'state_dict': {}, 'ema': None}) is None


def test_each_rank_gets_its_own_generators_back():
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(capture_rng())
    resume_random_state({'rng': states}, 'a.pth', Dist(rank=1, world=2))
    second = torch.rand(1)
    torch.manual_seed(2)
    assert torch.equal(second, torch.rand(1))


def test_a_file_without_an_optimizer_is_an_error_that_names_the_flag():
    with pytest.raises(
        ValueError,
        match=r'w.pth: holds no optimizer state \(entries: state_dict\); take its weights alone with --snapshot',
    ):
        resume_optimizer({'state_dict': {}}, 'w.pth', Trainee().optimizer)


def test_another_optimizer_is_named():
    state = Trainee('adam').pack()
    with pytest.raises(
        ValueError, match='a.pth: its optimizer is Adam, this run uses SGD; resume with the --optimizer'
    ):
        resume_optimizer(state, 'a.pth', Trainee('sgd').optimizer)
    del state['optimizer_name']
    with pytest.raises(ValueError, match='its optimizer is of another kind, this run uses SGD'):
        resume_optimizer(state, 'a.pth', Trainee('sgd').optimizer)


def test_the_optimizer_of_another_network_is_an_error():
    other = Trainee()
    other.net.append(nn.Linear(1, 1))
    optimizer = torch.optim.SGD(other.net.parameters(), 0.1, momentum=0.9)
    with pytest.raises(ValueError, match='a.pth: its optimizer state belongs to another network'):
        resume_optimizer({'optimizer': optimizer.state_dict()}, 'a.pth', Trainee().optimizer)


def test_an_optimizer_for_other_shapes_is_an_error():
    source = Trainee()
    source.steps(1)
    with pytest.raises(
        ValueError, match=r'a.pth: its optimizer state is for parameters of other shapes \(\(3, 4\) for \(3, 7\)\)'
    ):
        resume_optimizer(source.pack(), 'a.pth', Trainee(features=7).optimizer)
