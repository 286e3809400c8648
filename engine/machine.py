"""Failures of the machine that a run is on, told in one sentence with the flag that helps, wherever in a chain of
errors they stand: a loader process that dies interrupts whatever the main process does at that moment."""

import os
import re
import shutil
from contextlib import contextmanager, suppress

SHARED = ('shared memory', 'Bus error', '</torch_', 'unable to mmap', 'unable to allocate shared')
DESCRIPTORS = ('received 0 items of ancdata', 'Too many open files')
DIED = re.compile(r'DataLoader worker \(pid\(?s?\)? ?[\d, ]*\)? ?[^.\n]*(exited unexpectedly|killed by signal[^.\n]*)')
UNANSWERED = re.compile(
    r'Timed out waiting|Connection timeout|collective operation timeout|wait timeout', re.IGNORECASE
)


class MachineError(OSError):
    """What the machine lacks, as a sentence for the person who runs the program."""


@contextmanager
def told():
    """Raise a MachineError for errors of the block that come from the machine."""
    try:
        yield
    except Exception as error:
        sentence = next((text for text in map(_sentence, _chain(error)) if text), None)
        if sentence is None:
            raise
        raise MachineError(sentence) from error


def _chain(error):
    seen = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _sentence(error) -> str | None:
    """The sentence for one error of torch, None when it is of another kind."""
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    of_loader = 'DataLoader worker' in text
    if any(word in text for word in SHARED) and (of_loader or '/torch_' in text or 'shared memory' in text):
        return (
            f'the loader processes ran out of shared memory{_free_shared()}, in which they hand over batches; give'
            ' fewer --num_workers (0: the program loads by itself), or more of it, in Docker with --shm-size 8g'
        )
    if any(word in text for word in DESCRIPTORS):
        return (
            'the loader processes ran out of open files; give fewer --num_workers, or allow more with ulimit -n 65536'
        )
    died = DIED.search(text)
    if died:
        return (
            f'a loader process has {died[1] if died[1].startswith("exited") else "been " + died[1]}, most often by the'
            ' system because the memory was full; give fewer --num_workers (0: the program loads by itself) or a'
            ' smaller --bs_trn; --resume auto continues a training'
        )
    if 'WORLD_SIZE' in os.environ and UNANSWERED.search(text):
        return (
            'another process has not answered for the time of --timeout: it or its machine has ended or hangs, its'
            ' output says why; raise --timeout where it only takes longer, and go on with --resume auto'
        )
    return None


def _free_shared() -> str:
    with suppress(OSError):
        usage = shutil.disk_usage('/dev/shm')
        return f' (/dev/shm: {usage.free >> 20:,} of {usage.total >> 20:,} MiB free)'
    return ''


def compiler_lacks(device) -> str | None:
    """What torch.compile needs on `device` and this machine has not, None where it has it."""
    name, variable, known = (
        ('C++', 'CXX', ('g++', 'clang++')) if device.type == 'cpu' else ('C', 'CC', ('gcc', 'clang', 'cc'))
    )
    chosen = os.environ.get(variable)
    if any(shutil.which(compiler) for compiler in ((chosen,) if chosen else known)):
        return None
    return f'no {name} compiler ({chosen or " or ".join(known)}) is installed'
