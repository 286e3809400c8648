"""Channels of the members of an ensemble, and of the images that they are run on."""

from types import SimpleNamespace

import pytest

from engine import ensembles


def members(*pixels):
    trained = [(channels, SimpleNamespace(value_range=limits)) for channels, limits in pixels]
    return [SimpleNamespace(in_channels=channels, trained_on=about) for channels, about in trained]


def test_images_are_read_as_the_members_were_trained():
    dataset = SimpleNamespace(name='street', channels=3, value_range=None)
    ensembles.take_pixels(dataset, ['a', 'b'], members((1, (0.0, 99.0)), (1, (0.0, 99.0))))
    assert (dataset.channels, dataset.value_range) == (1, (0.0, 99.0))


@pytest.mark.parametrize(
    'channels, pixels, words',
    [
        (3, [(3, None), (4, None)], 'a takes 3 channels, values None; b takes 4 channels, values None'),
        (5, [(4, None)], 'a takes 4 channels, values None; dataset street has 5 channels'),
    ],
)
def test_members_and_images_of_other_channels_are_named(channels, pixels, words):
    dataset = SimpleNamespace(name='street', channels=channels, value_range=None)
    with pytest.raises(ValueError) as error:
        ensembles.take_pixels(dataset, ['a', 'b'][: len(pixels)], members(*pixels))
    assert words in str(error.value)
