"""Timing of forms of one computation against each other, so that whatever else the machine does hits all of them.

The forms of a case are run in turn, A B C A B C ..., in one process with one number of threads; a ratio is one of
medians.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import torch

MEMORY = 'peak memory'


@dataclass
class Form:
    """One way to compute something: call() does it once.

    name: of this form in the table, '' for the only one. budget: the largest ratio to the plain form that is allowed.
    added: the plain form is part of this one, and what counts is what this one adds. memory_budget: the same for peak
    memory on a GPU. resident: modules and optimizers of this form, whose tensors lie on the device between calls.
    """

    call: Callable
    budget: float | None = None
    name: str = ''
    added: bool = False
    memory_budget: float | None = None
    resident: tuple = ()


@dataclass
class Case:
    """The plain form of something and the forms measured against it.

    title and plain_title say in words what is measured and against what. images: how many of them one call takes, for
    images per second. memory: tell the peak memory of every form. threads: how many each form may use (None: as many as
    the program has). repeats: how often each runs.
    """

    title: str
    plain_title: str
    plain: Form
    forms: list
    repeats: int
    images: int | None = None
    memory: bool = False
    threads: int | None = None


@dataclass
class Row:
    """A line of the result: a form, or its peak memory, against the plain form. Numbers are None where there are none.

    plain, ours: seconds (medians), or bytes when `unit` is 'B'; low, high: the smallest and largest ratio of two calls
    that ran one after the other; note: free text.
    """

    name: str
    title: str
    plain_title: str
    plain: float | None = None
    ours: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    budget: float | None = None
    unit: str = 's'
    note: str = ''
    samples: dict = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        """Whether the ratio is within its budget; None when one of the two is missing."""
        return None if self.ratio is None or self.budget is None else self.ratio <= self.budget


def measure(name: str, case: Case, device: torch.device, repeats: int | None = None, baseline: bool = False) -> list:
    """The Rows of a case: one for each form, and on a GPU one more for each form with a budget of memory.

    Args:
        name: of the line.
        repeats: in place of those of the case.
        baseline: run the plain form alone.

    Returns: the Rows; running out of memory makes one that says so.
    """
    forms = [case.plain, *([] if baseline else case.forms)]
    try:
        with limited_threads(case.threads):
            times = interleaved([form.call for form in forms], repeats or case.repeats, device)
            peaks = [peak_memory(form, device) if case.memory or device.type == 'cuda' else None for form in forms]
    except torch.OutOfMemoryError:
        return [Row(name, case.title, case.plain_title, note='out of memory; give a smaller --size')]
    rate = '{:.3g} images/s'.format
    if baseline:
        seconds = statistics.median(times[0])
        note = rate(case.images / seconds) if case.images else ''
        return [Row(name, case.title, case.plain_title, plain=seconds, note=note, samples={'plain': times[0]})]
    rows = []
    for form, own, peak in zip(case.forms, times[1:], peaks[1:]):
        row = compare(name, case, form, times[0], own)
        if case.images and not form.added:
            row.note = f'{rate(case.images / row.ours)}, plain {rate(case.images / row.plain)}'
        if case.memory and peak and peaks[0]:
            row.note = f'{MEMORY} {peak / peaks[0]:.2f} x plain: {peak / 2**30:.2f} GiB'
        rows.append(row)
        if peak is not None and form.memory_budget is not None:
            rows.append(
                Row(
                    join(name, form.name, 'memory'),
                    f'{case.title}, {form.name}, {MEMORY}',
                    case.plain_title,
                    peaks[0],
                    peak,
                    peak / peaks[0],
                    budget=form.memory_budget,
                    unit='B',
                )
            )
    return rows


def compare(name: str, case: Case, form: Form, plain: list, own: list) -> Row:
    """The Row of a form.

    Args:
        name: of the line.
        plain, own: seconds of each call of the plain form and of this one, in the order in which they ran.
    """
    shared = statistics.median(plain) if form.added else 0.0
    ratios = [(b - a * form.added) / a for a, b in zip(plain, own)]
    seconds = statistics.median(own) - shared
    title = f'{case.title}, {form.name}' if form.name else case.title
    return Row(
        join(name, form.name),
        title,
        case.plain_title,
        statistics.median(plain),
        seconds,
        seconds / statistics.median(plain),
        min(ratios),
        max(ratios),
        form.budget,
        samples={'plain': plain, 'ours': own},
    )


def join(*parts: str) -> str:
    return '-'.join(part for part in parts if part)


def interleaved(calls: list, repeats: int, device: torch.device) -> list:
    """Seconds of `repeats` runs of each call, run in turn after one warm-up of each; one list per call."""
    for call in calls:
        call()
    times = [[] for _ in calls]
    for _ in range(repeats):
        for call, own in zip(calls, times):
            synchronise(device)
            start = time.perf_counter()
            call()
            synchronise(device)
            own.append(time.perf_counter() - start)
    return times


def synchronise(device: torch.device):
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def peak_memory(form: Form, device: torch.device) -> int | None:
    """Bytes that a call needs at its worst on a GPU: its own resident tensors and what it allocates on top.

    What other forms keep there meanwhile is left out. On a CPU what the process takes on top; None where the system
    does not tell.
    """
    if device.type == 'cpu':
        return resident_growth(form.call)
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    form.call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before + resident_bytes(form.resident)


def resident_growth(call: Callable) -> int | None:
    """Bytes by which the memory of this process is larger at the peak of a call than before; None without Linux."""
    try:
        Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew
    except OSError:
        return None
    before = memory_of_process('VmRSS')
    call()
    return memory_of_process('VmHWM') - before


def memory_of_process(line: str) -> int:
    """Bytes that a line of /proc/self/status states."""
    return 1024 * int(Path('/proc/self/status').read_text().partition(f'{line}:')[2].split()[0])


def resident_bytes(owners) -> int:
    """Bytes of the parameters and buffers of modules and of the state of optimizers."""
    tensors = []
    for owner in owners:
        if isinstance(owner, torch.optim.Optimizer):
            tensors += [
                value for state in owner.state.values() for value in state.values() if isinstance(value, torch.Tensor)
            ]
        else:
            tensors += [*owner.parameters(), *owner.buffers()]
    return sum(tensor.nbytes for tensor in tensors)


@contextmanager
def limited_threads(count: int | None):
    """Let torch and OpenCV use `count` threads in the block; None leaves torch as it is and gives OpenCV as many."""
    torch_before, cv2_before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count or torch_before)
    cv2.setNumThreads(count or torch_before)
    try:
        yield
    finally:
        torch.set_num_threads(torch_before)
        cv2.setNumThreads(cv2_before)
