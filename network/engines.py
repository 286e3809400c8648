"""Engines that run a network which only predicts: torch, eager or compiled, ONNX Runtime, and OpenVINO.

A program for ONNX Runtime or OpenVINO is of one size of images, and is made when the second images of a size come: a
folder of photographs that all differ never waits for one.
"""

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from network.folding import folded
from network.layers import Module
from network.program_files import exported, first_line, write
from utils.outputs.kinds import kind_of
from utils.settings.precision import ENGINES

PACKAGES = {'onnx': 'onnxruntime', 'openvino': 'openvino'}
PROGRAMS = 4  # of as many sizes programs are kept
PROBE = 64  # side of the images on which folding is tried
Run = Callable[[Tensor], Tensor]


def with_engine(net: Module, engine: str, log: Callable[[str], None] = print) -> Module:
    """What runs a network (a Segmentor) on an engine: called as it is, with images (N, 3, h, w) normalised.

    Args:
        net: in evaluation mode; for 'onnx' and 'openvino' on the CPU.
        engine: one of ENGINES. 'eager' and 'compile' fold batch normalisation (network.folding).
        log: takes the lines about programs that are made.

    Raises ValueError for an unknown engine, one whose package is missing, or a device that it does not have.
    """
    if engine not in ENGINES:
        raise ValueError(f'--engine {engine}: there is no such engine; choose one of {", ".join(ENGINES)}')
    device = next(net.parameters()).device
    if engine in PACKAGES:
        if device.type != 'cpu':
            raise ValueError(f'--engine {engine}: runs on the CPU here, found {device}; give --device cpu, or another')
        return _Programs(net, _starter(engine), engine, log)
    side = max(PROBE, 2 * net.deepest_stride)
    images = torch.rand(1, net.in_channels, side, side, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    net = folded(net, lambda one: one(images)['pred'].float())
    if engine == 'compile':
        net.compile()
    return net


def _starter(engine: str) -> Callable[[Path], Run]:
    """Makes of an ONNX file a function from images to logits. Raises ValueError where a package is missing."""
    for package in dict.fromkeys(('onnx', 'onnxscript', PACKAGES[engine])):
        try:
            importlib.import_module(package)
        except ImportError:
            raise ValueError(
                f'--engine {engine}: the package {package} is missing; pip install -r requirements-extras.txt, or'
                ' choose another engine'
            ) from None
    return {'onnx': _onnx_runtime, 'openvino': _openvino}[engine]


def _onnx_runtime(file: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(session.run(None, {'images': images.contiguous().numpy()})[0])


def _openvino(file: Path) -> Run:
    import openvino

    settings = {'INFERENCE_NUM_THREADS': torch.get_num_threads(), 'INFERENCE_PRECISION_HINT': 'f32'}
    request = openvino.Core().compile_model(str(file), 'CPU', settings).create_infer_request()
    # the request writes its next result into the same memory
    return lambda images: torch.from_numpy(request.infer([images.contiguous().numpy()])[0].copy())


class _Logits(Module):
    """The part of a network that a program has."""

    def __init__(self, net: Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)['pred']


class _Programs(Module):
    """A network as programs, one for each shape of its images that comes more than once."""

    def __init__(self, net: Module, start: Callable[[Path], Run], engine: str, log):
        super().__init__()
        self.net, self.start, self.engine, self.log = net, start, engine, log
        self._runs: dict[tuple, Run] = {}
        self._seen: set[tuple] = set()
        self.kind = kind_of(net)

    @property
    def trained_on(self):
        return self.net.trained_on

    def forward(self, images: Tensor, keep_scales: bool = False) -> dict[str, Tensor]:
        shape = tuple(images.shape)
        if keep_scales or images.dtype != torch.float32 or torch.is_autocast_enabled(images.device.type):
            return self.net(images, keep_scales)
        if shape not in self._runs:
            if shape not in self._seen:
                self._seen.add(shape)
                return self.net(images)
            self._runs[shape] = self.program(images)
            for other in list(self._runs)[:-PROGRAMS]:
                del self._runs[other]
        return {'pred': self._runs[shape](images)}

    def program(self, images: Tensor) -> Run:
        """A function from images of this shape to their logits."""
        self.log(f'--engine {self.engine}: makes a program for images of {images.shape[2]}x{images.shape[3]}')
        # tensors of inference mode cannot be traced
        with torch.inference_mode(False), tempfile.TemporaryDirectory(prefix='engine_') as folder:
            file, remedy = Path(folder, 'program.onnx'), 'choose --engine eager'
            program = exported(_Logits(self.net), torch.zeros(images.shape), f'--engine {self.engine}', remedy)
            try:
                write('onnx', program, file, {'arch': self.net.arch, 'outputs': ['logits']})
                return self.start(file)
            except Exception as error:  # of torch.onnx or the engine, of many kinds
                raise ValueError(
                    f'--engine {self.engine}: cannot run {self.net.arch} ({first_line(error)}); {remedy}'
                ) from error
