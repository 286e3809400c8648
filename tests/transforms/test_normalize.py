import pytest
import torch

from transforms import Normalize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize('channels_last', [False, True])
def test_bytes_become_normalised_floats(channels_last):
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = Normalize(MEAN, STD, channels_last)(images)
    expected = (images.double() / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    assert found.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def test_black_and_white_by_hand():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    found = Normalize((0.5, 0.5, 0.25), (0.5, 0.25, 0.25))(images)[:, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([[-1.0, -2.0, -1.0], [1.0, 2.0, 3.0]]))


def test_images_that_lie_channels_last_already_are_accepted():
    images = torch.arange(60, dtype=torch.uint8).view(1, 4, 5, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(Normalize(MEAN, STD)(images), Normalize(MEAN, STD, True)(images.contiguous()))


def test_nothing_of_it_goes_into_a_checkpoint():
    assert Normalize(MEAN, STD).state_dict() == {}


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(ValueError, match='cfg.DATASET.MEAN .* STD .*config.py'):
        Normalize(MEAN, (0.2, 0.0, 0.2))
