"""Programs in files, which run without this package: those of torch.export (.pt2) and ONNX (.onnx).

A program for many sizes refuses images of any other one. From torch.export it has an assertion (network.export), which
ONNX lacks; there the same is built of what it has.
"""

import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

FORMATS = {'torch_export': '.pt2', 'onnx': '.onnx'}
REMEDY = 'pip install -r requirements-extras.txt'
# multiples in a side of a dynamic size: at one, a map may be a single pixel, which exporters treat as a case of its own
SMALLEST = 2


def refusal(multiple: int) -> str:
    """What a program for many sizes says to images of another one."""
    return f'both sides of images must be multiples of {multiple} from {SMALLEST * multiple} on'


def onnx_packages():
    """onnx and onnxruntime; ValueError if one of the packages of ONNX export is missing."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise ValueError(f'--format onnx: the package {error.name} is missing; {REMEDY}') from None
    return onnx, onnxruntime


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


def write(kind: str, traced: torch.export.ExportedProgram, file: Path, about: dict):
    """Write the program to `file` with `about` in it. Raises ValueError where torch.onnx cannot follow."""
    with quiet():
        if kind == 'torch_export':
            torch.export.save(traced, file, extra_files={'about.json': json.dumps(about)})
            return
        try:
            program = torch.onnx.export(
                traced, dynamo=True, input_names=['images'], output_names=[about['output']], verbose=False
            )
        except Exception as error:  # of many kinds too, about operations that ONNX does not have
            raise ValueError(
                f'--format onnx: torch.onnx cannot write {about["arch"]} ({first_line(error)}); choose another network,'
                ' or --format torch_export'
            ) from error
        program.model.metadata_props['about'] = json.dumps(about)
        program.save(file, external_data=False)
        if about['multiple']:
            refuse_other_sizes(file, about['multiple'])


def refuse_other_sizes(file: Path, multiple: int):
    """Make the ONNX program in `file` fail at sizes that it was not made for; from torch it has no assertion.

    In ONNX an index out of bounds is an error, which names its node: each side looks up 0 in a list of one, at 0 if it
    fits. The zeros are where a slice of the images starts, which is all of them.
    """
    onnx, _ = onnx_packages()
    model, make = onnx.load(file), onnx.helper.make_node
    constants = {
        'check_multiple': [multiple],
        'check_smallest': [SMALLEST * multiple],
        'check_zero': [0],
        'check_axes': [2, 3],
    }
    checks = [
        make('Shape', ['images'], ['check_sides'], start=2),
        make('Mod', ['check_sides', 'check_multiple'], ['check_left']),
        make('Less', ['check_sides', 'check_smallest'], ['check_small']),
        make('Cast', ['check_small'], ['check_small_number'], to=onnx.TensorProto.INT64),
        make('Add', ['check_left', 'check_small_number'], ['check_index']),
        make('Gather', ['check_zero', 'check_index'], ['check_start'], name=refusal(multiple)),
        make('Slice', ['images', 'check_start', 'check_sides', 'check_axes'], ['check_images']),
    ]
    nodes = list(model.graph.node)
    for node in nodes:
        node.input[:] = ['check_images' if name == 'images' else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend([*checks, *nodes])
    model.graph.initializer.extend(
        onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values)
        for name, values in constants.items()
    )
    onnx.save(model, file)


def load(kind: str, file: Path):
    """A function from images to what the program in `file` returns."""
    if kind == 'torch_export':
        with quiet():
            return torch.export.load(file).module()
    session = onnx_packages()[1].InferenceSession(file, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(session.run(None, {'images': images.numpy()})[0])


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
