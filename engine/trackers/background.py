"""Background of a run: a tracker at work in a thread of its own, which may fail or hang without holding up the run.

What it is told waits in a queue. A tracker that raises, or does not keep up with a full queue or a flush, is given up:
it is told nothing more, `take_failure` says why, once.
"""

import queue
import threading
import time

WAITING = 1000  # calls in the queue; a picture is one
SECONDS = 20.0  # for a place in the queue, a flush, or the end


class Background:
    """A tracker made by make(*arguments) in a thread. name: for messages."""

    def __init__(self, name: str, make, *arguments):
        self.name, self._failure, self._is_told = name, None, False
        self._calls: queue.Queue = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, args=(make, arguments), daemon=True, name=name)
        self._thread.start()

    def call(self, method: str, *arguments):
        """Let the tracker do something, later; nothing for one that was given up."""

        def is_taken():
            try:
                self._calls.put_nowait((method, arguments))
            except queue.Full:
                return False
            return True

        self._await(is_taken)

    def flush(self):
        """Wait until all that it was told is written; at most SECONDS, after which it is given up."""
        done = threading.Event()
        self.call('flush')
        self.call('', done.set)
        self._await(done.is_set)

    def close(self):
        """End it, waiting for its work as `flush` does."""
        self.call('close')
        self.call('')
        self._await(lambda: not self._thread.is_alive())

    def take_failure(self) -> str | None:
        """Why it was given up, the first time that this is asked afterwards."""
        if self._failure is None or self._is_told:
            return None
        self._is_told = True
        return f'{self.name}: gets nothing more of this run, which goes on without it: {self._failure}'

    def _await(self, is_done):
        """Wait for is_done(), at most SECONDS, after which the tracker is given up; not for one that was."""
        limit = time.monotonic() + SECONDS
        while self._failure is None and not is_done():
            if time.monotonic() > limit:
                self._failure = f'it has not answered for {SECONDS:g} seconds'
            time.sleep(0.002)

    def _work(self, make, arguments):
        try:
            tracker = make(*arguments)
            while True:
                method, arguments = self._calls.get()
                if method:
                    getattr(tracker, method)(*arguments)
                elif arguments:
                    arguments[0]()
                else:
                    return
                del arguments  # a picture is not kept until the next call
        except BaseException as error:  # noqa: BLE001 (whatever ends it, the run goes on)
            self._failure = f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
