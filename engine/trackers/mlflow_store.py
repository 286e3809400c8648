"""MLflow run of a training: in `mlruns` of the run's folder unless MLFLOW_TRACKING_URI names a server or store."""

import os
import time
from pathlib import Path

FOLDER = 'run_directory'  # tag that finds the run of a resumed training


class MLflow:
    """A run named after its folder, in the experiment of MLFLOW_EXPERIMENT_NAME, which a resumed training continues."""

    imports = ('mlflow', 'mlflow.entities', 'PIL.Image')

    def __init__(self, directory, flags, step):
        from mlflow import MlflowClient

        directory = Path(directory).resolve()
        uri = os.environ.get('MLFLOW_TRACKING_URI')
        if not uri:
            os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')  # which newer versions ask for
            uri = (directory / 'mlruns').as_uri()
        self._client = client = MlflowClient(tracking_uri=uri)
        name = os.environ.get('MLFLOW_EXPERIMENT_NAME', 'Default')
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        text = str(directory)
        earlier = [run for run in client.search_runs([experiment]) if run.data.tags.get(FOLDER) == text] if step else []
        if earlier:
            self._run = earlier[0].info.run_id
            client.update_run(self._run, status='RUNNING')
        else:
            self._run = client.create_run(experiment, run_name=directory.name, tags={FOLDER: text}).info.run_id
            params = [(key, str(value)[:500]) for key, value in flags.items() if value is not None]
            self._log(params=[_entity('Param')(key, value) for key, value in params])

    def scalars(self, values, step, axis):
        now, metric = int(1000 * time.time()), _entity('Metric')
        self._log(metrics=[metric(_allowed(tag), float(value), now, step) for tag, value in values.items()])

    def picture(self, tag, array, step):
        from PIL import Image

        picture = Image.fromarray(array.transpose(1, 2, 0))
        self._client.log_image(self._run, picture, f'{_allowed(tag)}/{step:05d}.png')

    def flush(self):
        """Every call is written when it returns."""

    def close(self):
        self._client.set_terminated(self._run)

    def _log(self, metrics=(), params=()):
        """In parts that the interface of MLflow takes."""
        for first in range(0, max(len(metrics), len(params)), 100):
            part = slice(first, first + 100)
            self._client.log_batch(self._run, metrics=list(metrics[part]), params=list(params[part]))


def _entity(name):
    from mlflow import entities

    return getattr(entities, name)


def _allowed(tag: str) -> str:
    """A tag in the characters that MLflow allows in names."""
    return ''.join(letter if letter.isalnum() or letter in '_-./ ' else '_' for letter in tag)
