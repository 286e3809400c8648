"""Fusion of networks as they run: the sink that pools the logits of every member of an ensemble, image by image."""

import torch

from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions, finish
from aggregation.fusion.pooling import LOGITS, Pool
from aggregation.fusion.truths import stem_of
from utils.outputs.sink import EvalBatch, Sink
from utils.outputs.writers import WriterPool


class MemberFusion(Sink):
    """Writes the fusion of the members to `outputs`; images whose results stand are not run.

    checkpoints: of the members in the order of the evaluator's networks, for messages; weights: a number each, or one
    per class. Raises ValueError naming the checkpoint whose logits are not finite.
    """

    def __init__(self, checkpoints, weights, options: FuseOptions, outputs: Outputs):
        self.checkpoints, self.options, self.outputs = checkpoints, options, outputs
        self.weights = [torch.tensor(weight) if isinstance(weight, list) else weight for weight in weights]
        self._pools, self._writers = [], WriterPool()

    def wants(self, names, indices, labelled):
        return not all(self.outputs.done(stem_of(name)) for name in names)

    def process(self, batch: EvalBatch):
        if batch.member == 0:
            shape, device = batch.logits.shape[1:], batch.logits.device
            self._pools = [Pool(self.options.needs, shape[0], tuple(shape[1:]), device) for _ in batch.names]
        for name, pool, logits in zip(batch.names, self._pools, batch.logits):
            if not all(torch.isfinite(extreme) for extreme in logits.aminmax()):
                raise ValueError(
                    f'{self.checkpoints[batch.member]}: its logits of {name} hold nan or infinity; run it with'
                    ' --precision fp32, or leave it out'
                )
            pool.add(logits, LOGITS, self.weights[batch.member])
        if batch.member == len(self.checkpoints) - 1:
            for name, pool in zip(batch.names, self._pools):
                fused = finish(pool, self.options, len(self.checkpoints))
                self._writers.submit(self.outputs.write, stem_of(name), fused)

    def close(self):
        self._writers.close()

    def abort(self):
        self._writers.abort()
