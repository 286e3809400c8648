"""Distillation in a training: whose classes fit, what it changes, and what it leaves as it was."""

from types import SimpleNamespace

import pytest
import torch
from small import EPOCH, stop_after

from engine.run import Run
from engine.teacher import Teacher, check_classes
from utils import checkpoint
from utils.classes import Classes

ROADS = Classes(('road', 'car', 'sky'), [[0, 0, 0], [1, 1, 1], [2, 2, 2]])


def weights(folder):
    return checkpoint.load(next(folder.glob('last_checkpoint_ep*.pth')))['state_dict']


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


class Pixels(torch.nn.Conv2d):
    """A network of one 1x1 convolution; mean and std as a checkpoint names them."""

    def __init__(self, mean=0.0, std=1 / 255):
        super().__init__(3, 2, 1)
        self.trained_on = SimpleNamespace(mean=(mean,) * 3, std=(std,) * 3)

    def forward(self, images):
        assert not self.training or torch.is_grad_enabled()
        return {'pred': super().forward(images)}


def test_a_student_learns_the_outputs_of_its_teacher():
    torch.manual_seed(0)
    teacher, student = Teacher([Pixels(), Pixels()], 255), Pixels().train()
    images, labels = torch.randn(4, 3, 8, 8), torch.zeros(4, 8, 8, dtype=torch.long)
    optimizer = torch.optim.Adam(student.parameters(), 0.1)
    for _ in range(150):
        losses = {'loss': torch.zeros(())}
        losses = teacher.join(losses, teacher.logits(images), student(images), labels)
        optimizer.zero_grad()
        losses['loss'].backward()
        optimizer.step()
    assert losses['pred/distill'] < 1e-3
    assert all(parameter.grad is None for net in teacher.nets for parameter in net.parameters())


def test_a_teacher_sees_images_by_its_own_mean_and_std():
    net = Pixels(mean=0.5, std=0.25)
    images = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)  # (1 - 0.5) / 0.25 = 2
    [logits] = Teacher([net], 255).logits(images)
    expected = 2 * net.weight.sum((1, 2, 3)) + net.bias
    assert torch.allclose(logits[0, :, 0, 0], expected, atol=1e-6) and logits.shape == (1, 2, 1, 1)


@pytest.mark.parametrize(
    'names, words',
    [
        (('road', 'bus', 'sky'), "1 of 3: 1 is 'bus' there and 'car' here; give"),
        (('car', 'road', 'sky'), "2 of 3: 0 is 'car' there and 'road' here, 1 is 'road'"),
        (('road', 'car'), "2 classes, the data set has 3: 2 is 'none' there and 'sky' here; give"),
        (('class 0', 'class 1'), '2 classes, the data set has 3; give'),
    ],
)
def test_classes_that_differ_are_named(names, words):
    theirs = Classes(names, [[0, 0, 0]] * len(names))
    with pytest.raises(ValueError) as error:
        check_classes('a.pth', theirs, ROADS)
    assert str(error.value).startswith('--teacher a.pth: has ') and words in str(error.value)
    check_classes('a.pth', Classes.numbered(3), ROADS)
    check_classes('a.pth', ROADS, ROADS)


def test_a_teacher_of_other_images_is_refused(program, snapshot):
    code, printed = program(*EPOCH, '--teacher', snapshot, '--in_channels', '1')
    assert code == 2 and f'--teacher {snapshot}: takes images of 3 channels, the student of 1;' in printed


def test_a_teacher_of_weight_0_changes_no_bit(program, snapshot):
    code, printed = program(
        *(*EPOCH, '--teacher', snapshot, '--distill_weight', '0', '--distill_temperature', '2', '--seed', '0')
    )
    assert code == 0 and f'--teacher {snapshot}: ocrnet.HRNet_Mscale on hrnetv2_w18_small_v1' in printed, printed
    assert same(weights(program.run_dir), checkpoint.load(snapshot)['state_dict'])


def test_teachers_of_other_architectures_teach_beside_all_else(program, snapshot, snapshot_of, monkeypatch):
    other, logged = snapshot_of('--arch', 'ocrnet.HRNet'), []
    monkeypatch.setattr(Run, 'metric', lambda self, phase, numbers, step: logged.append(dict(numbers)))
    code, printed = program(
        *(*EPOCH, '--arch', 'basic.HRNet', '--teacher', f'{snapshot},{other.parent}', '--precision', 'bf16'),
        *('--accumulate', '2', '--augment_on', 'device', '--gblur', '--rmi_loss'),
    )
    assert code == 0, printed
    assert len(logged) == 3 + 1 and all(0 < numbers['pred/distill'] < 10 for numbers in logged[:3])


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--teacher', 'nowhere.pth'], 'nowhere.pth'),
        (['--distill_weight', '2'], '--distill_weight has no effect without --teacher'),
    ],
)
def test_mistakes_are_told(program, flags, words):
    code, printed = program(*EPOCH, *flags, '--dry_run')
    assert words in printed and code == int('--teacher' in flags), printed


@pytest.mark.slow
def test_a_distillation_that_is_resumed_ends_in_the_same_weights(program, snapshot, tmp_path):
    flags = [*EPOCH, '--teacher', snapshot, '--distill_temperature', '2']
    assert program(*flags, '--result_dir', tmp_path / 'whole')[0] == 0
    stop_after(3)
    assert program(*flags)[0] == 75
    code, printed = program('--resume', program.run_dir, small=False)
    assert code == 0 and '--distill_temperature 2.0' in printed
    assert same(weights(program.run_dir), weights(tmp_path / 'whole'))
    assert not same(weights(program.run_dir), checkpoint.load(snapshot)['state_dict'])
