"""A network added as docs/contributing.md says: registered in one place, it passes the tests of every architecture."""

import re
from pathlib import Path

import pytest
import standin
import test_every_arch as general
import torch
from small import TRAIN

from network import ARCHS, basic, get_net
from utils import checkpoint

PAGE = (Path(__file__).parents[2] / 'docs/contributing.md').read_text('utf-8')


@pytest.fixture
def deepest(monkeypatch):
    """The network of the page, registered for one test."""
    section = PAGE.split('### A network\n')[1].split('\n## ')[0]
    for table in ('_builders', '_facts'):
        monkeypatch.setattr(ARCHS, table, dict(getattr(ARCHS, table)))
    exec(re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1), dict(vars(basic)))
    return 'basic.Deepest'


def test_it_passes_the_tests_of_every_architecture(deepest, monkeypatch):
    standin.register(monkeypatch)
    general.test_two_steps_lower_the_loss(general.build(deepest))
    general.test_one_image_of_an_odd_size_is_a_batch_to_train_on(general.build(deepest))
    general.test_outputs_are_named_as_documented(general.build(deepest))
    general.test_weights_survive_a_file_and_one_seed_makes_one_network(general.build(deepest))
    general.test_head_keys_are_those_that_change_with_the_number_of_classes(general.build(deepest))


def test_it_predicts_one_value_for_every_window_of_its_stride(deepest, monkeypatch):
    standin.register(monkeypatch)
    net = get_net(deepest, 3, trunk=standin.PYRAMID).eval()
    with torch.no_grad():
        assert net.classify(net.features(torch.randn(1, 3, 64, 96))).shape == (1, 3, 2, 3)


def test_the_program_trains_it_and_its_checkpoint_knows_it(deepest, program):
    code, printed = program(*TRAIN, '--arch', deepest, '--max_epoch', '1')
    assert code == 0, printed
    assert checkpoint.load(next(program.run_dir.glob('last*.pth')))['arch'] == deepest
    code, printed = program(*TRAIN, '--arch', 'basic.Deepst')
    assert code == 2 and 'did you mean basic.Deepest' in printed
