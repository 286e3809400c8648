"""Files of EoMT in the formats of others: the repository of its authors, and what shapes tell of the trunk."""

import pytest
import tiny_vits
import torch
from tiny_vits import NAMES

from network import convert, eomt_files, get_net
from utils import checkpoint

OPTIONS = {'QUERIES': 6, 'BLOCKS': 2, 'PATCH': 8, 'SIZE': 32}


@pytest.fixture(autouse=True)
def vits(monkeypatch):
    tiny_vits.register(monkeypatch)


def build(kind):
    torch.manual_seed(0)
    return get_net('eomt.EoMT', 5, trunk=NAMES[kind], options={'EOMT': OPTIONS})


def as_authors(net):
    """The weights under the names of tue-mps/eomt, with what else its checkpoints hold."""
    named = {
        f'network.{key.replace("backbone.model.", "encoder.backbone.")}': value
        for key, value in net.state_dict().items()
    }
    others = {'network.encoder.pixel_mean': torch.zeros(1, 3, 1, 1), 'criterion.empty_weight': torch.ones(6)}
    return {**named, **others}


def test_a_file_of_the_authors_becomes_a_checkpoint_that_knows_its_network(tmp_path, capsys):
    net = build('registers')
    torch.save(as_authors(net), tmp_path / 'pytorch_model.bin')
    words = [str(tmp_path / name) for name in ('pytorch_model.bin', 'out.pth')]
    assert convert.main([*words, '--trunk', NAMES['registers']]) == 0
    printed = capsys.readouterr().out
    assert 'an EoMT of its authors' in printed and '2 dropped: ' in printed and 'missing' not in printed
    state = checkpoint.load(tmp_path / 'out.pth')
    assert (state['arch'], state['trunk'], state['num_classes']) == ('eomt.EoMT', NAMES['registers'], 5)
    told = {f'eomt_{name.lower()}': value for name, value in OPTIONS.items()}
    assert {name: state['network'][name] for name in told} == told
    assert all(torch.equal(value, state['state_dict'][key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize('kind, other', [('registers', 'dinov3'), ('dinov3', 'registers')])
def test_a_file_of_the_other_generation_is_refused(kind, other, tmp_path, capsys):
    torch.save(as_authors(build(kind)), tmp_path / 'in.bin')
    assert convert.main([str(tmp_path / 'in.bin'), str(tmp_path / 'out.pth'), '--trunk', NAMES[other]]) == 2
    assert 'which the file lacks, and' in (told := capsys.readouterr().err) and 'leave --trunk out' in told
    assert not (tmp_path / 'out.pth').exists()


def test_an_unusual_width_is_to_be_named(tmp_path, capsys):
    torch.save(as_authors(build('dinov2')), tmp_path / 'in.bin')
    assert convert.main([str(tmp_path / 'in.bin'), str(tmp_path / 'out.pth')]) == 2
    assert 'name it with --trunk' in capsys.readouterr().err


@pytest.mark.parametrize(
    'trunk, size',
    [
        ('timm/vit_small_patch14_dinov2', 512),
        ('timm/vit_large_patch14_reg4_dinov2', 1024),
        ('timm/vit_base_patch16_dinov3_qkvb', None),
    ],
)
def test_the_trunk_follows_from_width_depth_registers_and_position_embedding(trunk, size):
    with torch.device('meta'):
        options = {'QUERIES': 100, 'BLOCKS': 4, 'PATCH': 16, 'SIZE': size or 1024}
        found = eomt_files.read(as_authors(get_net('eomt.EoMT', 19, trunk=trunk, options={'EOMT': options})))
    assert (found.trunk, found.num_classes) == (trunk, 19)
    assert found.network.get('eomt_size') == size and found.network['eomt_queries'] == 100


def test_other_files_are_left_to_the_other_formats():
    assert eomt_files.read({'module.backbone.conv1.weight': torch.zeros(1), 'q.weight': torch.zeros(1)}) is None
