"""ImageNet files for the trunk."""
import pytest
import torch

from network import get_net

TRUNK = 'hrnetv2_w18_small_v1'


@pytest.fixture(scope='module')
def weights():
    """What an ImageNet file of the small trunk holds, without prefixes: the trunk, and a classifier's layers."""
    net = get_net('basic.HRNet', 5, trunk=TRUNK)
    state = {key: torch.randn_like(value) if value.is_floating_point() else value + 3 for key, value in net.backbone.state_dict().items()}
    return state | {'classifier.weight': torch.zeros(1000, 2048), 'last_layer.0.weight': torch.zeros(4, 4, 1, 1)}


def build(path, **kwargs):
    return get_net('basic.HRNet', 5, trunk=TRUNK, pretrained=path, **kwargs)


@pytest.mark.parametrize('prefix', ['', 'model.', 'module.', 'module.model.', 'backbone.'])
@pytest.mark.parametrize('wrap', [False, True])
def test_trunk_entries_are_loaded_whatever_the_prefix(weights, tmp_path, prefix, wrap):
    file = {prefix + key: value for key, value in weights.items()}
    torch.save({'state_dict': file} if wrap else file, tmp_path / 'trunk.pth')
    net = build(tmp_path / 'trunk.pth')
    for key, value in net.backbone.state_dict().items():
        if not key.endswith('num_batches_tracked'):
            assert torch.equal(value, weights[key]), key
    report = net.pretrained_report
    assert report.missing == []
    assert report.dropped == ['classifier.weight', 'last_layer.0.weight']
    total = len(report.matched)
    assert str(report) == (f'{tmp_path / "trunk.pth"}: {total} of {total} trunk entries loaded; 2 of the file not in the trunk and '
                           'dropped: classifier.weight, last_layer.0.weight')


def test_what_the_file_lacks_stays_as_it_was_built_and_is_said(weights, tmp_path):
    part = {key: value for key, value in weights.items() if key.startswith('conv1')}
    torch.save(part, tmp_path / 'trunk.pth')
    net = build(tmp_path / 'trunk.pth')
    assert net.pretrained_report.matched == ['conv1.weight']
    assert 'not in the file and left random: bn1.weight, bn1.bias, bn1.running_mean, ...' in str(net.pretrained_report)
    assert net.backbone.conv2.weight.std() < 0.002


def test_a_file_of_something_else_is_refused(weights, tmp_path):
    torch.save({f'encoder.{key}': value for key, value in weights.items()}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other.pth: none of its .* entries \(encoder.conv1.weight.*is one of this trunk.*--trunk'):
        build(tmp_path / 'other.pth')


def test_a_file_of_another_width_is_refused_and_nothing_of_it_kept(weights, tmp_path):
    wider = dict(weights) | {'transition1.0.0.weight': torch.zeros(48, 128, 3, 3)}
    torch.save(wider, tmp_path / 'wide.pth')
    with pytest.raises(ValueError, match=r'wide.pth: transition1.0.0.weight has shape \(48, 128, 3, 3\), this trunk has \(16, 128, 3, 3\)'):
        build(tmp_path / 'wide.pth')


def test_a_missing_file_is_not_found_and_none_is_needed(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        build(tmp_path / 'nothing.pth')
    assert build(None).pretrained_report is None
