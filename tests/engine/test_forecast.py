"""Forecasts of trainings that take days."""

from argparse import Namespace

import pytest

from engine.planning import forecast
from engine.planning.forecast import duration, tell_if_long, tell_speed


@pytest.mark.parametrize(
    'seconds, words', [(259_200, '3.0 days'), (86_399, '24.0 hours'), (720, '12 minutes'), (1, '1 minutes')]
)
def test_seconds_are_told_in_the_largest_unit(seconds, words):
    assert duration(seconds) == words


@pytest.fixture
def told(monkeypatch):
    """told(batches): the lines about a training of 2 crops of 1000x1000 pixels a batch, a thousand operations a pixel
    and pass, on a machine that reaches 0.4 * 1e6 of them a second."""
    monkeypatch.setattr(forecast, 'operations', lambda args, num_classes: 1000.0)
    monkeypatch.setattr(forecast, 'speed', lambda: 1e6)

    def call(batches):
        lines = []
        tell_if_long(Namespace(bs_trn=2, crop_size=(1000, 1000)), 19, batches, lines.append)
        return lines

    return call


def test_days_are_told_before_the_first_step(told):
    # 600 batches are 1.2e9 pixels, 3.6e12 operations, 9e6 seconds
    [line] = told(600)
    assert 'will take about 104.2 days on this CPU' in line and '--recipe small' in line and '--minutes' in line


def test_short_trainings_are_not_even_counted(told, monkeypatch):
    monkeypatch.setattr(forecast, 'operations', lambda args, num_classes: pytest.fail('counted'))
    assert told(400) == []  # 8e8 pixels


def test_a_large_training_of_less_than_a_day_is_not_told(told, monkeypatch):
    monkeypatch.setattr(forecast, 'speed', lambda: 1e9)
    assert told(600) == []


def test_the_first_steps_tell_it_too():
    lines = []
    tell_speed(100.0, 10, 20_000, lines.append)  # 10 s a step
    tell_speed(100.0, 10, 8_000, lines.append)
    assert len(lines) == 1 and 'will take about 2.3 days' in lines[0]


def test_the_speed_of_a_convolution_is_a_number_of_operations():
    assert 1e8 < forecast.speed(0.01) < 1e14
