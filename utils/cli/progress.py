"""Progress of long work: a tqdm bar with ETA on a terminal, plain lines in a log file, nothing on other ranks."""

import os
import sys
import time

from tqdm import tqdm

LINE_EVERY = 30.0  # seconds after which a plain line is due whatever the share done
LINE_APART = 5.0  # seconds between two plain lines at least, so that fast work says only that it is done


def progress(iterable, total=None, desc='', unit='images', log=None, initial=0, is_shown=True):
    """Iterate over `iterable` and show it; once. `.note(text)` puts a short text, such as the loss, behind the bar or
    the next line.

    Args:
        total: how many there are; the length of `iterable` when None.
        desc: what is done.
        unit: what is counted, in the plural.
        log: a function of one line; lines go to stderr when None.
        initial: how many of `total` were done before (a resumed epoch).
        is_shown: False where the work itself says that it is done.
    """
    if total is None and hasattr(iterable, '__len__'):
        total = len(iterable) + initial
    return _Progress(iterable, total, desc, unit, log, initial, is_shown)


def is_main_process() -> bool:
    """True on the one process that talks: rank 0 of torchrun, or a process of its own."""
    return 'WORLD_SIZE' not in os.environ or os.environ.get('RANK', '0') == '0'


class _Progress:
    def __init__(self, iterable, total, desc, unit, log, initial, is_shown):
        self.iterable, self.total, self.desc, self.unit, self.log, self.done = iterable, total, desc, unit, log, initial
        self.is_shown = is_shown
        self.text, self.bar, self.is_through = '', None, False

    def __len__(self):
        return self.total

    def __iter__(self):
        if not (self.is_shown and is_main_process()):
            yield from self.iterable
        elif sys.stderr.isatty():
            yield from self._with_bar()
        else:
            yield from self._with_lines()

    def note(self, text: str):
        """Show `text` behind the bar, or at the end of the next plain line."""
        self.text = text
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)

    def _with_bar(self):
        with tqdm(
            total=self.total,
            desc=self.desc,
            unit=f' {self.unit}',
            initial=self.done,
            dynamic_ncols=True,
            file=sys.stderr,
        ) as self.bar:
            for value in self.iterable:
                try:
                    yield value
                finally:  # also when the caller breaks out: this one is done
                    self.bar.update()
        self.bar = None

    def _with_lines(self):
        first, start = self.done, time.monotonic()
        last_time, last_tenth = start, self._tenth()
        try:
            for value in self.iterable:
                try:
                    yield value
                finally:
                    self.done += 1
                now = time.monotonic()
                tenth_due = self._tenth() > last_tenth and now - last_time >= LINE_APART
                if self.done != self.total and (tenth_due or now - last_time >= LINE_EVERY):
                    self._say(self.done - first, now - start)
                    last_time, last_tenth = now, self._tenth()
            self.is_through = True
        finally:
            if self.done > first:
                self._say(self.done - first, time.monotonic() - start, ended=True)

    def _tenth(self):
        return 10 * self.done // self.total if self.total else 0

    def _say(self, count, seconds, ended=False):
        line = f'{self.desc or "progress"}: {self.done}'
        if self.total:
            line += f'/{self.total} {self.unit} ({100 * self.done / self.total:.0f} %)'
        else:
            line += f' {self.unit}'
        line += f', {_rate(count, seconds, self.unit)}'
        if ended:
            is_done = self.done == self.total if self.total else self.is_through
            line += f', {"done in" if is_done else "stopped after"} {format_seconds(seconds)}'
        elif self.total:
            line += f', {format_seconds(seconds / count * (self.total - self.done))} left'
        if self.text:
            line += f', {self.text}'
        if self.log is not None:
            self.log(line)
        else:
            print(line, file=sys.stderr, flush=True)


def _rate(count, seconds, unit):
    per_second = count / max(seconds, 1e-9)
    if per_second >= 1:
        return f'{per_second:,.0f} {unit}/s' if per_second >= 100 else f'{per_second:.3g} {unit}/s'
    return f'{1 / per_second:.3g} s/{unit.removesuffix("es") if unit.endswith("ches") else unit.removesuffix("s")}'


def format_seconds(seconds: float) -> str:
    """3725 -> '1:02:05'; 65 -> '1:05'; 0.4 -> '0.4 s'."""
    if seconds < 10:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{rest:02d}' if hours else f'{minutes}:{rest:02d}'
