"""Gradient checkpointing changes what is kept, and not one bit of what is computed."""

import copy
import io

import pytest
import torch
from narrow import NARROW
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from config import scope
from engine.syncbn import CPUSyncBatchNorm
from network import ARCHS, cost, get_net
from network.checkpointing import checkpoint_stages, find_stages
from network.options import complete
from network.trunks import build_trunk
from network.trunks.blocks import Bottleneck, make_blocks
from network.trunks.hrnet import Exchange, HRNet, Layout

TINY = Layout(width=4, planes=4, bottlenecks=2, modules=(1, 2, 1), blocks=2)


@pytest.fixture
def net():
    torch.manual_seed(0)
    with scope(**NARROW):
        return ARCHS['ocrnet.HRNet_Mscale'](5, HRNet(TINY), False, complete()).train()


def checkpointed(net):
    net = copy.deepcopy(net)
    assert checkpoint_stages(net) > 0
    return net


def step(net, images, precision=None):
    """The loss of a training step; gradients are left in the network."""
    torch.manual_seed(7)  # dropout
    with torch.autocast('cpu', dtype=precision, enabled=precision is not None):
        outputs = net(images)
    loss = sum(maps.square().mean() for maps in outputs.values())
    loss.backward()
    return loss.detach()


def assert_same_step(plain, other, images, **options):
    assert torch.equal(step(plain, images, **options), step(other, images, **options))
    for (name, mine), theirs in zip(plain.named_parameters(), other.parameters()):
        assert torch.equal(mine.grad, theirs.grad), name
    assert_same_state(plain, other)


def assert_same_state(plain, other):
    assert list(plain.state_dict()) == list(other.state_dict())
    for (name, mine), theirs in zip(plain.state_dict().items(), other.state_dict().values()):
        assert torch.equal(mine, theirs), name


@pytest.mark.parametrize('precision', [None, torch.bfloat16])
@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
def test_loss_gradients_and_statistics_are_those_of_the_plain_form(net, precision, order):
    net = net.to(memory_format=order)
    images = torch.randn(2, 3, 65, 97).to(memory_format=order)
    assert_same_step(net, checkpointed(net), images, precision=precision)


def test_statistics_count_every_batch_once(net):
    net = checkpointed(net)
    for _ in range(3):
        step(net, torch.randn(2, 3, 64, 64))
    counters = [
        value
        for key, value in net.state_dict().items()
        if key.startswith('backbone') and key.endswith('num_batches_tracked')
    ]
    assert {int(value) for value in counters} == {6}  # two scales in each of three steps


def test_synchronised_norms_keep_their_statistics_too():
    trunk = nn.Module()
    trunk.stage = nn.Sequential(Step(), Step())
    plain = Holder(trunk).train()
    assert_same_step(plain, checkpointed(plain), torch.randn(2, 4, 8, 8))


class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(4, 4, 3, padding=1), CPUSyncBatchNorm(4), nn.Conv2d(4, 4, 1)

    def forward(self, maps):
        return self.two(torch.relu(self.norm(self.one(maps))))


class Holder(nn.Module):
    """The least that a network with a trunk is."""

    arch = trunk_name = 'holder'

    def __init__(self, trunk):
        super().__init__()
        self.backbone = trunk

    def trunk_parts(self):
        return {'': self.backbone}

    def forward(self, images):
        return {'pred': self.backbone.stage(images)}


def test_a_list_that_grows_after_the_call_is_computed_again_as_it_was():
    class Grow(nn.Module):
        is_stage = True

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, maps):
            return self.conv(sum(maps)).sigmoid()

    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([Grow(), Grow()])

        def forward(self, images):
            maps = [images]
            for layer in self.layers:
                maps.append(layer(maps))
            return maps[-1]

    trunk = nn.Module()
    trunk.stage = Dense()
    plain = Holder(trunk).train()
    assert_same_step(plain, checkpointed(plain), torch.randn(2, 3, 4, 4))


def test_a_copy_computes_its_own_weights(net):
    net = checkpointed(net)
    twin = copy.deepcopy(net)  # as the moving average of --ema is made
    for parameter in net.parameters():
        parameter.data.zero_()
    step(twin, torch.randn(2, 3, 64, 64))
    assert twin.backbone.stage4[0].branches[0][0].conv1.weight.grad.any()
    assert net.backbone.stage4[0].branches[0][0].conv1.weight.grad is None


def test_weights_go_in_and_out_as_before(net):
    other = checkpointed(net)
    file = io.BytesIO()
    torch.save(other.state_dict(), file)
    file.seek(0)
    net.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert torch.equal(net.eval()(images)['pred'], other.eval()(images)['pred'])


def test_a_frozen_trunk_gets_no_gradient(net):
    for part in (net, other := checkpointed(net)):
        for parameter in part.trunk_parameters():
            parameter.requires_grad_(False)
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(step(net, images), step(other, images))
    assert all(parameter.grad is None for parameter in other.trunk_parameters())
    assert_same_state(net, other)


