"""TensorBoard events of a run, events.out.tfevents.* in its folder.

Written one by one in the tracker's thread: the writers of tensorboardX and of torch hand them to a thread of their own
behind a bounded queue, which blocks for ever once that thread has died.
"""

import os
import secrets
import time
from pathlib import Path

SCORES = ('val/mean_iu', 'val/loss')  # beside the flags in the table of runs (HPARAMS)
FLUSH_SECONDS = 1.0


class TensorBoard:
    """Events from `step` on; those of an earlier process from there on are left out of the curves."""

    imports = ('tensorboardX', 'tensorboardX.proto.api_pb2', 'tensorboardX.proto.plugin_hparams_pb2', 'PIL.Image')

    def __init__(self, directory, flags, step):
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._summary, self._event, self._flushed = summary, Event, 0.0
        # the name holds the second alone: two starts within one would be one file
        self._writer = EventsWriter(str(Path(directory) / 'events'), f'.{os.getpid()}.{secrets.token_hex(2)}')
        if step:
            start = SessionLog(status=SessionLog.SessionStatus.Value('START'))
            self._write(Event(step=step + 1, session_log=start))
        for part in summary.hparams(_plain(flags), dict.fromkeys(SCORES))[:2]:
            self._write(Event(summary=part))
        self.flush()

    def scalars(self, values, step, axis):
        for tag, value in values.items():
            self._write(self._event(step=step, summary=self._summary.scalar(tag, value)))

    def picture(self, tag, array, step):
        self._write(self._event(step=step, summary=self._summary.image(tag, array)))

    def flush(self):
        self._writer.flush()
        self._flushed = time.monotonic()

    def close(self):
        self._writer.close()

    def _write(self, event):
        event.wall_time = time.time()
        self._writer.write_event(event)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()


def _plain(flags) -> dict:
    """Flags as numbers, switches and text; those without a value are left out."""
    return {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in flags.items()
        if value is not None
    }
