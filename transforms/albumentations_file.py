"""Pipeline of albumentations from a file, in its own serialised form (A.save, A.to_dict; --albumentations FILE).

Image and label go through it together. Where a transform fills a label, it fills the ignore label; its random numbers
are those of the sample's generator, so the same seed gives the same samples, with any number of workers.
"""

import inspect
import os
import random
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.cli.wording import did_you_mean
from utils.cli.yaml_file import read_yaml
from utils.files.limits import parse_json

NAME, INSIDE = '__class_fullname__', 'transforms'
EXPECTED = 'what A.save(pipeline, FILE) writes'
NEAREST = (0, 6)  # OpenCV's interpolations that mix no labels
INSTALL = 'pip install -r requirements-extras.txt'


class AlbumentationsPipeline:
    """The pipeline of `path`. The methods raise ValueError, FileNotFoundError that name the file, and the transform.

    Args:
        path: JSON or YAML.
        ignore_label: what a label is filled with.
        size: (h, w) that samples have and have to keep, None for any.
    """

    def __init__(self, path: str, ignore_label: int, size: tuple[int, int] | None = None):
        self.what, self.size = f'--albumentations {path}', size
        library, registry = _library(self.what)
        self._kind = library.BasicTransform
        content = _read(path, self.what)
        content = self._filling(content, registry, ignore_label)
        for node in _leaves(content):
            self._check(library, node)
        pipeline = self._made(library, content, 'the pipeline')
        self.pipeline = pipeline if isinstance(pipeline, library.BaseCompose) else library.Compose([pipeline])

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple:
        """image uint8 (h, w, 3), label uint8 (h, w) -> the same of the pipeline."""
        seed = int(rng.integers(1 << 32))
        self.pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        try:
            found = self.pipeline(image=image, mask=np.ascontiguousarray(label))
        except Exception as error:
            raise ValueError(
                f'{self.what}: {self._culprit(error)} fails on an image of {image.shape[0]} x {image.shape[1]} pixels'
                f' ({_one_line(error)}); change the pipeline'
            ) from error
        image, label = found['image'], found['mask']
        fault = _fault(image, label)
        if fault:
            raise ValueError(f'{self.what}: ends in {fault}; leave out what makes that')
        if self.size and label.shape != self.size:
            raise ValueError(
                f'{self.what}: ends in images of {label.shape[0]} x {label.shape[1]} pixels, --crop_size is'
                f' {self.size[0]},{self.size[1]}; end it in a crop of that size, or give --augment norm, which leaves'
                ' all cropping to the pipeline'
            )
        return np.ascontiguousarray(image), np.ascontiguousarray(label)

    def _filling(self, node: Any, registry: Mapping, ignore_label: int) -> dict:
        """A node of the file and those inside it, whose labels are filled with the ignore label."""
        name = node.get(NAME) if isinstance(node, Mapping) else None
        if not isinstance(name, str):
            raise ValueError(f'{self.what}: an entry has no {NAME}, found {node!r:.60}; expected {EXPECTED}')
        kind = registry.get(name) or registry.get(name.rpartition('.')[2])
        if kind is None:
            raise ValueError(
                f'{self.what}: there is no transform {name} in the installed version of albumentations;'
                f' {did_you_mean(name, registry, f"write the file again with it, or {INSTALL}")}'
            )
        node = dict(node)
        if INSIDE in node:
            return {**node, INSIDE: [self._filling(inner, registry, ignore_label) for inner in node[INSIDE] or ()]}
        default = inspect.signature(kind).parameters.get('fill_mask')
        if node.get('fill_mask', default and default.default) is not None:
            node['fill_mask'] = ignore_label
        if node.get('mask_interpolation', 0) not in NEAREST:
            raise ValueError(
                f'{self.what}: {name} has mask_interpolation {node["mask_interpolation"]}, which mixes labels to'
                ' others; give 0, the nearest one'
            )
        return node

    def _check(self, library, node: Mapping):
        """Raise ValueError where one transform, always applied, changes what an image is."""
        transform = self._made(library, {**node, 'p': 1.0}, node[NAME])
        image = np.random.default_rng(0).integers(0, 256, (*(self.size or (256, 256)), 3), dtype=np.uint8)
        transform.set_random_state(np.random.default_rng(0), random.Random(0))
        try:
            found = transform(image=image, mask=np.zeros(image.shape[:2], np.uint8))
        except Exception:  # of an image of this size, which it may never get
            return
        fault = _fault(found['image'], found['mask'])
        if fault:
            raise ValueError(
                f'{self.what}: {node[NAME]} makes {fault}; leave it out, images are normalised and made tensors later'
            )

    def _made(self, library, node: Mapping, name: str):
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter('always')
                made = library.from_dict({'transform': node})
        except Exception as error:
            raise ValueError(f'{self.what}: {name} cannot be made ({_one_line(error)}); mend its values') from error
        for warning in told:
            if 'not valid for' in str(warning.message):
                raise ValueError(f'{self.what}: {_one_line(warning.message)}; write it as this version does')
        return made

    def _culprit(self, error: BaseException) -> str:
        """The innermost transform of the trace of an error."""
        frames = [frame.f_locals.get('self') for frame, _ in traceback.walk_tb(error.__traceback__)]
        found = [type(one).__name__ for one in frames if isinstance(one, self._kind)]
        return found[-1] if found else 'the pipeline'


def _library(what: str) -> tuple[Any, Mapping[str, Callable]]:
    """(the package, its transforms by name), which looks for no newer version of itself in the net."""
    os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
    os.environ.setdefault('ALBUMENTATIONS_NO_TELEMETRY', '1')
    try:
        import albumentations
        from albumentations.core.serialization import SERIALIZABLE_REGISTRY
    except ImportError:
        raise ValueError(f'{what} needs the package albumentations, which is not installed; {INSTALL}') from None
    return albumentations, SERIALIZABLE_REGISTRY


def _read(path: str, what: str) -> Mapping:
    """The entry `transform` of a file."""
    if Path(path).suffix in ('.yaml', '.yml'):
        content = read_yaml(path, '--albumentations', EXPECTED)
    else:
        try:
            content = parse_json(Path(path).read_bytes())
        except OSError as error:
            raise FileNotFoundError(f'{what}: cannot be read ({error.strerror}); give {EXPECTED}') from error
        except ValueError as error:
            raise ValueError(f'{what}: is no JSON ({error}); expected {EXPECTED}') from None
    if not isinstance(content, Mapping) or not isinstance(content.get('transform'), Mapping):
        raise ValueError(f'{what}: has no entry "transform"; expected {EXPECTED}')
    return content['transform']


def _leaves(node: Mapping) -> Iterator[Mapping]:
    """The transforms of a pipeline without those that hold others."""
    if INSIDE not in node:
        yield node
    for inner in node.get(INSIDE, ()):
        yield from _leaves(inner)


def _fault(image, label) -> str:
    """What is wrong with an image and its label; '' for uint8 (h, w, 3) and uint8 (h, w)."""
    for array, dims, form in ((image, 3, 'images uint8 (h, w, 3)'), (label, 2, 'labels uint8 (h, w)')):
        if not isinstance(array, np.ndarray):
            return f'a {type(array).__name__}, expected {form}'
        if array.dtype != np.uint8 or array.ndim != dims or array.shape[2:] not in ((), (3,)):
            return f'{array.dtype} of shape {array.shape}, expected {form}'
    return '' if image.shape[:2] == label.shape else f'an image {image.shape} beside a label {label.shape}'


def _one_line(error) -> str:
    return ' '.join(str(error).split())[:200] or type(error).__name__
