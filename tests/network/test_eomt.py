"""EoMT: what queries see, how masks are annealed, the scores of pixels, and wrong input."""

import math

import pytest
import tiny_vits
import torch
from tiny_vits import NAMES

from network import get_net
from network.checkpointing import checkpoint_stages
from network.eomt import annealed
from network.eomt_trunk import Tokens
from network.queries import Queries, class_scores
from utils.outputs.kinds import MASK_SCORES, as_logits

OPTIONS = {'QUERIES': 6, 'BLOCKS': 2, 'PATCH': 8, 'SIZE': 32}


@pytest.fixture(autouse=True)
def vits(monkeypatch):
    tiny_vits.register(monkeypatch)


def build(kind='registers', classes=5, trunk=None, **options):
    torch.manual_seed(0)
    return get_net('eomt.EoMT', classes, trunk=trunk or NAMES[kind], options={'EOMT': {**OPTIONS, **options}})


def test_scores_sum_over_queries_the_probability_of_the_class_times_that_of_the_mask():
    log3 = math.log(3)
    masks = torch.tensor([[[[log3, -log3]], [[0.0, 0.0]]]])  # 3/4 and 1/4; 1/2
    classes = torch.tensor([[[log3 + math.log(2), 0.0, math.log(3)], [0.0, 0.0, 0.0]]])  # 6, 1, 3 of 10; thirds
    scores = class_scores(Queries(masks, classes), (1, 2), (1, 2))
    first, second = 0.6 * 0.75 + 1 / 6, 0.6 * 0.25 + 1 / 6
    torch.testing.assert_close(scores[0, 0, 0], torch.tensor([first, second]))
    torch.testing.assert_close(scores[0, 1, 0], torch.tensor([0.1 * 0.75 + 1 / 6, 0.1 * 0.25 + 1 / 6]))


def test_many_queries_score_as_if_taken_together():
    generator = torch.Generator().manual_seed(0)
    masks, classes = torch.randn(2, 60, 3, 4, generator=generator), torch.randn(2, 60, 6, generator=generator)
    scores = class_scores(Queries(masks, classes), (9, 12), (7, 12))
    enlarged = torch.nn.functional.interpolate(masks, (9, 12), mode='bilinear')[:, :, :7]
    expected = torch.einsum('nqhw,nqk->nkhw', enlarged.sigmoid(), classes.softmax(-1)[..., :5])
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize(
    'share, first, last',
    # of two blocks the first is annealed from 1/6 to 1/2, the second from 1/2 to 5/6
    [(0, 1, 1), (1 / 6, 1, 1), (1 / 3, 0.5**0.9, 1), (1 / 2, 0, 1), (2 / 3, 0, 0.5**0.9), (5 / 6, 0, 0), (1, 0, 0)],
)
def test_the_probability_of_a_mask_falls_block_after_block(share, first, last):
    assert [annealed(share, block, 2) for block in range(2)] == pytest.approx([first, last], abs=1e-6)


def test_a_query_sees_the_patches_of_its_mask_and_every_other_token():
    net = build().eval()
    tokens = Tokens(torch.zeros(1, 6 + 5 + 4, 48), None, (2, 2))  # queries, class and registers, patches
    masks = torch.full((1, 6, 2, 2), -1.0)
    masks[0, 1, 0, 1] = 1.0
    seen = net.attention_mask(masks, tokens, torch.ones(()))
    assert seen.shape == (1, 1, 15, 15) and seen[0, 0, 6:].all() and seen[0, 0, :, :11].all()
    assert seen[0, 0, :6, 11:].sum(1).tolist() == [0, 1, 0, 0, 0, 0] and seen[0, 0, 1, 12]


