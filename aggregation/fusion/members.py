"""Members of an ensemble: the stores of several models, the images they share, and the stream of these images.

Files are read ahead in threads, sums are made in one. So memory does not grow with members or images, and the result
does not depend on the number of threads.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from aggregation.fusion.pooling import Pool, wrong_kind
from aggregation.fusion.store import Store
from utils.classes import Classes
from utils.cli.wording import listed
from utils.files.limits import parse_json
from utils.outputs.logits import Logits


class Members:
    """Stores in a fixed order (by folder, whatever the order they are given in), so that sums come out the same.

    stems: the images to fuse, sorted. missing: stem -> folders that lack the image.

    Args:
        folders: of logits.
        kinds: of their numbers, one per folder, over what manifests say; None: as they say.
        weights: one per folder: a number, or a list with one number per class; None: all alike.
        allow_missing: take images that some stores lack.

    Raises:
        ValueError: class names differ, a weight is unfit, or an image is missing in some store.
    """

    def __init__(self, folders, kinds=None, weights=None, allow_missing=False):
        if not folders:
            raise ValueError('an ensemble needs at least one folder of logits; name them one after the other')
        kinds = list(kinds or [None] * len(folders))
        weights = list(weights or [1.0] * len(folders))
        if len(kinds) != len(folders) or len(weights) != len(folders):
            raise ValueError(
                f'{len(folders)} folders were given, {len(kinds)} kinds and {len(weights)} weights; give one for each,'
                ' in the same order'
            )
        rows = sorted(zip(folders, kinds, weights), key=lambda row: str(row[0]))
        if len({os.path.realpath(row[0]) for row in rows}) < len(rows):
            raise ValueError(f'{listed(folders)}: a folder was given twice; weigh it with --weights instead')
        self.stores = [Store(folder, kind) for folder, kind, _ in rows]
        self.weights = [_weight(weight, store) for (_, _, weight), store in zip(rows, self.stores)]
        self._check_classes()
        self.stems, self.missing = self._shared(allow_missing)

    def __len__(self):
        return len(self.stores)

    @property
    def classes(self) -> Classes | None:
        """Those of the first store that knows them."""
        return next((store.classes for store in self.stores if store.classes), None)

    @property
    def class_names(self) -> list[str] | None:
        return list(self.classes.names) if self.classes else None

    @property
    def dataset(self) -> str | None:
        return next((store.dataset for store in self.stores if store.dataset), None)

    @property
    def titles(self) -> list[str]:
        """A short name of each member, all different: the model's, or what is its own in its path."""
        names = [store.name for store in self.stores]
        if len(set(names)) == len(names):
            return names
        paths = [store.folder.parts for store in self.stores]
        head = len(os.path.commonprefix(paths))
        tail = len(os.path.commonprefix([parts[head:][::-1] for parts in paths]))
        return [
            '/'.join(parts[head : len(parts) - tail]) or str(store.folder) for parts, store in zip(paths, self.stores)
        ]

    def describe(self) -> list[dict]:
        """The members as fusion.json and reports name them, with all that tells their logits from another dump's."""
        return [
            {
                'name': store.name,
                'folder': str(store.folder),
                'kind': store.kind,
                'weights_sha256': store.weights,
                'made_with': store.made_with,
                'weight': weight.tolist() if isinstance(weight, Tensor) else weight,
            }
            for store, weight in zip(self.stores, self.weights)
        ]

    def need(self, kinds: set[str], for_what: str):
        """Raise ValueError when a member is of another kind than one of `kinds`."""
        for kind in sorted(kinds):
            others = [f'{store.folder} ({store.kind})' for store in self.stores if store.kind != kind]
            if others:
                raise ValueError(wrong_kind(for_what, kind, listed(others)))

    def of(self, stem: str) -> list[tuple[Store, float | Tensor]]:
        """The members that have the image, with their weights."""
        return [(store, weight) for store, weight in zip(self.stores, self.weights) if stem in store]

    def _check_classes(self):
        known = [store for store in self.stores if store.classes]
        for store in known[1:]:
            if store.classes.names != known[0].classes.names:
                raise ValueError(
                    f'{store.folder} and {known[0].folder}: their classes are not the same in the same order; fuse'
                    ' models of one label set'
                )

    def _shared(self, allow_missing) -> tuple[list[str], dict[str, list[str]]]:
        every = sorted(set().union(*(store.listed for store in self.stores)))
        missing = {
            stem: lacking
            for stem in every
            if (lacking := [str(store.folder) for store in self.stores if stem not in store])
        }
        if len(missing) == len(every) and len(self.stores) > 1 and not allow_missing:
            examples = ', '.join(store.stems[0] for store in self.stores[:2])
            raise ValueError(
                f'{listed(store.folder for store in self.stores)}: have no image in common ({examples}, ...); give the'
                ' folders below which the paths of the images coincide'
            )
        if missing and not allow_missing:
            told = [f'{stem} in {", ".join(folders)}' for stem, folders in missing.items()]
            raise ValueError(
                f'{len(missing)} of {len(every)} images are not in every folder: {listed(told)}; dump them, '
                'or give --allow_missing to fuse what there is, which is recorded'
            )
        return [stem for stem in every if len(missing.get(stem, ())) < len(self.stores)], missing


