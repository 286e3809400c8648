"""What is written for an evaluated image: logits, submission files, automatic labels, pictures.

A Dumper takes batches from the evaluator, copies what is needed to the host and hands it to background writers. Every
element of every batch on every rank is written, each file whole or not at all. A dump that was interrupted goes on
where it stopped: files that stand are kept unless `overwrite`, and `dumps.json` remembers what they were made with.
"""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import torch
import torch.distributed

from utils.outputs import logits_manifest as logit_manifest
from utils.outputs.host_copy import HostCopy, half_saturated
from utils.outputs.image_files import write_auto_labels, write_logits, write_pictures, write_submission
from utils.outputs.logits import Storage, reduce
from utils.outputs.manifest import claim_folders, digest
from utils.outputs.names import AUTO_LABELS, LOGITS, PICTURES, SUBMISSION, DumpNames, remove_stale_temporaries
from utils.outputs.writers import WriterPool
from utils.pages.page import write_page
from utils.pages.records import load_record


@dataclass
class EvalBatch:
    """An evaluated minibatch; tensors are on the device.

    names: paths relative to the data set, with extension. images uint8 (N, 3, h, w) RGB; labels (N, h, w) trainIds or
    None; logits (N, K, h, w) float32, averaged; prediction (N, h, w) integer; confidence (N, h, w) float32, the largest
    probability, or None when nobody needs it. assets: 'attn_05x' (N, 1, h', w') in [0, 1], 'pred_05x' (N, K, h', w')
    logits, and so on. indices: each image's position in the whole sorted list.
    """

    names: list
    images: torch.Tensor
    labels: torch.Tensor | None
    logits: torch.Tensor
    prediction: torch.Tensor
    confidence: torch.Tensor | None
    assets: dict = field(default_factory=dict)
    indices: list = field(default_factory=list)


@dataclass
class DumpOptions:
    """Which files are written. made_by: what decides the values (checkpoint, scales, flips ...), as plain JSON values;
    storage: how logits are stored.

    pictures: of about ten images (input, label, prediction, composite, error, confidence, attention); with
    dump_all_images of every image; with dump_assets of every image, and the single-scale predictions too. page: write
    best_images/index.html at the end.
    """

    dump_logits: bool = False
    dump_for_submission: bool = False
    dump_for_auto_labelling: bool = False
    dump_assets: bool = False
    dump_all_images: bool = False
    pictures: bool = True
    page: bool = True
    overwrite: bool = False
    made_by: dict | None = None
    storage: Storage = Storage()

    def kinds(self) -> list:
        """The dumps asked for, among LOGITS, SUBMISSION and AUTO_LABELS."""
        asked = {
            LOGITS: self.dump_logits,
            SUBMISSION: self.dump_for_submission,
            AUTO_LABELS: self.dump_for_auto_labelling,
        }
        return [kind for kind, wanted in asked.items() if wanted]

    def outputs(self) -> list:
        """Every kind of file that is written, for check_names."""
        return self.kinds() + [PICTURES] * self.shows()

    def shows(self) -> bool:
        """True when pictures of any image are written."""
        return self.pictures or self.dump_assets or self.dump_all_images


