"""Fusion of networks as they run: the sink that pools the logits of every member of an ensemble, image by image."""

import torch

from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions, finish
from aggregation.fusion.pooling import Pool
from aggregation.fusion.truths import stem_of
from utils.outputs.sink import EvalBatch, Sink
from utils.outputs.writers import WriterPool


class MemberFusion(Sink):
    """Writes the fusion of the members to `outputs`; images whose results stand are not run.

    checkpoints: of the members in the order of the evaluator's networks; weights: a number each, or one per class. An
    image on which a member is not finite, which the evaluator leaves out and names, is not fused.
    """

    def __init__(self, checkpoints, weights, options: FuseOptions, outputs: Outputs):
        self.checkpoints, self.options, self.outputs = checkpoints, options, outputs
        self.weights = [torch.tensor(weight) if isinstance(weight, list) else weight for weight in weights]
        self._pools, self._writers = {}, WriterPool()  # name -> (pool, members in it)

    def wants(self, names, indices, labelled):
        return not all(self.outputs.done(stem_of(name)) for name in names)

    def process(self, batch: EvalBatch):
        if batch.member == 0:
            self._pools = {}
        for k, name in enumerate(batch.names):
            view, place = batch.in_image_grid(k)
            logits = view.logits[place]
            pool, count = self._pools.get(name) or (self._empty(logits), 0)
            if count < batch.member:  # an earlier member was not finite
                continue
            pool.add(logits, batch.kind, self.weights[batch.member])
            self._pools[name] = pool, count + 1
            if count + 1 == len(self.checkpoints):
                fused = finish(pool, self.options, len(self.checkpoints))
                self._writers.submit(self.outputs.write, stem_of(name), fused)

    def _empty(self, logits) -> Pool:
        return Pool(self.options.needs, logits.shape[0], tuple(logits.shape[1:]), logits.device)

    def close(self):
        self._writers.close()

    def abort(self):
        self._writers.abort()