@pytest.mark.parametrize('probability, masked', [(1.0, 6), (0.0, 0)])
def test_in_training_a_query_is_masked_with_the_probability_of_the_block(probability, masked):
    tokens, masks = Tokens(torch.zeros(50, 15, 48), None, (2, 2)), torch.full((50, 6, 2, 2), -1.0)
    blind = ~build().train().attention_mask(masks, tokens, torch.tensor(probability))[:, 0, :6, 11:].any(-1)
    assert (blind.sum(1) == masked).all()
    blind = ~build().train().attention_mask(masks, tokens, torch.tensor(0.3))[:, 0, :6, 11:].any(-1)
    assert 0.2 < blind.float().mean() < 0.4


def test_an_evaluation_masks_as_most_of_the_training_did():
    net, images = build().eval(), torch.randn(1, 3, 32, 32)
    assert net.masked == (True, True) and len(net.predictions(images)[0]) == 3
    net.set_progress(0.5)
    assert net.eval().masked == (False, True)
    net.set_progress(1.0)
    other = build().eval()
    other.load_state_dict(net.state_dict())
    assert other.masked == (False, False) and len(other.predictions(images)[0]) == 1


@pytest.mark.parametrize('kind', ['registers', 'dinov3'])
def test_sides_that_are_no_multiple_of_the_patch_are_filled_up_and_cut_again(kind):
    net, images = build(kind).eval(), torch.randn(1, 3, 30, 43)
    with torch.no_grad():
        scores = net(images)['pred']
        filled = net(torch.nn.functional.pad(images, (0, 5, 0, 2)))['pred']
    assert scores.shape == (1, 5, 30, 43) and scores.min() >= 0
    torch.testing.assert_close(scores, filled[..., :30, :43])
    outputs = net.train()(images)  # masks have a value for every four pixels
    assert outputs['pred'].masks.shape == (1, 6, 8, 11) and outputs['pred'].classes.shape == (1, 6, 6)


def test_scores_become_probabilities_by_their_sum_and_nothing_at_all_is_every_class_alike():
    scores = torch.tensor([[0.3, 0.0], [0.1, 0.0]])
    assert as_logits(scores, MASK_SCORES).softmax(0)[:, 0].tolist() == pytest.approx([0.75, 0.25])
    assert as_logits(scores, MASK_SCORES).softmax(0)[:, 1].tolist() == [0.5, 0.5]


def test_checkpointing_computes_every_block_again_and_changes_no_gradient():
    images, gradients = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), []
    for checkpointed in (False, True):
        net = build('dinov3').train()
        assert not checkpointed or checkpoint_stages(net) == 4
        torch.manual_seed(2)
        sum(output.mean() for output in net(images).values()).backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize(
    'wrong, words',
    [
        ({'QUERIES': 4}, '--eomt_queries 4: an image may show all of the 5 classes'),
        ({'BLOCKS': 5}, '--eomt_blocks 5: the trunk timm/tiny_patch8_reg4_dinov2 has 4 blocks'),
        ({'trunk': 'timm/resnet10t'}, '--trunk timm/resnet10t: .* choose a vision transformer'),
        ({'trunk': 'hrnetv2'}, '--trunk hrnetv2: has no tokens'),
        ({'trunk': 'timm/swin_tiny_patch4_window7_224'}, 'choose a vision transformer of timm with equal blocks'),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_remedy(wrong, words):
    with pytest.raises(ValueError, match=words):
        build(**wrong)


def test_a_file_of_timm_fills_the_trunk_at_another_patch_and_size(tmp_path):
    trunk = tiny_vits.build('registers', patch_size=16, img_size=64)
    torch.save(trunk.state_dict(), tmp_path / 'vit.pth')
    net = get_net(
        'eomt.EoMT', 5, trunk=NAMES['registers'], options={'EOMT': OPTIONS}, pretrained=str(tmp_path / 'vit.pth')
    )
    assert not net.pretrained_report.missing
    assert torch.equal(net.backbone.model.blocks[2].mlp.fc1.weight, trunk.blocks[2].mlp.fc1.weight)
    # 4x4 patches of 16 pixels became 4x4 of 8, and so their positions stay
    assert torch.equal(net.backbone.model.pos_embed, trunk.pos_embed)
    assert net.backbone.model.patch_embed.proj.weight.shape == (48, 3, 8, 8)