def _weight(weight, store: Store) -> float | Tensor:
    try:
        values = torch.as_tensor(weight, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        values = None
    if values is None or values.dim() > 1:
        raise ValueError(f'{store.folder}: weight {weight!r} is unfit; give one number, or a list of one per class')
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()) or not bool((values > 0).any()):
        raise ValueError(f'{store.folder}: weight {weight} is unfit; weights are at least 0 and not all 0')
    if values.dim() and store.classes:
        _check_weight(values, len(store.classes), store)
    return values if values.dim() else float(values)


@contextmanager
def one_thread():
    """Arithmetic in one thread: how a loop is cut into threads decides the last bit of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_ahead(members: Members, stems, readers: int = 2, passes: int = 1) -> Iterator[Callable[[], Logits]]:
    """The logits of every member of each of `stems`, in the order of `members.of`: functions that return them or raise.

    At most `readers` + 2 files are in memory: one that is summed up, one that waits, and those that are being read.

    Args:
        readers: threads.
        passes: how often all members of an image come before those of the next.
    """
    jobs = ((store, stem) for stem in stems for _ in range(passes) for store, _ in members.of(stem))
    with ThreadPoolExecutor(readers) as executor:
        ahead = []
        for store, stem in jobs:
            ahead.append(executor.submit(store.read, stem))
            if len(ahead) > readers + 1:
                yield ahead.pop(0).result
        while ahead:
            yield ahead.pop(0).result


def pool_of(
    members: Members,
    stem: str,
    stream: Iterator[Callable[[], Logits]],
    needs,
    seen: Callable | None = None,
    used: Pool | None = None,
) -> Pool:
    """The Pool of an image.

    Args:
        stream: of read_ahead, in which the members of the image come next.
        needs: statistics of the pool.
        seen: called with the store and its values (C, H, W) for each member.
        used: a pool of another image with the same `needs` that is read no more; where the sizes are equal its memory
            is taken, which spares the system new pages.

    Raises:
        ValueError: size or number of classes differ between files, or one holds nan; it is named. The stream is then
            at the next image.
    """
    left = iter(members.of(stem))
    try:
        return _pooled(left, stem, stream, needs, members, seen, used)
    except (ValueError, OSError):
        for _ in left:
            next(stream)
        raise


def _pooled(left, stem, stream, needs, members, seen, used):
    pool, first = None, None
    for store, weight in left:
        logits = next(stream)()
        shape = (len(logits.values), *logits.size)
        if pool is None:
            fits = used is not None and shape == (used.num_classes, *used.size)
            pool, first = used.clear() if fits else Pool(needs, shape[0], logits.size), store.path(stem)
        elif shape != (pool.num_classes, *pool.size):
            raise ValueError(
                f'{store.path(stem)}: holds {shape[0]} classes of {shape[1]}x{shape[2]} pixels (height x width),'
                f' {first} {pool.num_classes} of {pool.size[0]}x{pool.size[1]}; dump both at the size of the image,'
                ' with one label set'
            )
        _check_weight(weight, shape[0], store)
        values = logits.full()
        pool.add(values, store.kind, weight)
        if seen is not None:
            seen(store, values)
    if not bool((torch.as_tensor(pool.weights) > 0).all()):
        raise ValueError(f'{stem}: in some class all its members have weight 0; give one of them a weight there')
    return pool


def _check_weight(weight, classes: int, store: Store):
    if isinstance(weight, torch.Tensor) and len(weight) != classes:
        raise ValueError(
            f'{store.folder}: {len(weight)} weights ({listed(weight.tolist(), 3)}) for {classes} classes; give one'
            ' number, or one per class'
        )


def read_weights(text: str | None) -> list | None:
    """Weights as given on the command line: '2,1,1', or the path of a JSON list."""
    if text is None:
        return None
    if text.endswith('.json') or Path(text).is_file():
        try:
            weights = parse_json(Path(text).read_bytes())
        except OSError as error:
            raise ValueError(
                f'--weights {text}: cannot be read ({error.strerror}); give a JSON file with a list, or numbers such as'
                ' 2,1,1'
            ) from None
        except ValueError as error:
            raise ValueError(
                f'--weights {text}: is no JSON ({error}); write a list with one number, or one list of numbers, per'
                ' member'
            ) from None
        if not isinstance(weights, list):
            raise ValueError(f'--weights {text}: holds no list; write one number, or one list of numbers, per member')
        return weights
    try:
        return [float(part) for part in text.split(',')]
    except ValueError:
        raise ValueError(f'--weights {text}: is no list of numbers such as 2,1,1, and no JSON file') from None
