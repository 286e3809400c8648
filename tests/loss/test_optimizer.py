"""Optimizers by one step worked out by hand, schedules by their values."""

import io
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import train
from loss.optimizer import get_optimizer, get_scheduler
from network import get_net


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
        'warmup': 0,
        'lr_trunk_mult': 1.0,
        'layer_decay': 1.0,
        'no_decay_norms': False,
        'swa_epochs': 0,
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


def test_without_flags_of_groups_all_parameters_are_one_group():
    (group,) = get_optimizer(nn.Linear(2, 2), flags()).param_groups
    assert [parameter.ndim for parameter in group['params']] == [2, 1] and group['weight_decay'] == 0.01


def test_norms_and_biases_may_go_without_decay():
    groups = get_optimizer(nn.Linear(2, 2), flags(no_decay_norms=True)).param_groups
    assert {group['weight_decay']: [parameter.ndim for parameter in group['params']] for group in groups} == {
        0.0: [1],
        0.01: [2],
    }


def test_the_trunk_may_have_another_rate_and_the_heads_come_last():
    net = get_net('basic.HRNet', 3, trunk='hrnetv2_w18_small_v1')
    trunk, heads = get_optimizer(net, flags(lr_trunk_mult=0.1)).param_groups
    assert (trunk['lr'], heads['lr']) == (pytest.approx(0.01), 0.1)
    assert {id(p) for p in trunk['params']} == {id(p) for p in net.backbone.parameters()}
    assert len(trunk['params']) + len(heads['params']) == len(list(net.parameters()))


def test_layer_decay_falls_from_the_heads_to_the_input_of_a_timm_trunk():
    pytest.importorskip('timm')
    net = get_net('basic.Linear', 3, trunk='timm/vit_tiny_patch16_224')
    rates = {
        id(p): group['lr'] for group in get_optimizer(net, flags(layer_decay=0.5)).param_groups for p in group['params']
    }
    model = net.backbone.model
    # layers: 0 patches and positions, 1 to 12 the blocks, the last with the norm behind it
    for parameter, layer in [
        (model.patch_embed.proj.weight, 0),
        (model.blocks[0].attn.qkv.weight, 1),
        (model.blocks[11].mlp.fc2.bias, 12),
        (model.norm.weight, 12),
    ]:
        assert rates[id(parameter)] == pytest.approx(0.1 * 0.5 ** (13 - layer))
    heads = {id(p) for p in net.parameters()} - {id(p) for p in net.backbone.parameters()}
    assert {rates[key] for key in heads} == {0.1}


@pytest.mark.parametrize(
    'arch, trunk, values, message',
    [
        ('UNet', None, {'lr_trunk_mult': 0.1}, '--lr_trunk_mult: UNet has no trunk; leave the flag out'),
        (
            'basic.HRNet',
            'hrnetv2_w18_small_v1',
            {'layer_decay': 0.9},
            'the layers of the trunk hrnetv2_w18_small_v1 are',
        ),
    ],
)
def test_rates_of_a_trunk_that_is_not_there_are_refused(arch, trunk, values, message):
    with pytest.raises(ValueError, match=message):
        get_optimizer(get_net(arch, 3, trunk=trunk), flags(**values))


def test_madgrad_takes_the_cube_root_of_the_squared_gradients():
    pytest.importorskip('timm')
    # one step from x0: s = lambda g, v = lambda g^2, z = x0 - s / cbrt(v), x1 = (1 - c) x0 + c z, c = 1 - momentum
    scale, gradient = 0.1, 0.5
    z = 2 - scale * gradient / (scale * gradient**2) ** (1 / 3)
    assert steps(flags(optimizer='madgrad', weight_decay=0.0), [gradient]) == pytest.approx(0.9 * 2 + 0.1 * z, rel=1e-4)


def test_muon_steps_along_the_orthogonal_factor_of_a_matrix_and_as_adamw_for_a_vector():
    timm = pytest.importorskip('timm')
    if not hasattr(timm.optim, 'Muon'):
        pytest.skip(f'timm {timm.__version__} has no Muon')
    net = nn.Linear(4, 4)
    before = net.weight.detach().clone(), net.bias.detach().clone()
    optimizer = get_optimizer(net, flags(optimizer='muon', lr=0.01, weight_decay=0.0))
    net.weight.grad, net.bias.grad = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5])), torch.full((4,), 7.0)
    optimizer.step()
    step = before[0] - net.weight.detach()
    # the orthogonal factor of a positive diagonal is the identity, of length 0.2 sqrt(4) as AdamW's would be
    assert torch.allclose(step.diagonal(), torch.full((4,), 0.01 * 0.2 * 2), rtol=0.4)
    assert (step - torch.diag(step.diagonal())).abs().max() < 1e-5
    assert torch.allclose(before[1] - net.bias.detach(), torch.full((4,), 0.01), rtol=1e-3)


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


def test_cosine_is_half_at_half_time_and_ends_at_nothing():
    assert rates(flags(lr_schedule='cosine', max_epoch=4), 5) == pytest.approx(
        [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5)), 0]
    )


def test_onecycle_rises_to_the_rate_at_three_tenths_of_the_time():
    values = rates(flags(lr_schedule='onecycle', max_epoch=10), 11)
    assert [values[0], values[3], values[10]] == pytest.approx([0.1 / 25, 0.1, 1e-5])
    assert max(values) == values[3] and values[2] == pytest.approx(0.1 * (0.04 + 0.96 * 0.75))


def test_warmup_rises_on_a_straight_line_to_the_course_of_any_schedule():
    plain = rates(flags(max_epoch=4, lr_step='iter'), 8, steps_per_epoch=2)
    warmed = rates(flags(max_epoch=4, lr_step='iter', warmup=3), 8, steps_per_epoch=2)
    assert warmed == pytest.approx([value * min(1, (step + 1) / 4) for step, value in enumerate(plain)])


def test_warmup_counts_steps_and_needs_a_schedule_that_moves_with_them(capsys):
    assert train.main(['--warmup', '10']) == 2
    assert '--warmup needs --lr_step iter' in capsys.readouterr().err


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
