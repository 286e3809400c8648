import random

import numpy as np
import pytest
import torch

from engine.seeding import seed_everything, set_deterministic


def draw(seed, rank=0):
    seed_everything(seed, rank)
    return random.random(), float(np.random.rand()), float(torch.rand(1, dtype=torch.float64))


def test_the_same_seed_and_rank_give_the_same_numbers():
    assert draw(3) == draw(3)
    assert draw(2**40, 7) == draw(2**40, 7)


def test_seeds_and_ranks_share_no_stream():
    streams = [draw(seed, rank) for seed in range(3) for rank in range(3)]
    assert len({number for stream in streams for number in stream}) == 27


def test_a_negative_seed_names_the_flag():
    with pytest.raises(ValueError, match='--seed -1: expected a number of 0 or more'):
        seed_everything(-1)


def test_deterministic_kernels_are_switched_on_and_off(monkeypatch):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    try:
        set_deterministic(True)
        assert torch.are_deterministic_algorithms_enabled()
        assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    finally:
        set_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (False, True)


def test_kernels_that_are_fast_already_cost_no_import_of_the_compiler(monkeypatch):
    calls = []
    monkeypatch.setattr(torch, 'use_deterministic_algorithms', lambda *values, **_: calls.append(values))
    set_deterministic(False)
    assert calls == []
    set_deterministic(True)
    assert calls == [(True,)]