class Dumper:
    """Writes the files of evaluated images. `info` is the data set's description (class_names, palette, ignore_label,
    trainid_to_id, name); total_images counts the whole set, whatever this rank sees of it.

    Raises ValueError when result_dir holds dumps that were made with something else.
    """

    def __init__(self, options: DumpOptions, result_dir, info, total_images: int, rank=0, log=None, writers=None):
        assert len(info.class_names) <= 256, 'label files are 8 bits wide'
        self.options, self.info, self.rank, self.log = options, info, rank, log or (lambda line: None)
        self.names = DumpNames(result_dir, options.storage.suffix)
        self.saturated = 0  # logits beyond +-65504, written as that
        self._step = 1 if options.dump_all_images or options.dump_assets else max(1, total_images // 10)
        self._run = digest(options.made_by, options.dump_assets)
        self._records, self._kept, self._lock = {}, set(), Lock()
        self._logit_entries, self._stored = {}, logit_manifest.read_entries(self.names.result_dir / 'logits')
        claim_folders(options, info, self.names.result_dir, write=rank == 0)
        if rank == 0 and _alone():
            remove_stale_temporaries(self.names.result_dir)
        self._writers = writers or WriterPool()

    @property
    def needs_logits(self) -> bool:
        return self.options.dump_logits

    @property
    def needs_confidence(self) -> bool:
        return self.options.dump_for_submission or self.options.dump_for_auto_labelling or self.options.shows()

    @property
    def needs_assets(self) -> bool:
        return self.options.shows()

    def wants_assets(self, indices) -> bool:
        """True when any of these images (positions in the whole list) is pictured, so that its assets are of use."""
        return any(self._pictured(index) for index in indices)

    def _pictured(self, index) -> bool:
        return self.options.shows() and (index is None or int(index) % self._step == 0)

    def missing(self, name: str, index=None) -> list:
        """The kinds of files that are still to be written for an image. Without its index it counts as pictured."""
        missing = [
            kind
            for kind in self.options.kinds()
            if self.options.overwrite or not all(path.is_file() for path in self.names.dumped(kind, name))
        ]
        if len(missing) < len(self.options.kinds()):
            self._kept.add(name)
        if self.options.dump_logits and LOGITS not in missing:
            self._keep_logits(name)
        if self._pictured(index) and not self._resume_pictures(name, index):
            missing.append(PICTURES)
        return missing

    def done(self, name: str, index=None) -> bool:
        """True when nothing is left to be written for an image."""
        return not self.missing(name, index)

    def _resume_pictures(self, name, index) -> bool:
        if self.options.overwrite:
            return False
        record = load_record(self.names.record(name), self._run, self.names.pictures)
        if record is not None:
            record.index = record.index if index is None else int(index)
            self._keep_record(record)
        return record is not None

    def process(self, batch: EvalBatch):
        """Hand over what is missing of a batch; waits while the writers are behind, raises their first error."""
        for k, (name, index) in enumerate(zip(batch.names, batch.indices, strict=True)):
            missing = self.missing(name, index)
            if LOGITS in missing:
                logits = half_saturated(reduce(batch.logits[k], self.options.storage.stride))
                self._writers.submit(self._logits, name, HostCopy(logits), tuple(batch.logits.shape[-2:]))
                missing.remove(LOGITS)
            if missing:
                self._labels(batch, k, missing)

    def _logits(self, name, logits, size):
        [path] = self.names.dumped(LOGITS, name)
        saturated = write_logits(path, name, logits, size, self.options.storage)
        entry = logit_manifest.describe(path, size, logits.numpy().shape)
        with self._lock:
            self.saturated += saturated
            self._logit_entries[name] = entry

    def _keep_logits(self, name):
        """Take over the entry of a file that an earlier run wrote; a run that was killed left none, then the file is
        read."""
        if name not in self._logit_entries:
            [path] = self.names.dumped(LOGITS, name)
            entry = self._stored.get(name)
            if entry is None or entry['bytes'] != path.stat().st_size:
                self._logit_entries[name] = None  # asked for again while the file is read
                self._writers.submit(self._read_entry, name, path)
            else:
                self._logit_entries[name] = entry

    def _read_entry(self, name, path):
        entry = logit_manifest.describe_file(path)
        with self._lock:
            self._logit_entries[name] = entry

    @property
    def logit_entries(self) -> dict:
        """name -> entry of the manifest for every image of this rank whose logits stand; complete after close()."""
        with self._lock:
            return dict(self._logit_entries)

    def _labels(self, batch, k, missing):
        name, info = batch.names[k], self.info
        assert batch.confidence is not None, 'needs_confidence was not asked'
        prediction = HostCopy(batch.prediction[k].to(torch.uint8))
        confidence = HostCopy(batch.confidence[k].float())
        if SUBMISSION in missing:
            self._writers.submit(
                write_submission, self.names.dumped(SUBMISSION, name), name, prediction, confidence, info
            )
        if AUTO_LABELS in missing:
            self._writers.submit(
                write_auto_labels, self.names.dumped(AUTO_LABELS, name), name, prediction, confidence, info
            )
        if PICTURES in missing:
            image = HostCopy(batch.images[k].permute(1, 2, 0))
            labels = None if batch.labels is None else HostCopy(batch.labels[k].to(torch.uint8))
            self._writers.submit(
                self._pictures,
                name,
                int(batch.indices[k]),
                image,
                labels,
                prediction,
                confidence,
                self._assets(batch, k),
            )

    def _assets(self, batch, k) -> dict:
        """Host copies by key: attention maps float32 (h', w'); with --dump_assets single-scale predictions uint8 (h',
        w')."""
        assets = {}
        for key, tensor in batch.assets.items():
            if key.startswith('attn_'):
                assets[key] = HostCopy(tensor[k, 0].float())
            elif key.startswith('pred_') and self.options.dump_assets:
                assets[key] = HostCopy(tensor[k].argmax(0).to(torch.uint8))
        return assets

    def _pictures(self, name, index, *arrays):
        self._keep_record(write_pictures(self.names, name, index, self.info, self._run, *arrays))

    def _keep_record(self, record):
        with self._lock:
            self._records[record.name] = record

    @property
    def records(self) -> list:
        """The page records of this rank's pictured images, in the order of the data set; complete after close()."""
        with self._lock:
            return sorted(self._records.values(), key=lambda record: record.index)

    @property
    def page(self) -> Path:
        return self.names.pictures / 'index.html'

    def close(self, **about):
        """Wait for the writers, raise their first error, then write the page of rank 0's own records.

        about: keywords of page.write_page. With several ranks, gather `records` afterwards and write the page again.
        """
        self._writers.close()
        if self._kept:
            self.log(
                f'{self.names.result_dir}: the dumps of {len(self._kept)} images were there already and were kept;'
                ' --overwrite writes them again'
            )
        if self.saturated:
            self.log(
                f'{self.names.result_dir / "logits"}: {self.saturated} logits exceed what float16 holds and were'
                ' written as +-65504'
            )
        if self.options.shows() and self.options.page and self.rank == 0:
            write_page(self.page, self.records, self.info, **about)

    def abort(self):
        """Drop what waits to be written and raise nothing; every file that stands is whole."""
        self._writers.abort()


def _alone() -> bool:
    """True when no other process writes to the same folders."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)
