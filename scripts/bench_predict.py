"""Benchmark lines of predict.py: images from their files to colours and overlays against the forward passes alone, and
the engines against the network as it was trained."""

import importlib.util
import shutil
import tempfile
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import torch

import network
import predict
from aggregation.fusion.fusing import FuseOptions
from engine.prediction import Prediction
from engine.predictor import PredictOptions, Predictor
from network.averaging import EvalOptions
from network.engines import PACKAGES, with_engine
from scripts.bench_data import shape, street_files
from scripts.bench_measure import Case, Form
from transforms.normalize import Normalize
from utils.files.sources import find_sources
from utils.outputs.predicted import PredictedFiles
from utils.settings.precision import ENGINES

IMAGES = 12


@contextmanager
def prediction(settings):
    """The network in the box on PNG files: what decoding and writing add, which run beside it."""
    net = network.load(predict.DEFAULT_WEIGHTS, device=settings.device)
    classes = net.trained_on.classes
    normalize = Normalize(net.trained_on.mean, net.trained_on.std, channels_last=True).to(settings.device)
    options = PredictOptions(EvalOptions(), FuseOptions())
    predictor = Predictor([(net, normalize)], len(classes), settings.device, options)
    with tempfile.TemporaryDirectory(prefix='bench_') as folder, street_files(settings.size, IMAGES) as dataset:
        sources = find_sources([str(item.image) for item in dataset.items], None, folder).sources
        pictures = [torch.from_numpy(dataset.load(item)[0]).permute(2, 0, 1)[None] for item in dataset.items]
        runs = count()

        @torch.inference_mode()
        def passes():
            for picture in pictures:
                net(normalize(picture.to(settings.device)))['pred'].max(dim=1)[1].cpu()

        def whole():
            out = Path(folder, str(next(runs)))
            Prediction(predictor, PredictedFiles(out, ('color', 'overlay'), classes, {}, False, False)).run(
                sources, log=lambda line: None
            )
            shutil.rmtree(out)

        yield Case(
            f'prediction of {IMAGES} files of {shape(settings.size)}, colours and overlays written',
            'forward passes of the same network on decoded images',
            Form(passes),
            [Form(whole, budget=1.1)],
            repeats=7,
            images=IMAGES,
        )


@contextmanager
def engines(settings):
    """The network in the box on each engine whose package is there, programs made beforehand."""
    device = settings.device
    net = network.load(predict.DEFAULT_WEIGHTS, device=device)
    images = torch.randn(1, 3, *settings.size, generator=torch.Generator().manual_seed(0)).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    forms = []
    for name in ENGINES:
        package = PACKAGES.get(name)
        if package and (device.type != 'cpu' or importlib.util.find_spec(package) is None):
            print(f'engine {name}: left out, {package} is missing or runs on a CPU only')
            continue
        fast = with_engine(net, name)
        with torch.inference_mode():
            for _ in range(2):  # what is compiled or exported
                fast(images)
        forms.append(Form(torch.inference_mode()(partial(fast, images)), name=name, resident=(fast,)))
    yield Case(
        f'engines of predict.py, the network in the box, {shape(settings.size)}',
        'eager torch, batch normalisation as it was trained',
        Form(torch.inference_mode()(partial(net, images)), resident=(net,)),
        forms,
        repeats=15,
        images=1,
    )
