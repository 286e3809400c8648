import pytest
import torch
from torch import nn

from utils.restore import clean_key, restore_weights


class Net(nn.Module):
    """Names as in the family: a trunk, two class layers, and, with attention, a head that other networks lack."""

    arch = 'toy.Mscale'

    def __init__(self, classes=19, attention=True, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.cls_head = nn.Conv2d(4, classes, 1)
        self.aux_head = nn.Conv2d(4, classes, 1)
        if attention:
            self.scale_attn = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Conv2d(2, 1, 1))


HEADS = ('cls_head.weight', 'cls_head.bias', 'aux_head.weight', 'aux_head.bias')
# conv 2 tensors, batch normalisation 5, two class layers of 2; the attention adds 4.
SINGLE, MSCALE = 11, 15


def equal(net, other, skip=()):
    mine, theirs = net.state_dict(), other.state_dict()
    return all(torch.equal(mine[key], theirs[key]) for key in mine if not key.startswith(tuple(skip)))


@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.', 'module._orig_mod.', 'module.module.'])
def test_every_tensor_is_loaded_whatever_wraps_the_saved_network(prefix):
    net, other = Net(seed=1), Net(seed=2)
    report = restore_weights(net, {prefix + key: value for key, value in other.state_dict().items()}, source='a.pth')
    assert equal(net, other)
    assert str(report) == f'a.pth: {MSCALE} of {MSCALE} tensors of the network loaded'
    assert report.complete


def test_a_wrapped_network_can_be_restored_too():
    net, other = Net(seed=1), Net(seed=2)
    restore_weights(nn.DataParallel(net), other.state_dict())
    assert equal(net, other)


def test_prefixes_are_taken_off_names_and_nothing_else():
    assert clean_key('module._orig_mod.backbone.module.weight') == 'backbone.module.weight'
    assert clean_key('backbone._orig_mod.0.weight') == 'backbone.0.weight'


def test_tensors_of_a_saved_criterion_are_ignored_and_counted():
    net = Net()
    report = restore_weights(net, {**Net(seed=2).state_dict(), 'module.criterion.nll.weight': torch.ones(19)})
    assert report.complete
    assert report.ignored == ['criterion.nll.weight']


def test_counters_that_files_of_old_torch_versions_lack_are_not_missed():
    state = Net(seed=2).state_dict()
    del state['backbone.1.num_batches_tracked']
    report = restore_weights(Net(), state)
    assert report.complete
    assert len(report.matched) == report.total == MSCALE - 1


def test_a_missing_and_an_unknown_tensor_stop_the_load_with_counts_names_and_remedy():
    state = Net(seed=2).state_dict()
    del state['backbone.0.weight'], state['backbone.0.bias']
    state['ocr.weight'] = torch.ones(1)
    net = Net(seed=1)
    with pytest.raises(ValueError) as caught:
        restore_weights(net, state, source='a.pth', source_arch='toy.OCR')
    assert (
        str(caught.value)
        == 'a.pth: does not fit the network: 13 of 15 tensors match; 2 missing in the file (backbone.0.weight,'
        ' backbone.0.bias); 1 unknown to the network (ocr.weight); it was saved from toy.OCR: give --arch toy.OCR,'
        ' or --snapshot_partial to load what fits'
    )
    assert equal(net, Net(seed=1))


def test_another_shape_is_named_with_both_shapes():
    state = Net(seed=2).state_dict()
    state['backbone.0.weight'] = torch.ones(4, 1, 3, 3)
    with pytest.raises(
        ValueError, match=r'1 of another shape \(backbone.0.weight: 4x1x3x3 in the file, 4x3x3x3 in the network\)'
    ):
        restore_weights(Net(), state)


def test_a_file_of_which_nothing_fits_shows_names_of_both_sides():
    with pytest.raises(
        ValueError,
        match=r'none of its 4 tensors fits the network \(first names in the file: a, b, c and 1 more; '
        r'in the network: backbone.0.weight, .*; give the --arch and --trunk it was trained with',
    ):
        restore_weights(Net(), dict.fromkeys('abcd', torch.ones(1)), partial=True)


def test_weights_of_a_trunk_alone_are_told_as_such():
    trunk = {'module.' + key: value for key, value in Net().backbone.state_dict().items()}
    with pytest.raises(
        ValueError,
        match='its names are those of backbone, a part of the network: give weights of the trunk with --pretrained',
    ):
        restore_weights(Net(), trunk)


# Another number of classes


def test_another_number_of_classes_names_both_and_the_flag():
    net = Net(seed=1)
    with pytest.raises(ValueError) as caught:
        restore_weights(net, Net(classes=65).state_dict(), source='mapillary.pth', head_keys=HEADS)
    assert (
        str(caught.value) == 'mapillary.pth: has 65 classes, the network has 19; --allow_class_mismatch loads all but '
        'the 4 tensors of the class layers (cls_head.weight, cls_head.bias, aux_head.weight and 1 more)'
    )
    assert equal(net, Net(seed=1))


