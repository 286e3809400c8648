import pytest
from small import command

SCRIPT = """
import resource, sys
import cv2, numpy as np, torch
from torch import nn
from aggregation.fusion.fusing import FuseOptions
from network.averaging import EvalOptions
from engine.prediction import Prediction
from engine.predictor import PredictOptions, Predictor
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.files.sources import find_sources
from utils.outputs.predicted import PredictedFiles

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 19, 1)

    def forward(self, images, keep_scales=False):
        return {'pred': self.head(images)}

file, out, tile = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
options = PredictOptions(EvalOptions(), FuseOptions(), frozenset(['color', 'overlay']), (tile, tile), 0.125)
networks = [(Net().eval(), Normalize((0.5,) * 3, (0.25,) * 3))]
files = PredictedFiles(out, ['color', 'overlay'], Classes.numbered(19), {})
summary = Prediction(Predictor(networks, 19, 'cpu', options), files, strict=True).run(find_sources([file]).sources)
assert summary.counts.sum() == cv2.imread(file, cv2.IMREAD_REDUCED_GRAYSCALE_8).size * 64, summary
print('MiB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
PAINT = """
import sys
import cv2, numpy as np
tile = cv2.resize(np.random.default_rng(0).integers(0, 255, (10, 10, 3), np.uint8), (1000, 1000))
size = int(sys.argv[2])
assert cv2.imwrite(sys.argv[1], np.tile(tile, (size // 1000, size // 1000, 1)))
"""


@pytest.mark.slow
def test_an_image_of_20_000_by_20_000_pixels_in_less_than_three_gibibytes(tmp_path):
    file = tmp_path / 'huge.jpg'
    assert command('-c', PAINT, file, 20_000).returncode == 0
    done = command('-c', SCRIPT, file, tmp_path / 'out', 1024, timeout=3600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split('MiB')[1]) < 3072
    assert (tmp_path / 'out/huge_overlay.jpg').is_file() and (tmp_path / 'out/huge_color.png').is_file()
