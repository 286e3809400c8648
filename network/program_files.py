"""Programs in files, which run without this package: those of torch.export (.pt2) and ONNX (.onnx).

A file says in its metadata, under `about`, what its program expects: `size` is the one size of images that it takes,
null for any whose sides are at least `smallest` pixels. A program of torch.export refuses other images; ONNX has no
assertions, so that there they fail in some operation or give results that nobody has checked.
"""

import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

FORMATS = {'torch_export': '.pt2', 'onnx': '.onnx'}
REMEDY = 'pip install -r requirements-extras.txt'


def refusal(smallest: int) -> str:
    """The sentence about images of a size that a program for many sizes was not made for."""
    return f'both sides of images must be at least {smallest} pixels'


def onnx_runtime():
    """onnxruntime; ValueError if one of the packages of ONNX export is missing."""
    try:
        import onnx  # noqa: F401  (torch.onnx needs it)
        import onnxruntime
        import onnxscript  # noqa: F401  (torch.onnx needs it too)
    except ImportError as error:
        raise ValueError(f'--format onnx: the package {error.name} is missing; {REMEDY}') from None
    return onnxruntime


@contextmanager
def quiet():
    """Without the exporters' notes about their own inner life."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def exported(program: nn.Module, images: torch.Tensor, what: str, remedy: str, **options):
    """The ExportedProgram of a module for these images; options: of torch.export.export.

    Raises ValueError, which begins with `what` and ends with `remedy`, where torch.export cannot follow.
    """
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(program, (images,), **options)
    except Exception as error:  # torch raises many kinds, about what a trunk does with sizes
        raise ValueError(f'{what}: torch.export cannot follow this network ({first_line(error)}); {remedy}') from error


def write(kind: str, traced: torch.export.ExportedProgram, file: Path, about: dict):
    """Write the program to `file` with `about` in it. Raises ValueError where torch.onnx cannot follow."""
    with quiet():
        if kind == 'torch_export':
            torch.export.save(traced, file, extra_files={'about.json': json.dumps(about)})
            return
        try:
            program = torch.onnx.export(
                traced, dynamo=True, input_names=['images'], output_names=about['outputs'], verbose=False
            )
        except Exception as error:  # of many kinds too, about operations that ONNX does not have
            raise ValueError(
                f'--format onnx: torch.onnx cannot write {about["arch"]} ({first_line(error)}); choose another network,'
                ' or --format torch_export'
            ) from error
        assert program is not None
        program.model.metadata_props['about'] = json.dumps(about)
        program.save(file, external_data=False)


def load(kind: str, file: Path):
    """A function from images to the list of what the program in `file` returns."""
    if kind == 'torch_export':
        with quiet():
            module = torch.export.load(file).module()
        return lambda images: as_list(module(images))
    session = onnx_runtime().InferenceSession(file, providers=['CPUExecutionProvider'])
    return lambda images: list(map(torch.from_numpy, session.run(None, {'images': images.numpy()})))


def as_list(returned) -> list:
    """A program of torch.export returns a tensor, or a tuple of several."""
    return [returned] if isinstance(returned, torch.Tensor) else list(returned)


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
