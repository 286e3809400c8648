"""Dumper: the sink that writes the dumps of an evaluation, logits, submission files, automatic labels.

It takes batches, copies what is needed to the host and hands it to background writers. Every element of every batch on
every rank is written, each file whole or not at all. A dump that was interrupted goes on where it stopped: files that
stand are kept unless they are to be overwritten, and dumps.json remembers what they were made with.
"""

from pathlib import Path

import torch

from utils.files.atomic import remove_stale_temporaries
from utils.outputs.dumps import DUMPS, IMAGE, TENSORS, DumpOptions, claim
from utils.outputs.sink import EvalBatch, Sink
from utils.outputs.writers import HostCopy, WriterPool


class Dumper(Sink):
    """Writes the dumps `kinds`, keys of DUMPS, below `result_dir`."""

    def __init__(self, kinds, options: DumpOptions, result_dir, classes, names, rank=0, log=None, writers=None):
        """Prepare; nothing is written before `open`.

        Args:
            kinds: names of the dumps.
            options: how they are written.
            result_dir: the folder above all dumps.
            classes: what the channels of the logits are.
            names: of all images of the dataset in order, whatever this rank sees of them.
            rank: of this process; rank 0 writes what belongs to no single image.
            log: takes a line.
            writers: a WriterPool that is shared with other sinks.
        """
        assert len(classes) <= 256, 'label files are 8 bits wide'
        self.result_dir, self.options, self.rank = Path(result_dir), options, rank
        self.names, self.log = list(names), log or (lambda line: None)
        self.dumps = [DUMPS[kind](result_dir, classes, options) for kind in kinds]
        self._kept, self._writers = set(), writers or WriterPool()

    def files(self, name: str) -> list:
        """The paths of every file of an image."""
        return [path for dump in self.dumps for path in dump.files(name)]

    def open(self):
        """Enter the dumps into dumps.json; ValueError when they were made with something else before."""
        claim(self.dumps, self.result_dir, write=self.rank == 0)
        if self.rank == 0 and _is_alone():
            remove_stale_temporaries(self.result_dir)

    def wants(self, names, indices, labelled):
        done = [self.done(name) for name in names]  # takes over what stands
        return not all(done)

    def done(self, name: str) -> bool:
        """Whether nothing is left to be written for an image; what stands is taken over."""
        return not self.missing(name)

    def missing(self, name: str) -> list:
        """The dumps that are still to be written for an image; those that stand are taken over."""
        missing = []
        for dump in self.dumps:
            if self.options.overwrite or not all(path.is_file() for path in dump.files(name)):
                missing.append(dump)
            else:
                dump.keep(name, self._writers.submit)
                self._kept.add(name)
        return missing

    def process(self, batch: EvalBatch):
        """Hand over what is missing of a batch; waits while the writers are behind, raises their first error."""
        for k, name in enumerate(batch.names):
            missing, copies = self.missing(name), {}
            if not missing:
                continue
            view, place = batch.in_image_grid(k) if self.options.grid == IMAGE else (batch, k)
            size = tuple(view.logits.shape[-2:])
            for dump in missing:
                for need in dump.needs:
                    if need not in copies:
                        copies[need] = HostCopy(TENSORS[need](view, place, self.options))
                self._writers.submit(_write, dump, name, size, *(copies[need] for need in dump.needs))

    def close(self):
        self._writers.close()
        for dump in self.dumps:
            dump.close(self.log)
        if self._kept:
            self.log(
                f'{self.result_dir}: the dumps of {len(self._kept)} images were there already and were kept;'
                ' --overwrite writes them again'
            )

    def abort(self):
        """Drop what waits to be written; every file that stands is whole."""
        self._writers.abort()

    def gather(self, dist):
        """What each dump gathers, by its name; rank 0 writes the manifests."""
        return {dump.name: dump.gather(dist, self.names) for dump in self.dumps}


def _write(dump, name, size, *copies):
    dump.write(name, size, *(copy.numpy() for copy in copies))


def _is_alone() -> bool:
    """True when no other process writes to the same folders."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)
