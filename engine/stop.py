"""Stop signals: Ctrl-C, or SIGTERM or SIGUSR1, which job schedulers send before they kill, become a flag to look at."""

import os
import signal
import threading
import time

from utils.cli.program import INTERRUPTED, STOPPED

# no SIGUSR1 on Windows
SIGNALS = tuple(getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGUSR1') if hasattr(signal, name))
ECHO_SECONDS = 2  # torchrun passes on a Ctrl-C that its processes got from the terminal already


class StopSignal:
    """Within the block, the first of SIGNALS sets `.requested`; a second one has its usual effect at once.

    Used around a training, which ends at the next step, saved. Outside the main thread it never fires.

    Args:
        log: takes a line about the signal.
        ask: returns who else wants the training to stop, such as a cluster (engine.stop_hook), or None. Asked at each
            look; a signal that comes after such a request is still the first.
    """

    def __init__(self, log=None, ask=None):
        self.name, self.asked, self._log, self._ask = None, None, log, ask
        self._previous, self._owner, self._received = {}, None, 0.0

    @property
    def exit_code(self) -> int:
        """Of a training that has saved and ended for this signal, or for one that another process got."""
        return INTERRUPTED if self.name == 'SIGINT' else STOPPED

    @property
    def requested(self) -> bool:
        """Whether to stop. The first look after the signal logs it; the handler itself may have interrupted a print."""
        if self._ask is not None and self.reason is None:
            self.asked = self._answer()
        if self.reason is not None and self._log is not None:
            log, self._log = self._log, None
            log(f'{self.reason} received: saving, then ending; a second signal ends at once')
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """The signal, or who asked; None while nobody did."""
        return self.name or self.asked

    def _answer(self):
        """What `ask` returns. Where it fails the training goes on, and it is not asked again."""
        try:
            return self._ask()
        except Exception as error:
            self._ask = None
            if self._log is not None:
                self._log(f'--on_stop: cannot say whether to stop ({type(error).__name__}: {error}); not asked again')
            return None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._owner = os.getpid()
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_):
        for number in list(self._previous):
            signal.signal(number, self._previous.pop(number) or signal.SIG_DFL)

    def _receive(self, number, frame):
        # a forked child is not the training: it ends as usual
        if os.getpid() != self._owner or self.name is not None:
            if self._is_echo():
                return
            if number == signal.SIGINT:
                signal.default_int_handler(number, frame)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._received, self.name = time.monotonic(), signal.Signals(number).name

    def _is_echo(self) -> bool:
        return 'TORCHELASTIC_RUN_ID' in os.environ and time.monotonic() - self._received < ECHO_SECONDS