def test_several_processes_train_it(net, tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path / "store"}', rank=0, world_size=1)
    try:
        other = checkpointed(net)
        assert_same_state(net, other)
        assert torch.equal(step(net, images := torch.randn(2, 3, 64, 64)), step(DistributedDataParallel(other), images))
        assert all(torch.equal(mine.grad, theirs.grad) for mine, theirs in zip(net.parameters(), other.parameters()))
    finally:
        torch.distributed.destroy_process_group()


def test_hrnet_is_computed_again_module_by_module():
    trunk = HRNet(TINY)
    assert find_stages(trunk) == [trunk.layer1, *trunk.stage2, *trunk.stage3, *trunk.stage4]
    assert all(isinstance(stage, Exchange) for stage in find_stages(trunk)[1:])


def test_a_short_run_of_blocks_is_one_stage_and_a_long_one_is_its_blocks():
    trunk = nn.Module()
    trunk.layer1, trunk.layer2 = make_blocks(Bottleneck, 8, 2, 8), make_blocks(Bottleneck, 8, 2, 9)
    assert find_stages(trunk) == [trunk.layer1, *trunk.layer2]


@pytest.mark.parametrize(
    'name, count',
    [
        ('resnet-50', 4),
        ('resnet-101', 3 + 23),
        ('seresnext-50', 4),
        ('wrn38', 6),
        ('xception71', 20 + 3),
        ('efficientnet_b4', 7),
    ],
)
def test_the_stages_of_residual_trunks(name, count):
    with torch.device('meta'):
        trunk = build_trunk(name)
    stages = find_stages(trunk)
    assert len(stages) == count
    inside = sum(parameter.numel() for stage in stages for parameter in stage.parameters())
    assert inside > 0.98 * sum(parameter.numel() for parameter in trunk.parameters())


def test_a_network_without_stages_is_refused():
    trunk = nn.Module()
    trunk.stage = nn.Conv2d(3, 3, 1)
    with pytest.raises(
        ValueError, match='--grad_ckpt: holder has no stages that could be computed again; leave the flag out'
    ):
        checkpoint_stages(Holder(trunk))


def bytes_of_a_step(net, images):
    """(bytes alive after the forward pass, most bytes alive in the step)."""
    with cost.LiveBytes(net, images) as memory:
        outputs = net(images)
        kept = memory.live
        sum(maps.mean() for maps in outputs.values()).backward()
    return kept, memory.peak


def test_less_is_kept_for_the_backward_pass():
    with scope(**NARROW), torch.device('meta'):
        net = ARCHS['ocrnet.HRNet'](5, HRNet(Layout(width=16, planes=16, modules=(1, 2, 1))), False, complete()).train()
        images = torch.empty(1, 3, 256, 256)
    kept, peak = bytes_of_a_step(net, images)
    kept_again, peak_again = bytes_of_a_step(checkpointed(net), images)
    assert kept_again < 0.5 * kept and peak_again < 0.6 * peak


def test_bytes_counted_without_values_are_those_of_the_real_step(net):
    for module in net.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    images = torch.randn(1, 3, 64, 96)
    real = bytes_of_a_step(net, images)
    net.zero_grad()
    assert bytes_of_a_step(net.to('meta'), images.to('meta')) == pytest.approx(real, rel=0.02)


@pytest.mark.slow
def test_a_compiled_network_with_checkpoints_takes_the_same_step():
    trunk = nn.Module()
    trunk.stage = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), make_blocks(Bottleneck, 8, 2, 2), Exchanged())
    net = Holder(trunk).double().train()
    other = checkpointed(net)
    other.compile(fullgraph=True)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(step(other, images), step(net, images), rtol=1e-9, atol=1e-12)
    for (name, mine), theirs in zip(net.named_parameters(), other.parameters()):
        torch.testing.assert_close(theirs.grad, mine.grad, rtol=1e-6, atol=1e-9, msg=name)
    for (name, mine), theirs in zip(net.state_dict().items(), other.state_dict().values()):
        torch.testing.assert_close(theirs, mine, rtol=1e-6, atol=1e-9, msg=name)


class Exchanged(nn.Module):
    """An HRNet module of two branches, which takes and returns a list, within a sequence of single maps."""

    def __init__(self):
        super().__init__()
        self.exchange, self.halve = Exchange([8, 16], 1, False), nn.Conv2d(8, 16, 3, stride=2, padding=1)

    def forward(self, maps):
        return self.exchange([maps, self.halve(maps)])[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    'trunk',
    [
        'hrnetv2_w18',
        'resnet-50',
        'resnet-101',
        'seresnext-50',
        'wrn38',
        'xception71',
        'efficientnet_b4',
        'torchvision/resnet50',
        'timm/convnext_atto',
        'timm/regnety_002',
        'timm/densenet121',
        'timm/vit_tiny_patch16_224',
        'timm/swin_tiny_patch4_window7_224',
    ],
)
def test_every_trunk_takes_the_same_step(trunk):
    with scope(**NARROW):
        torch.manual_seed(0)
        net = get_net('basic.HRNet', 5, trunk=trunk).train()
    assert_same_step(net, checkpointed(net), torch.randn(2, 3, 65, 97))
