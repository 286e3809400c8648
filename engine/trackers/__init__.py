"""Trackers of a run: TensorBoard, Weights & Biases, MLflow. Each takes numbers and pictures in a thread of its own.

A tracker is a class in TRACKERS, made in its thread with (directory, flags, step): the run's folder, its flags by name,
and how many optimizer steps were done before. `scalars(values, step, axis)` takes numbers by tag, `axis` 'step' or
'epoch' says what `step` counts; `picture(tag, array, step)` takes uint8 (3, H, W) at an epoch; `flush()` and `close()`
return when all of it is written. Each may raise anything or hang: engine.trackers.background says so and goes on.
"""

import importlib

from engine.trackers.background import Background
from engine.trackers.mlflow_store import MLflow
from engine.trackers.tensorboard import TensorBoard
from engine.trackers.wandb_project import WeightsAndBiases

TRACKERS = {'tensorboard': TensorBoard, 'wandb': WeightsAndBiases, 'mlflow': MLflow}

DEFAULT = ('tensorboard',)


def check_installed(names):
    """Raise ValueError for a tracker whose package is not installed. Imports what it takes: in the tracker's thread an
    import could be under way when a loader process is forked, which then waits for it for ever."""
    for name in names:
        package = TRACKERS[name].imports[0]
        try:
            for module in TRACKERS[name].imports:
                importlib.import_module(module)
        except ImportError as error:
            raise ValueError(
                f'--log_to {name}: the package {package} is not installed or broken ({error}); pip install {package},'
                ' or leave it out'
            ) from error


def start(names, directory, flags: dict, step: int) -> list[Background]:
    """The trackers of --log_to, at work."""
    return [Background(name, TRACKERS[name], directory, flags, step) for name in names]
