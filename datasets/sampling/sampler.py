"""Which samples of an epoch each rank takes, batch by batch."""

from datasets.sampling.epoch import epoch_order


class EpochBatches:
    """Batches of keys (epoch, index) of one rank, for a DataLoader's batch_sampler.

    The shuffled epoch is one list for all ranks. Together the ranks take batch_size * world consecutive elements of it
    per step, rank r every world-th from r on, so a step sees the same images whatever the number of ranks. What does
    not fill a step is dropped, at most batch_size * world - 1 elements; nothing is repeated.
    """

    def __init__(self, length: int, batch_size: int, world: int, rank: int, seed: int):
        assert 0 <= rank < world and batch_size > 0
        self.length, self.batch_size, self.world, self.rank, self.seed = length, batch_size, world, rank, seed
        self.epoch, self.start_batch = 0, 0

    def __len__(self):
        """Batches of a whole epoch, wherever this one starts."""
        return self.length // (self.batch_size * self.world)

    def set_epoch(self, epoch: int, start_batch: int = 0):
        """Go to batch `start_batch` of `epoch`."""
        self.epoch, self.start_batch = epoch, start_batch

    def __iter__(self):
        order = epoch_order(self.length, self.seed, self.epoch)[self.rank :: self.world].tolist()
        for batch in range(self.start_batch, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(self.epoch, index) for index in chosen]