@pytest.mark.parametrize('head_keys', [HEADS, ()])
def test_allowing_another_number_of_classes_loads_all_but_the_class_layers(head_keys):
    net, other = Net(seed=1), Net(classes=65, seed=2)
    report = restore_weights(net, other.state_dict(), head_keys=head_keys, allow_class_mismatch=True)
    assert equal(net, Net(seed=1), skip=('backbone', 'scale_attn'))
    assert torch.equal(net.backbone[0].weight, other.backbone[0].weight)
    assert torch.equal(net.scale_attn[1].bias, other.scale_attn[1].bias)
    assert (len(report.matched), len(report.mismatched)) == (MSCALE - 4, 4)
    assert '4 of another shape (cls_head.weight: 65x4x1x1 in the file, 19x4x1x1 in the network' in str(report)


def test_allowing_another_number_of_classes_allows_no_other_shape():
    state = Net(classes=65).state_dict()
    state['backbone.0.weight'] = torch.ones(6, 3, 3, 3)
    with pytest.raises(ValueError, match='5 of another shape'):
        restore_weights(Net(), state, head_keys=HEADS, allow_class_mismatch=True)
    state = {**Net().state_dict(), 'backbone.0.bias': torch.ones(6)}
    with pytest.raises(ValueError, match='1 of another shape'):
        restore_weights(Net(), state, head_keys=HEADS, allow_class_mismatch=True)


# A network with a head that the file lacks


def test_an_attention_head_that_the_file_lacks_as_a_whole_may_be_new():
    net, other = Net(seed=1), Net(attention=False, seed=2)
    report = restore_weights(net, other.state_dict(), allow_missing_prefixes=('scale_attn.',))
    assert torch.equal(net.cls_head.weight, other.cls_head.weight)
    assert equal(net, Net(seed=1), skip=('backbone', 'cls_head', 'aux_head'))
    assert (
        str(report) == 'checkpoint: 11 of 15 tensors of the network loaded; 4 missing in the file (scale_attn.0.weight,'
        ' scale_attn.0.bias, scale_attn.1.weight and 1 more); those of the network keep their initial values'
    )


def test_without_that_allowance_a_missing_attention_head_is_an_error():
    with pytest.raises(ValueError, match='4 missing in the file'):
        restore_weights(Net(), Net(attention=False).state_dict())


def test_half_an_attention_head_in_the_file_is_an_error():
    state = Net().state_dict()
    del state['scale_attn.1.weight']
    with pytest.raises(ValueError, match=r'1 missing in the file \(scale_attn.1.weight\)'):
        restore_weights(Net(), state, allow_missing_prefixes=('scale_attn.',))


def test_the_published_start_from_a_single_scale_network_of_65_classes_loads_with_both():
    net = Net(seed=1)
    allowed = {'allow_missing_prefixes': ('scale_attn.',), 'head_keys': HEADS}
    with pytest.raises(ValueError, match='has 65 classes, the network has 19; --allow_class_mismatch'):
        restore_weights(net, Net(classes=65, attention=False).state_dict(), **allowed)
    report = restore_weights(net, Net(classes=65, attention=False).state_dict(), allow_class_mismatch=True, **allowed)
    assert (len(report.matched), len(report.missing), len(report.mismatched)) == (SINGLE - 4, 4, 4)


# Whatever fits


def test_a_partial_load_takes_what_fits_and_reports_the_rest():
    net, other = Net(seed=1), Net(attention=False, seed=2)
    other.decoder = nn.Linear(1, 1)
    other.aux_head = nn.Conv2d(4, 65, 1)
    report = restore_weights(net, other.state_dict(), partial=True)
    assert (len(report.matched), len(report.missing), len(report.unexpected), len(report.mismatched)) == (9, 4, 2, 2)
    assert torch.equal(net.cls_head.weight, other.cls_head.weight)
    assert torch.equal(net.aux_head.weight, Net(seed=1).aux_head.weight)


def test_a_partial_load_needs_half_of_the_network():
    state = {key: value for key, value in Net(seed=2).state_dict().items() if key.startswith('backbone')}
    net = Net(seed=1)
    with pytest.raises(
        ValueError, match=r'only 7 of 15 tensors of the network match .* at least half \(8 missing in the file'
    ):
        restore_weights(net, state, partial=True)
    assert equal(net, Net(seed=1))


def test_half_of_the_network_is_enough_for_a_partial_load():
    names = [name for name in Net().state_dict() if name.startswith(('backbone', 'cls_head.weight'))]
    state = {name: Net(seed=2).state_dict()[name] for name in names if not name.endswith('num_batches_tracked')}
    report = restore_weights(Net(seed=1), state, partial=True)
    assert (len(report.matched), report.total) == (7, 14)


def test_half_precision_weights_become_those_of_the_network():
    net, other = Net(seed=1), Net(seed=2)
    restore_weights(
        net, {key: value.half() if value.is_floating_point() else value for key, value in other.state_dict().items()}
    )
    assert net.backbone[0].weight.dtype == torch.float32
    assert torch.equal(net.backbone[0].weight, other.backbone[0].weight.half().float())


def test_channels_last_networks_keep_their_layout():
    net = Net(seed=1).to(memory_format=torch.channels_last)
    restore_weights(net, Net(seed=2).state_dict())
    assert net.backbone[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert equal(net, Net(seed=2))
