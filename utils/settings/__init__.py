"""Settings of the programs, each declared once: flag, default, key of cfg, help, and what it decides.

A new flag is one declaration in the file of its group of the help, and the place that reads it. Flags, cfg, the entry
`network` of checkpoints, the comparison of a resumed run and of dumps with earlier ones, and the notes about flags
without effect follow from it (`registry.Settings`). This package imports nothing of the project.
"""

from utils.settings import (
    augmentation,
    checkpoints,
    coarse,
    data,
    evaluation,
    loss,
    network,
    optimisation,
    output,
    plan,
    precision,
)
from utils.settings.registry import Settings
from utils.settings.setting import Setting, group, switch

PROGRAM = group(
    '',
    Setting('config', str, None, 'FILE', 'YAML file of flag: value lines, used as defaults under the flags given here'),
    switch('debug', 'show the stack trace of an error instead of one line'),
)

SETTINGS = Settings(
    (
        *PROGRAM,
        *plan.SETTINGS,
        *data.SETTINGS,
        *coarse.SETTINGS,
        *augmentation.SETTINGS,
        *network.SETTINGS,
        *loss.SETTINGS,
        *optimisation.SETTINGS,
        *precision.SETTINGS,
        *checkpoints.SETTINGS,
        *evaluation.SETTINGS,
        *output.SETTINGS,
    )
)
