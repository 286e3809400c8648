import itertools

import pytest
import torch
from torch import nn

from network.tiles import assembled, covers, tiled_logits
from utils.settings.evaluation import TILE_WEIGHTS


def pointwise(tiles):
    """Logits of two classes that depend on nothing but the pixel: tiles must not show in them."""
    return torch.stack([tiles[:, 0] + 2 * tiles[:, 1], tiles[:, 2]], dim=1).float()


def image_of(height, width, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


CASES = [
    ((300, 500), (128, 128), 0.25),
    ((300, 500), (128, 200), 0.5),
    ((90, 500), (128, 128), 0.7),
    ((301, 33), (64, 64), 0.0),
    ((151, 217), (64, 96), 0.1),
    ((120, 130), (96, 96), 0.9),
    ((1, 40), (16, 16), 0.25),
]


@pytest.mark.parametrize('weights', TILE_WEIGHTS)
@pytest.mark.parametrize('size, tile, overlap', CASES)
def test_every_pixel_comes_once_and_the_shares_of_its_tiles_sum_to_one(size, tile, overlap, weights):
    image, seen, blocks = image_of(*size), torch.zeros(size, dtype=torch.int64), []
    for block in tiled_logits(pointwise, image, tile, overlap, weights, batch=3):
        assert block.logits.shape[1:] == seen[block.rows, block.columns].shape
        seen[block.rows, block.columns] += 1
        blocks.append(block)
    assert (seen == 1).all()
    torch.testing.assert_close(assembled(blocks, size), pointwise(image[None])[0], rtol=0, atol=3e-6)


def test_one_tile_over_the_whole_image_is_the_whole_image_bit_for_bit():
    torch.manual_seed(0)
    net, image = nn.Conv2d(3, 5, 7, padding=3), image_of(40, 60)
    with torch.inference_mode():
        [block] = tiled_logits(net, image, (40, 64))
        assert torch.equal(block.logits, net(image[None])[0])


def test_what_a_network_sees_around_a_pixel_is_what_it_sees_in_the_whole_image():
    # a convolution of 7x7 pixels sees 3 to each side; shares of tiles whose edge is nearer are below 0.002
    torch.manual_seed(0)
    net, image = nn.Conv2d(3, 5, 7, padding=3), image_of(300, 420)
    with torch.inference_mode():
        whole = net(image[None])[0]
        tiled = assembled(tiled_logits(net, image, (128, 128), overlap=0.5), (300, 420))
    error = (tiled - whole)[:, 3:-3, 3:-3].abs().max()  # at the border the whole image is continued by zeros
    assert error < 0.002 * whole.abs().max()


def test_the_image_goes_on_as_its_mirror_image_where_it_is_split():
    seen = []

    def forward(tiles):
        seen.extend(tiles[:, 0])
        return tiles

    column = torch.arange(12.0)
    list(tiled_logits(forward, column.expand(3, 4, 12), (4, 8), overlap=0.5))
    assert [tile[0].tolist() for tile in seen][0] == [2, 1, 0, 1, 2, 3, 4, 5]  # starts at -2
    assert [tile[0].tolist() for tile in seen][-1] == [6, 7, 8, 9, 10, 11, 10, 9]  # ends at 14
    assert {tuple(tile.shape) for tile in seen} == {(4, 8)}  # the side that is not split has no border


def test_the_share_of_a_tile_falls_towards_its_edge():
    # three tiles of 8 pixels of which neighbours have 4 in common; each says its number
    answers = itertools.count()

    def forward(tiles):
        return torch.stack([torch.full_like(tile, next(answers)) for tile in tiles])

    line = assembled(tiled_logits(forward, torch.zeros(3, 2, 12), (2, 8), 0.5, 'linear'), (2, 12))[0, 0]
    # tiles 0, 1 and 2 start at -2, 2 and 6; weights in a tile: 1/8, 3/8, 5/8, 7/8, 7/8, 5/8, 3/8, 1/8
    assert line.tolist() == pytest.approx([0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 9 / 8, 11 / 8, 13 / 8, 15 / 8, 2, 2])


def test_the_weights_have_a_name():
    with pytest.raises(ValueError, match='cosine.*choose one of gaussian, linear'):
        list(tiled_logits(pointwise, image_of(20, 20), (8, 8), weights='cosine'))


def test_memory_holds_the_rows_that_two_rows_of_tiles_share_not_the_image(monkeypatch):
    carried, new_zeros = [], torch.Tensor.new_zeros

    def measured(self, *shape):
        carried.append(shape)
        return new_zeros(self, *shape)

    monkeypatch.setattr(torch.Tensor, 'new_zeros', measured)
    for block in tiled_logits(pointwise, image_of(2000, 96), (64, 64), overlap=0.25):
        assert block.logits.numel() <= 2 * 64 * 64
    assert carried == [(2, 17, 96)]  # 16 rows, and one by which even spacing widens some overlaps


def test_a_tile_covers_what_is_not_larger_in_either_direction():
    assert covers(None, (9999, 9999)) and covers((64, 96), (64, 96))
    assert not covers((64, 96), (65, 96)) and not covers((64, 96), (64, 97))
