"""Evaluations normalise images as the checkpoint says that they were in its training."""

import shutil

import numpy as np
import pytest
from small import EPOCH

import network
from engine import ensembles
from utils import checkpoint


@pytest.fixture
def two(snapshot, tmp_path):
    """A checkpoint, and one of the same weights for images of another mean and std."""
    shutil.copy(snapshot, tmp_path / 'a.pth')
    state = checkpoint.load(tmp_path / 'a.pth')
    checkpoint.save(tmp_path / 'b.pth', {**state, 'mean': [0.1, 0.2, 0.3], 'std': [0.9, 0.8, 0.7]})
    return tmp_path / 'a.pth', tmp_path / 'b.pth'


def test_an_evaluation_normalises_as_the_training_did(program, two, tmp_path):
    counts = []
    for number, file in enumerate(two):
        code, printed = program(
            '--eval', 'val', '--snapshot', file, '--result_dir', tmp_path / str(number), small=False
        )
        assert code == 0, printed
        counts.append(np.load(tmp_path / str(number) / 'confusion_matrix.npy'))
    assert counts[0].sum() == counts[1].sum() and not np.array_equal(*counts)


@pytest.mark.parametrize(
    'flags, expected', [((), [0.1, 0.2, 0.3]), (('--mean', '0.4,0.4,0.4', '--std', '0.2,0.2,0.2'), [0.4, 0.4, 0.4])]
)
def test_a_training_normalises_as_the_weights_that_it_starts_from_unless_told(program, two, tmp_path, flags, expected):
    code, printed = program(*EPOCH, '--snapshot', two[1], '--result_dir', tmp_path / 'again', *flags)
    assert code == 0, printed
    assert checkpoint.load(next((tmp_path / 'again').glob('last*.pth')))['mean'] == expected
    assert ('--mean 0.1,0.2,0.3 --std 0.9,0.8,0.7: taken from the checkpoint' in printed) == (not flags)


def test_members_of_another_normalisation_are_refused(two):
    nets = [network.load(file) for file in two]
    with pytest.raises(ValueError, match='a.pth and .*b.pth: were trained on images of another mean and std'):
        ensembles.shared_normalization(list(map(str, two)), nets)
    assert ensembles.shared_normalization(['b.pth'], nets[1:]) is not None
