"""Length of a training of so many minutes: epochs by hand, and a clock that a test moves."""

import pytest

from engine.planning.time_plan import Length, Stopwatch, fit_length


def test_epochs_fill_the_time_that_validations_leave():
    # 950 s are usable; validations of 10 s have 142 s, 14 of them; 810 s are 810 batches, 40 epochs of 20
    assert fit_length(1000, 1.0, 10.0, 20, {}) == Length(40, 3, None)


def test_epochs_are_shorter_where_fewer_than_ten_fit():
    # 810 batches: ten epochs of 81 instead of 5000
    assert fit_length(1000, 1.0, 10.0, 5000, {}) == Length(10, 1, 81)


def test_a_few_batches_are_a_few_epochs():
    assert fit_length(10, 2.0, 1.0, 50, {}) == Length(4, 4, 1)  # 8.5 s
    assert fit_length(10, 2.0, 1.0, 1, {}) == Length(4, 4, None), 'epochs of a batch are whole ones'


def test_given_flags_bound_the_length():
    assert fit_length(1000, 1.0, 10.0, 20, {'max_epoch': 7}) == Length(7, 1, None)
    assert fit_length(1000, 1.0, 10.0, 20, {'val_freq': 9}).val_freq == 9
    assert fit_length(1000, 1.0, 10.0, 20, {'epoch_batches': 5}) == Length(162, 12, 5)


def test_no_time_for_a_batch_is_told():
    with pytest.raises(ValueError, match=r'--minutes 1: a batch takes 50 s here and a validation 20 s'):
        fit_length(60, 50, 20, 10, {})


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    clock = Clock()
    watch = Stopwatch(10, clock=clock)  # 600 s
    clock.now = 30.0
    watch.begin()
    return watch, clock


def epoch(watch, clock, seconds, validation=0.0):
    clock.now += seconds + validation
    if validation:
        watch.add_validation(validation)


def test_the_length_is_corrected_after_the_first_epoch(watch):
    watch, clock = watch
    epoch(watch, clock, 50, 20)
    # 500 s are left, 20 of them for the last validation: nine epochs of 50 s, validated every hundredth
    assert watch.max_epoch(1, 5, 100, None) == 10
    assert watch.max_epoch(1, 5, 100, 7) == 5, 'a second time it only becomes shorter'


def test_validations_count(watch):
    watch, clock = watch
    epoch(watch, clock, 50, 20)
    # 480 s: with a validation in every epoch six of 70 s
    assert watch.max_epoch(1, 50, 1, None) == 7


def test_it_becomes_shorter_when_the_machine_becomes_slower(watch):
    watch, clock = watch
    epoch(watch, clock, 50, 10)
    assert watch.max_epoch(1, 10, 100, None) == 11
    epoch(watch, clock, 250)
    # 260 s are left, 10 for the validation; an epoch takes 150 s on average: one more
    assert watch.max_epoch(2, 11, 100, None) == 3


def test_a_time_that_is_over_ends_it_and_earlier_runs_count(watch):
    watch, clock = watch
    epoch(watch, clock, 900, 1)
    assert watch.max_epoch(4, 10, 1, None) == 4 and watch.left < 0
    assert Stopwatch(10, before=240, clock=clock).left == 360
