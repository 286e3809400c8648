"""Optimizers by one step worked out by hand, schedules by their values."""

import io
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from loss.optimizer import get_optimizer, get_scheduler


def flags(**values):
    defaults = {
        'optimizer': 'sgd',
        'lr': 0.1,
        'weight_decay': 0.01,
        'momentum': 0.9,
        'amsgrad': False,
        'lr_schedule': 'poly',
        'poly_exp': 1.0,
        'poly_step': 110,
        'max_epoch': 10,
        'rescale': 1.0,
        'repoly': 1.5,
        'rlx_off_epoch': -1,
        'lr_step': 'epoch',
    }
    return SimpleNamespace(**{**defaults, **values})


def one_parameter(value=2.0):
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, value)
    return net


def steps(args, gradients, value=2.0):
    net = one_parameter(value)
    optimizer = get_optimizer(net, args)
    for gradient in gradients:
        net.weight.grad = torch.full_like(net.weight, gradient)
        optimizer.step()
    return net.weight.item()


def test_sgd_has_momentum_and_decay_and_no_nesterov():
    # buffers: 0.5 + 0.02 = 0.52, then 0.9 * 0.52 + 0.5 + 0.01 * 1.948
    assert steps(flags(), [0.5, 0.5]) == pytest.approx(2 - 0.052 - 0.1 * (0.468 + 0.5 + 0.01948), rel=1e-6)


def test_adam_decays_through_the_gradient_and_adamw_beside_it():
    # the first step is lr whatever the gradient
    assert steps(flags(optimizer='adam'), [0.5]) == pytest.approx(2 - 0.1, rel=1e-6)
    assert steps(flags(optimizer='adamw'), [0.5]) == pytest.approx(2 * (1 - 0.1 * 0.01) - 0.1, rel=1e-6)


def test_radam_starts_without_the_second_moment():
    # N_1 = 1999 - 2 * 0.999 / 0.001 = 1, below 5: p = p (1 - lr wd) - lr m / (1 - beta1), m = 0.1 g
    assert steps(flags(optimizer='radam'), [0.5]) == pytest.approx(2 * (1 - 0.1 * 0.01) - 0.1 * 0.5, rel=1e-6)


def test_radam_rectifies_from_the_sixth_step():
    gradient, p = 0.5, 2.0
    # equal gradients: m / (1 - b1^t) = g, v / (1 - b2^t) = g^2
    for t in range(1, 8):
        bias = 1 - 0.999**t
        longest = 2 / (1 - 0.999) - 1
        length = longest - 2 * t * 0.999**t / bias
        p -= 0.1 * 0.01 * p
        if length >= 5:
            v = gradient**2 * bias
            rectification = math.sqrt(
                bias * (length - 4) * (length - 2) * longest / ((longest - 4) * length * (longest - 2))
            )
            p -= 0.1 * rectification * gradient / (math.sqrt(v) + 1e-8)
        else:
            p -= 0.1 * gradient
        assert (length >= 5) == (t >= 6)
    assert steps(flags(optimizer='radam'), [gradient] * 7) == pytest.approx(p, rel=1e-6)


def test_frozen_parameters_are_left_out():
    net = nn.Sequential(one_parameter(), one_parameter())
    net[0].weight.requires_grad_(False)
    (group,) = get_optimizer(net, flags()).param_groups
    assert [parameter is net[1].weight for parameter in group['params']] == [True]


def test_amsgrad_reaches_adam():
    assert get_optimizer(one_parameter(), flags(optimizer='adam', amsgrad=True)).param_groups[0]['amsgrad']


def rates(args, count, steps_per_epoch=1):
    optimizer = get_optimizer(one_parameter(), args)
    scheduler = get_scheduler(optimizer, args, steps_per_epoch)
    values = []
    for _ in range(count):
        values.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return values


def test_poly_per_epoch():
    assert rates(flags(max_epoch=4, poly_exp=2), 5) == pytest.approx([0.1, 0.05625, 0.025, 0.00625, 0])


def test_the_rate_stays_zero_after_the_last_epoch():
    assert rates(flags(max_epoch=2, poly_exp=0.9), 5)[2:] == [0, 0, 0]


def test_poly2_doubles_the_exponent_at_its_epoch():
    assert rates(flags(lr_schedule='poly2', max_epoch=4, poly_step=2), 4) == pytest.approx([0.1, 0.075, 0.025, 0.00625])


def test_scl_poly_starts_again_at_its_epoch():
    args = flags(lr_schedule='scl-poly', max_epoch=4, rlx_off_epoch=2, rescale=0.5, repoly=2)
    assert rates(args, 4) == pytest.approx([0.1, 0.075, 0.05, 0.0125])


def test_steps_per_iteration_have_the_same_values_at_whole_epochs():
    per_iteration = rates(flags(max_epoch=4, poly_exp=2, lr_step='iter'), 16, steps_per_epoch=4)
    assert per_iteration[::4] == pytest.approx([0.1, 0.05625, 0.025, 0.00625])
    assert per_iteration[1] == pytest.approx(0.1 * (15 / 16) ** 2)


def scheduler_at(position, args, steps_per_epoch=1):
    optimizer = get_optimizer(one_parameter(), args)
    scheduler = get_scheduler(optimizer, args, steps_per_epoch)
    for _ in range(position):
        optimizer.step()
        scheduler.step()
    return scheduler


@pytest.mark.parametrize(
    'interval, steps_per_epoch, epoch, step', [('epoch', 4, 3, 2), ('iter', 4, 3, 2), ('iter', 1, 0, 0)]
)
def test_entering_a_position_is_the_same_bit_for_bit_as_having_stepped_there(interval, steps_per_epoch, epoch, step):
    args = flags(max_epoch=7, poly_exp=1.3, lr_step=interval)
    position = epoch * steps_per_epoch + step if interval == 'iter' else epoch
    stepped, entered = scheduler_at(position, args, steps_per_epoch), scheduler_at(0, args, steps_per_epoch)
    entered.enter(epoch, step)
    for _ in range(3):
        assert entered.optimizer.param_groups[0]['lr'] == stepped.optimizer.param_groups[0]['lr']
        assert (entered.last_epoch, entered.get_last_lr()) == (stepped.last_epoch, stepped.get_last_lr())
        for scheduler in (entered, stepped):
            scheduler.optimizer.step()
            scheduler.step()


def test_the_state_of_a_schedule_is_plain():
    file = io.BytesIO()
    torch.save(scheduler_at(3, flags()).state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)['last_epoch'] == 3


@pytest.mark.parametrize(
    'values, message',
    [
        ({'optimizer': 'adamm'}, "--optimizer 'adamm' is not known; did you mean adam"),
        ({'amsgrad': True}, '--amsgrad is a variant of adam and adamw, not of sgd'),
        ({'lr': -1.0}, 'must not be negative'),
        ({'lr_schedule': 'polly'}, "--lr_schedule 'polly' is not known; did you mean poly"),
        ({'lr_schedule': 'scl-poly'}, 'changes its slope at --rlx_off_epoch, which is -1'),
        ({'lr_schedule': 'scl-poly', 'rlx_off_epoch': 10}, 'which is 10; give an epoch from 0 to --max_epoch - 1 = 9'),
        ({'lr_step': 'batch'}, "--lr_step 'batch' is not known"),
        ({'max_epoch': 0}, '--max_epoch 0: expected at least 1'),
    ],
)
def test_flags_that_do_not_fit_are_named(values, message):
    args = flags(**values)
    with pytest.raises(ValueError) as caught:
        get_scheduler(get_optimizer(one_parameter(), args), args, 1)
    assert message in str(caught.value)
