"""Calls of runx's logx, as code made for it has them, served by the run that is open: `logx.msg('a line')`."""

from contextlib import contextmanager

from runx.logx import logx


@contextmanager
def served_by(run):
    """Within the block logx.msg, metric, add_scalar and add_image write to the record of `run`."""

    def metric(phase, metrics, epoch=None):
        run.metric('val' if phase in ('val', 'valid', 'validation', 'test') else 'train', metrics, epoch or 0)

    def add_scalar(name, value, step):
        run.scalars({name: value}, step)

    calls = {'msg': run.log, 'metric': metric, 'add_scalar': add_scalar, 'add_image': run.picture}
    vars(logx).update(calls, logdir=str(run.directory), rank0=run.is_main)
    try:
        yield
    finally:
        for name in (*calls, 'logdir', 'rank0'):
            del vars(logx)[name]
