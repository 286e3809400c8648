"""Criteria paired with the outputs of a network, and the published objective."""

import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from loss_cases import CITYSCAPES_WEIGHTS

from config import scope
from datasets.collection.cityscapes import Cityscapes
from loss import build_criterion, build_validation_criterion, get_criterion, published_objective
from loss.rmi import RMILoss
from utils.settings import SETTINGS

OUTPUTS = ('pred', 'aux', 'pred_05x', 'pred_10x')


def flags(**values):
    return SimpleNamespace(**{**SETTINGS.defaults(), **values})


def batch(classes=3):
    generator = torch.Generator().manual_seed(0)
    outputs = {
        name: torch.randn(
            1, classes, *((12, 10) if name == 'pred_05x' else (24, 20)), generator=generator, requires_grad=True
        )
        for name in OUTPUTS
    }
    outputs['attn_05x'] = torch.rand(1, 1, 12, 10, generator=generator)
    labels = torch.randint(0, classes, (1, 24, 20), generator=generator)
    labels[:, :2] = 255
    return outputs, labels


def bce(logits, labels):
    return RMILoss(3)(logits, labels, do_rmi=False).item()


def test_the_published_objective_with_rmi():
    outputs, labels = batch()
    criterion = build_criterion(flags(rmi_loss=True, supervised_mscale_loss_wt=0.05), OUTPUTS, 3, 255)
    losses = criterion(outputs, labels)
    low = F.interpolate(outputs['pred_05x'], size=(24, 20), mode='bilinear', align_corners=False)
    expected = (
        RMILoss(3)(outputs['pred'], labels).item()
        + 0.4 * bce(outputs['aux'], labels)
        + 0.05 * bce(low, labels)
        + 0.05 * bce(outputs['pred_10x'], labels)
    )
    assert losses['loss'].item() == pytest.approx(expected, rel=1e-6)
    assert list(losses) == ['loss', 'pred/bce', 'pred/mi', 'aux/bce', 'pred_05x/bce', 'pred_10x/bce']
    assert losses['aux/bce'].item() == pytest.approx(bce(outputs['aux'], labels))
    assert losses['loss'].requires_grad and not any(
        part.requires_grad for name, part in losses.items() if name != 'loss'
    )


def test_the_auxiliary_output_can_have_the_region_loss_too():
    outputs, labels = batch()
    criterion = build_criterion(flags(rmi_loss=True, ocr_aux_loss_rmi=True, ocr_alpha=0.3), ('pred', 'aux'), 3, 255)
    losses = criterion({name: outputs[name] for name in ('pred', 'aux')}, labels)
    expected = RMILoss(3)(outputs['pred'], labels).item() + 0.3 * RMILoss(3)(outputs['aux'], labels).item()
    assert losses['loss'].item() == pytest.approx(expected, rel=1e-6)


def test_the_flags_alone_make_the_criterion_whatever_cfg_holds():
    with scope(LOSS__SUPERVISED_MSCALE_WT=0.05, LOSS__OCR_AUX_RMI=True, LOSS__OCR_ALPHA=0.3):
        criterion = build_criterion(flags(rmi_loss=True), OUTPUTS, 3, 255)
    assert criterion.weights == [1, 0.4, 0, 0] and [type(part).__name__ for part in criterion.criteria[:2]] == [
        'RMILoss',
        'BCELoss',
    ]


def test_the_published_objective_in_python_has_the_weights_of_cfg():
    assert published_objective(OUTPUTS, 'rmi') == (['rmi', 'bce', 'bce', 'bce'], [1, 0.4, 0, 0])
    with scope(LOSS__SUPERVISED_MSCALE_WT=0.05, LOSS__OCR_AUX_RMI=True, LOSS__OCR_ALPHA=0.3):
        assert published_objective(OUTPUTS, 'rmi') == (['rmi', 'rmi', 'bce', 'bce'], [1, 0.3, 0.05, 0.05])
    assert published_objective(('pred', 'aux'), 'ce', alpha=0.2) == (['ce', 'ce'], [1, 0.2])


