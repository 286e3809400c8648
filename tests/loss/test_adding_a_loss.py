"""A loss added as docs/contributing.md says: registered in one place, it is named by --loss and logged by its parts."""

import math
import re
from pathlib import Path

import pytest
import torch
from runx.logx import logx
from small import TRAIN

from loss import criterion, get_criterion

PAGE = (Path(__file__).parents[2] / 'docs/contributing.md').read_text('utf-8')


@pytest.fixture
def poly1(monkeypatch):
    """The loss of the page, registered for one test."""
    section = PAGE.split('### A loss\n')[1].split('\n### ')[0]
    monkeypatch.setattr(criterion, 'LOSSES', dict(criterion.LOSSES))
    exec(re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1), dict(vars(criterion)))


def test_it_is_built_by_its_name(poly1):
    logits, labels = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
    losses = get_criterion(['poly1'], [2.0], 2)({'pred': logits}, labels)
    assert losses['loss'].item() == pytest.approx(2 * (math.log(2) + 0.5))
    assert losses['pred/poly1'].item() == pytest.approx(math.log(2) + 0.5)


def test_the_program_trains_with_it_and_names_it_beside_the_others(poly1, program, monkeypatch):
    logged = {}
    monkeypatch.setattr(logx, 'metric', lambda phase, numbers, step: logged.update(numbers))
    code, printed = program(*TRAIN, '--loss', 'poly1,ce,ce,ce', '--max_epoch', '1', '--test_mode')
    assert code == 0, printed
    assert 0 < logged['pred/poly1'] < logged['loss'] and 'aux/ce' in logged
    code, printed = program(*TRAIN, '--loss', 'poly,ce,ce,ce', '--result_dir', program.run_dir / 'other')
    assert code == 2 and 'did you mean poly1?' in printed and 'ce, img_wt, rmi, bce' in printed


def test_two_losses_of_one_name_are_a_fault(poly1):
    with pytest.raises(AssertionError, match='loss poly1 is registered twice'):
        criterion.register('poly1')(lambda *_: None)
