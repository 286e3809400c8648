"""Weights & Biases run of a training: offline in the run's folder unless the environment says otherwise.

`WANDB_MODE=online` sends while it trains, `wandb sync DIR/wandb/offline-run-*` afterwards; WANDB_PROJECT and the other
variables of wandb count as usual.
"""

import hashlib
import os
from pathlib import Path


class WeightsAndBiases:
    """A run named after its folder, which a resumed training continues."""

    imports = ('wandb',)

    def __init__(self, directory, flags, step):
        import wandb

        directory = Path(directory).resolve()
        self._wandb = wandb
        self._run = wandb.init(
            dir=str(directory),
            name=directory.name,
            id=hashlib.sha256(str(directory).encode(errors='surrogateescape')).hexdigest()[:16],
            resume='allow',
            config=flags,
            mode=os.environ.get('WANDB_MODE', 'offline'),
            settings=wandb.Settings(console='off', silent=True),
        )
        for axis in ('step', 'epoch'):
            self._run.define_metric(axis, hidden=True)
        for prefix in ('val', 'iou', 'time'):
            self._run.define_metric(f'{prefix}/*', step_metric='epoch')
        for prefix in ('train', 'lr', 'gpu'):
            self._run.define_metric(f'{prefix}/*', step_metric='step')

    def scalars(self, values, step, axis):
        self._run.log({**values, axis: step})

    def picture(self, tag, array, step):
        self._run.log({tag: self._wandb.Image(array.transpose(1, 2, 0)), 'epoch': step})

    def flush(self):
        """wandb writes its file as it goes."""

    def close(self):
        self._run.finish()