def test_without_flags_it_is_cross_entropy_with_the_same_weights():
    outputs, labels = batch()
    losses = build_criterion(flags(), OUTPUTS, 3, 255)(outputs, labels)
    expected = F.cross_entropy(outputs['pred'], labels, ignore_index=255) + 0.4 * F.cross_entropy(
        outputs['aux'], labels, ignore_index=255
    )
    assert losses['loss'].item() == pytest.approx(expected.item(), rel=1e-6)


def test_image_weighting_takes_its_flags():
    criterion = build_criterion(
        flags(img_wt_loss=True, wt_bound=2.5, batch_weighting=True), ('pred',), 3, 255
    ).criteria[0]
    assert (criterion.bound, criterion.batch_weighting, criterion.ignore_label) == (2.5, True, 255)


def test_an_output_of_weight_zero_is_neither_upsampled_nor_computed(monkeypatch):
    outputs, labels = batch()
    monkeypatch.setattr(F, 'interpolate', lambda *args, **kwargs: pytest.fail('upsampled'))
    losses = build_criterion(flags(), OUTPUTS, 3, 255)(outputs, labels)
    assert list(losses) == ['loss', 'pred/ce', 'aux/ce']
    losses['loss'].backward()
    assert outputs['pred_10x'].grad is None and outputs['pred'].grad is not None


def test_losses_can_be_named_output_by_output():
    outputs, labels = batch()
    criterion = build_criterion(
        flags(loss=['rmi', 'ce', 'bce', 'img_wt'], loss_weights=[1, 0.5, 0.25, 0.125]), OUTPUTS, 3, 255
    )
    losses = criterion(outputs, labels)
    assert list(losses) == ['loss', 'pred/bce', 'pred/mi', 'aux/ce', 'pred_05x/bce', 'pred_10x/img_wt']
    expected = (
        0.5 * losses['pred/bce']
        + 0.5 * losses['pred/mi']
        + 0.5 * losses['aux/ce']
        + 0.25 * losses['pred_05x/bce']
        + 0.125 * losses['pred_10x/img_wt']
    )
    assert losses['loss'].item() == pytest.approx(expected.item(), rel=1e-6)
    assert criterion.failures == 0


def test_align_corners_reaches_the_upsampling():
    outputs, labels = batch()
    low = {'pred': outputs['pred_05x']}
    losses = get_criterion(['ce'], [1], 3, align_corners=True)(low, labels)
    full = F.interpolate(low['pred'], size=(24, 20), mode='bilinear', align_corners=True)
    assert losses['loss'].item() == pytest.approx(F.cross_entropy(full, labels, ignore_index=255).item(), rel=1e-6)


def test_low_resolution_outputs_are_upsampled_in_float32_under_autocast():
    outputs, labels = batch()
    low = {'pred': outputs['pred_05x'].bfloat16()}
    with torch.autocast('cpu', torch.bfloat16):
        losses = get_criterion(['ce'], [1], 3)(low, labels)
    full = F.interpolate(low['pred'].float(), size=(24, 20), mode='bilinear')
    assert losses['loss'].item() == pytest.approx(F.cross_entropy(full, labels, ignore_index=255).item(), rel=1e-6)


