"""Length of a training of so many minutes: epochs by hand, and a clock that a test moves."""

import math

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


def plan(watch, done, now, val_freq=100, most=None, batches=10, longest=10):
    """(epochs, batches of an epoch) that the watch plans after an epoch of so many batches."""
    found = watch.plan(done, batches, Length(now, val_freq, batches), longest, most)
    return found.max_epoch, found.epoch_batches


def test_the_length_is_corrected_after_the_first_epoch(watch):
    watch, clock = watch
    epoch(watch, clock, 20, 20)
    # 530 s are left, 20 of them for the last validation: 25 epochs of 20 s, validated every hundredth
    assert plan(watch, 1, 5) == (26, 10)
    assert plan(watch, 1, 5, most=7) == (7, 10)


def test_validations_count(watch):
    watch, clock = watch
    epoch(watch, clock, 20, 20)
    # 510 s: with a validation in every epoch 12 of 40 s
    assert plan(watch, 1, 50, val_freq=1) == (13, 10)


def test_it_becomes_shorter_when_the_machine_becomes_slower_and_longer_when_it_becomes_faster(watch):
    watch, clock = watch
    epoch(watch, clock, 20, 10)
    assert plan(watch, 1, 10) == (27, 10)
    epoch(watch, clock, 40)
    # 500 s are left, 10 for the validation; an epoch takes 30 s on average, more than a 25th of the time: 16 whole ones
    # would leave 10 s, less than a 50th
    assert plan(watch, 2, 27) == (18, 10)
    for _ in range(3):
        epoch(watch, clock, 10)
        watch.plan(3, 10, Length(18, 100, 10), 10, None)
    # 470 s are left, 10 for the validation: 46 epochs of 10 s
    assert plan(watch, 5, 18, batches=0) == (51, 10) or watch.left == 470


def test_epochs_that_are_long_become_shorter_to_use_the_time(watch):
    watch, clock = watch
    epoch(watch, clock, 50, 20)
    # 480 s: nine epochs of 50 s leave 30 s; ten of 9 batches of 5 s use 450 s
    assert plan(watch, 1, 5) == (11, 9)


def test_a_plan_that_leaves_little_stays(watch):
    watch, clock = watch
    epoch(watch, clock, 20, 20)
    # 510 s: 25 epochs of 20 s leave 10 s, less than 12; 24 leave 30
    assert plan(watch, 1, 26) == (26, 10)
    watch.batch_seconds.clear()
    assert plan(watch, 1, 9, batches=0) == (9, 0), 'nothing is known of the speed'


MACHINES = {
    'steady': lambda used: 1.0,
    'slower in the middle': lambda used: 1.0 if used < 60 else 2.5,
    'faster in the middle': lambda used: 1.0 if used < 60 else 0.4,
    'slow in the beginning': lambda used: 3.0 if used < 20 else 1.0,
    'slow for a while': lambda used: 2.0 if 40 < used < 70 else 1.0,
    'up and down': lambda used: 1.0 + 0.5 * math.sin(used / 5),
}


@pytest.mark.parametrize('batch, batches, validation', [(0.2, 3, 0.5), (0.5, 1000, 2.0), (1.0, 12, 5.0)])
@pytest.mark.parametrize('machine', MACHINES.values(), ids=MACHINES)
def test_two_minutes_end_within_five_per_cent_whatever_the_machine_does(machine, batch, batches, validation):
    clock = Clock()
    watch = Stopwatch(2, clock=clock)
    clock.now += 4.0  # to build the network
    length = fit_length(watch.left, batch * machine(0), validation * machine(0), batches, {})
    length = length._replace(epoch_batches=length.epoch_batches or batches)
    watch.begin()
    longest, done, rate = length.epoch_batches, 0, 1.0
    while done < length.max_epoch:
        rate = 1 - done / length.max_epoch
        for _ in range(length.epoch_batches):
            clock.now += batch * machine(clock.now)
        if done % length.val_freq == 0 or done == length.max_epoch - 1:
            before = clock.now
            clock.now += validation * machine(clock.now)
            if done % length.val_freq == 0:
                watch.add_validation(clock.now - before)
        done += 1
        new = watch.plan(done, length.epoch_batches, length, longest, None)
        length = new if done < length.max_epoch else length
    assert abs(clock.now - 120) <= 0.05 * 120, (clock.now, done)
    assert rate == pytest.approx(1 / done), 'the learning rate has come to its end'


def test_a_time_that_is_over_ends_it_and_earlier_runs_count(watch):
    watch, clock = watch
    epoch(watch, clock, 900, 1)
    assert plan(watch, 4, 10, val_freq=1) == (4, 10) and watch.left < 0
    assert Stopwatch(10, before=240, clock=clock).left == 360
