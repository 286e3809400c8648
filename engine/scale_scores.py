"""Scores of single scales from the pass that blends them (--log_msinf_to_tb): the sink that counts each scale alone."""

from utils.metrics import ConfusionMatrix
from utils.outputs.sink import EvalBatch, Sink


class ScaleScores(Sink):
    """Counts of (truth, prediction) of each scale alone; gather: {name: counts int64 (K, K)}, in the order of the
    scales. Names are those of network.averaging."""

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.scales: dict[str, ConfusionMatrix] = {}

    def wants(self, names, indices, labelled):
        return labelled

    def wants_each_scale(self):
        return True

    def process(self, batch: EvalBatch):
        for name, prediction in batch.scales.items():
            self.scales.setdefault(name, ConfusionMatrix(self.num_classes)).update(prediction, batch.labels)

    def gather(self, dist):
        whole: dict[str, ConfusionMatrix] = {}
        for part in dist.gather_objects({name: matrix.counts for name, matrix in self.scales.items()}):
            for name, counts in part.items():
                whole.setdefault(name, ConfusionMatrix(self.num_classes)).update_from_counts(counts)
        return {name: matrix.counts for name, matrix in whole.items()}