def test_class_weights_reach_cross_entropy():
    outputs, labels = batch()
    weights = torch.tensor([1.0, 2.0, 3.0])
    losses = get_criterion(['ce'], [1], 3, class_weights=weights)({'pred': outputs['pred']}, labels)
    expected = F.cross_entropy(outputs['pred'], labels, weight=weights, ignore_index=255)
    assert losses['loss'].item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    'values, message',
    [
        ({'loss': ['rmi', 'cee', 'bce', 'bce']}, "--loss: 'cee' is not known; did you mean"),
        ({'loss': ['ce'] * 5}, '--loss: losses: 5 given for 4 network outputs (pred, aux, pred_05x, pred_10x)'),
        (
            {'loss': ['ce'] * 4, 'loss_weights': [1] * 5},
            '--loss_weights: weights: 5 given for 4 network outputs (pred, aux, pred_05x, pred_10x)',
        ),
        ({'loss': ['rmi', 'wce']}, '--loss wce: there are no class weights'),
        (
            {'loss': ['ce'], 'focal_gamma': 3.0},
            '--focal_gamma: none of the losses (ce, ce, ce, ce) reads it; drop it or',
        ),
        ({'rmi_loss': True, 'label_smoothing': 0.1}, '--label_smoothing: none of the losses (rmi, bce, bce, bce)'),
        ({'loss_weights': [1, -1, 0, 0]}, 'none negative'),
        ({'loss_weights': [0, 0, 0, 0]}, 'at least one above 0'),
    ],
)
def test_flags_that_do_not_fit_are_named(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build_criterion(flags(**values), OUTPUTS, 3, 255)


def test_outputs_that_do_not_fit_the_losses_are_named():
    outputs, labels = batch()
    with pytest.raises(ValueError, match=r'losses: 1 given for 4 network outputs \(pred, aux, pred_05x, pred_10x\)'):
        get_criterion(['ce'], [1], 3)(outputs, labels)


def test_weights_and_losses_of_different_number_are_refused():
    with pytest.raises(ValueError, match=r'2 weights for 1 losses \(ce\)'):
        get_criterion(['ce'], [1, 1], 3)


def test_class_weights_without_cross_entropy_are_refused():
    with pytest.raises(ValueError, match=r'--class_weights: none of the losses \(rmi\) reads it; drop it or name ce'):
        get_criterion(['rmi'], [1], 3, class_weights=torch.ones(3))


def test_deep_supervision_halves_the_weight_from_output_to_output_and_sums_to_one():
    names = ('pred', 'pred_ds2', 'pred_ds4')
    criterion = build_criterion(flags(), names, 3, 255)
    assert criterion.weights == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    outputs, labels = batch()
    sizes = {'pred': (24, 20), 'pred_ds2': (12, 10), 'pred_ds4': (6, 5)}
    outputs = {name: F.interpolate(outputs['pred'].detach(), size=size) for name, size in sizes.items()}
    expected = sum(
        weight
        / 7
        * F.cross_entropy(F.interpolate(maps, size=(24, 20), mode='bilinear'), labels, ignore_index=255).item()
        for weight, maps in zip((4, 2, 1), outputs.values())
    )
    assert criterion(outputs, labels)['loss'].item() == pytest.approx(expected, rel=1e-6)


def test_deep_supervision_beside_the_region_loss_is_its_cross_entropy_part():
    criterion = build_criterion(flags(rmi_loss=True), ('pred', 'pred_ds2'), 3, 255)
    assert [type(part).__name__ for part in criterion.criteria] == ['RMILoss', 'BCELoss']


def test_the_last_loss_and_the_last_weight_are_those_of_all_outputs_that_are_left():
    criterion = build_criterion(flags(loss=['rmi', 'ce'], loss_weights=[1, 0.4, 0.05]), OUTPUTS, 3, 255)
    assert [type(part).__name__ for part in criterion.criteria] == ['RMILoss'] + 3 * ['CrossEntropyLoss']
    assert criterion.weights == [1, 0.4, 0.05, 0.05]


def test_class_weights_beside_a_weighted_loss_leave_ce_alone():
    outputs, labels = batch()
    weights = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    criterion = get_criterion(['wrmi', 'wce', 'ce'], [1, 1, 1], 3, class_weights=weights)
    losses = criterion({name: outputs[name] for name in OUTPUTS[:3]}, labels)
    assert losses['pred/bce'] == RMILoss(3, class_weights=weights)(outputs['pred'], labels, do_rmi=False)
    expected = F.cross_entropy(outputs['aux'], labels, weight=weights.float(), ignore_index=255)
    assert losses['aux/ce'].item() == pytest.approx(expected.item(), rel=1e-6)
    low = F.interpolate(outputs['pred_05x'], size=(24, 20), mode='bilinear')
    assert losses['pred_05x/ce'].item() == pytest.approx(
        F.cross_entropy(low, labels, ignore_index=255).item(), rel=1e-6
    )


def test_weighted_losses_fall_back_on_the_weights_of_the_data_set_and_ce_does_not():
    criterion = build_criterion(flags(loss=['wce']), ('pred',), 3, 255, own_weights=(1, 2, 3))
    assert criterion.criteria[0].class_weights.tolist() == [1, 2, 3]
    criterion = build_criterion(flags(loss=['wce']), ('pred',), 3, 255, torch.ones(3), own_weights=(1, 2, 3))
    assert criterion.criteria[0].class_weights.tolist() == [1, 1, 1]
    assert build_criterion(flags(), ('pred',), 3, 255, own_weights=(1, 2, 3)).criteria[0].class_weights is None


def test_cityscapes_has_the_weights_it_was_published_with():
    weights = Cityscapes.class_weights
    assert list(weights) == CITYSCAPES_WEIGHTS and sum(weights) / 19 == pytest.approx(1.000005, abs=1e-6)


def test_border_relaxation_is_chosen_by_its_switch_and_told_the_epoch():
    values = {'strict_bdr_cls': (1, 2), 'border_window': 2, 'wt_bound': 3.0, 'batch_weighting': True}
    criterion = build_criterion(flags(jointwtborder=True, rlx_off_epoch=3, **values), ('pred', 'aux'), 5, 255)
    first, second = criterion.criteria
    assert (first.window, first.bound, first.batch_weighting, first.off_epoch) == (2, 3.0, True, 3)
    assert first.is_strict.tolist() == [False, True, True, False, False, False]
    criterion.set_epoch(4)
    assert (first.epoch, second.epoch) == (4, 4)


def test_rmi_goes_before_image_weighting_and_that_before_border_relaxation():
    for switches, main in ((('rmi', 'img_wt', 'border'), 'RMILoss'), (('img_wt', 'border'), 'ImageWeighted')):
        names = {'rmi': 'rmi_loss', 'img_wt': 'img_wt_loss', 'border': 'jointwtborder'}
        criterion = build_criterion(flags(**{names[one]: True for one in switches}), ('pred',), 3, 255)
        assert type(criterion.criteria[0]).__name__.startswith(main)


def test_outputs_are_resized_to_labels_that_have_a_map_for_each_class():
    outputs, labels = batch()
    maps = (labels.unsqueeze(1) == torch.arange(3).view(-1, 1, 1)).long()
    losses = get_criterion(['mlbce'], [1], 3)({'pred': outputs['pred_05x']}, maps)
    low = F.interpolate(outputs['pred_05x'], size=(24, 20), mode='bilinear')
    expected = F.binary_cross_entropy_with_logits(low, maps.float())
    assert losses['loss'].item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_loss_of_validations_is_cross_entropy_another_or_the_one_of_training():
    def built(**values):
        criterion = build_validation_criterion(flags(**values), 3, 255, own_weights=(1, 2, 3))
        return criterion and criterion.criteria[0]

    assert built() is None and built(val_loss='ce', rmi_loss=True) is None
    assert built(val_loss='wce').class_weights.tolist() == [1, 2, 3]
    assert built(val_loss='same', loss=['topk', 'ce'], topk_share=0.3).share == 0.3
    assert isinstance(built(val_loss='same', rmi_loss=True), RMILoss)
    assert built(val_loss='same').class_weights is None
    with pytest.raises(ValueError, match="--val_loss: 'sme' is not known; did you mean same"):
        built(val_loss='sme')
