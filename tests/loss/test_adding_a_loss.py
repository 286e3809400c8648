"""A loss added as docs/contributing.md says: registered in one place, it is named by --loss and logged by its parts."""

import math
import re
from pathlib import Path

import pytest
import torch
from small import TRAIN

from engine.run import Run
from loss import get_criterion
from loss.registry import LOSSES, register

PAGE = (Path(__file__).parents[2] / 'docs/contributing.md').read_text('utf-8')


@pytest.fixture
def poly():
    """The loss of the page, registered for one test."""
    section = PAGE.split('### A loss\n')[1].split('\n### ')[0]
    before = dict(LOSSES)
    exec(re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1), {})
    yield
    LOSSES.clear()
    LOSSES.update(before)


def test_it_is_built_by_its_name(poly):
    logits, labels = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
    losses = get_criterion(['poly'], [2.0], 2)({'pred': logits}, labels)
    assert losses['loss'].item() == pytest.approx(2 * (math.log(2) + 0.5))
    assert losses['pred/poly'].item() == pytest.approx(math.log(2) + 0.5)


def test_the_program_trains_with_it_and_names_it_beside_the_others(poly, program, monkeypatch):
    logged = {}
    monkeypatch.setattr(Run, 'metric', lambda self, phase, numbers, step: logged.update(numbers))
    code, printed = program(*TRAIN, '--loss', 'poly,ce', '--max_epoch', '1')
    assert code == 0, printed
    assert 0 < logged['pred/poly'] < logged['loss'] and 'aux/ce' in logged
    code, printed = program(*TRAIN, '--loss', 'polly,ce', '--result_dir', program.run_dir / 'other')
    assert code == 2 and 'did you mean poly?' in printed and ', poly' in printed


def test_two_losses_of_one_name_are_a_fault(poly):
    with pytest.raises(AssertionError, match='loss poly is registered twice'):
        register('poly')(lambda *_: None)
