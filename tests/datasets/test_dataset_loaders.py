import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets import get_dataset
from datasets.loading.loader import Guarded, eval_loader, train_loader
from datasets.sampling.sets import EvalSet, TrainSet, image_tensor


def random_crop(image, label, rng, centroid=None):
    """A stand-in for the training transforms: 8x8 pixels from a random place, brightened at random."""
    y, x = int(rng.integers(0, 24)), int(rng.integers(0, 40))
    shift = int(rng.integers(0, 100))
    return image[y : y + 8, x : x + 8] + np.uint8(shift), label[y : y + 8, x : x + 8], 0.5 if centroid is None else 2.0


@pytest.fixture
def train_set(root, camvid_tree, tmp_path):
    camvid_tree(root / 'camvid', count=22, ids=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))
    return TrainSet(get_dataset('camvid', 'train'), random_crop, 3, 0.5, 1024, tmp_path / 'assets')


def epoch_of(train_set, batch_size, num_workers=0, world=1, rank=0, epoch=0, start=0):
    loader = train_loader(train_set, batch_size, num_workers, world, rank, seed=3)
    loader.set_epoch(epoch, start)
    return list(loader)


def same(first, second):
    return all(
        first[key] == second[key] if key == 'name' else torch.equal(first[key], second[key])
        for key in ('image', 'label', 'scale', 'name')
    )


def test_a_sample_has_the_form_that_the_rest_relies_on(train_set):
    sample = train_set[21]
    assert (
        sample['image'].dtype == torch.uint8 and sample['image'].shape == (3, 8, 8) and sample['image'].is_contiguous()
    )
    assert sample['label'].dtype == torch.uint8 and sample['label'].shape == (8, 8)
    assert sample['name'].startswith('train/') and sample['scale'] == 2.0
    number = int(sample['name'][6:8])
    shift = int(sample['image'][0, 0, 0]) - number
    assert sample['image'][:, 5, 5].tolist() == [number + shift, 2 + shift, 3 + shift]


def test_a_mirrored_view_becomes_the_same_tensor_as_its_copy():
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    for view in (image[:, ::-1], image[1:3, 2:4], image[::-1]):
        assert torch.equal(image_tensor(view), torch.from_numpy(np.ascontiguousarray(view)).permute(2, 0, 1))


def test_a_batch_stacks_samples(train_set):
    batch = epoch_of(train_set, 4)[0]
    assert batch['image'].shape == (4, 3, 8, 8) and batch['image'].dtype == torch.uint8
    assert batch['label'].shape == (4, 8, 8) and len(batch['name']) == 4
    assert batch['scale'].dtype == torch.float32 and set(batch['scale'].tolist()) <= {0.5, 2.0}


@pytest.mark.filterwarnings('ignore:This DataLoader will create 4 worker processes')
@pytest.mark.parametrize('num_workers', [1, 4])
def test_batches_do_not_depend_on_the_number_of_workers(train_set, num_workers):
    plain = [epoch_of(train_set, 4, 0, epoch=epoch) for epoch in (1, 2)]
    loader = train_loader(train_set, 4, num_workers, seed=3)
    for epoch in (1, 2):  # workers stay and follow
        loader.set_epoch(epoch)
        assert all(same(a, b) for a, b in zip(loader, plain[epoch - 1], strict=True))


def test_epochs_differ(train_set):
    assert not same(epoch_of(train_set, 4, epoch=1)[0], epoch_of(train_set, 4, epoch=2)[0])


def test_an_epoch_drops_the_rest_and_repeats_nothing(train_set):
    loader = train_loader(train_set, 4, 0)
    assert len(loader) == 5
    loader.set_epoch(7)
    keys = [key for batch in loader.batches for key in batch]
    assert len(set(keys)) == 20 and {epoch for epoch, _ in keys} == {7}


def test_ranks_together_take_the_steps_of_one_process(train_set):
    alone = epoch_of(train_set, 6, epoch=1)
    ranks = [epoch_of(train_set, 2, world=3, rank=rank, epoch=1) for rank in range(3)]
    assert [len(batches) for batches in ranks] == [3, 3, 3] and len(alone) == 3
    for step, whole in enumerate(alone):
        for rank in range(3):
            part = ranks[rank][step]
            assert torch.equal(part['image'], whole['image'][rank::3]) and part['name'] == whole['name'][rank::3]


def test_a_resumed_epoch_goes_on_where_it_stopped(train_set):
    whole = epoch_of(train_set, 4, epoch=1)
    loader = train_loader(train_set, 4, 0, seed=3)
    loader.set_epoch(1, start_batch=3)
    assert len(loader) == 5
    assert all(same(a, b) for a, b in zip(loader, whole[3:], strict=True))
    loader.set_epoch(1)
    assert same(next(iter(loader)), whole[0])


def test_an_abandoned_epoch_does_not_leak_into_the_next(train_set):
    loader = train_loader(train_set, 2, 2, seed=3)
    loader.set_epoch(0)
    next(iter(loader))
    loader.set_epoch(1)
    assert all(same(a, b) for a, b in zip(loader, epoch_of(train_set, 2, epoch=1), strict=True))


def test_loading_leaves_the_global_random_states_alone(train_set):
    torch.manual_seed(5)
    np.random.seed(5)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    epoch_of(train_set, 4, num_workers=1)
    assert torch.equal(torch.get_rng_state(), before) and np.array_equal(np.random.get_state()[1], numpy_before)


def test_a_set_that_was_pickled_for_a_worker_gives_the_same_samples(train_set):
    copy = pickle.loads(pickle.dumps(Guarded(train_set)))
    for index in range(22):
        one, other = copy[1, index], train_set[1, index]
        assert all(torch.equal(one[key], other[key]) for key in ('image', 'label')) and (one['name'], one['scale']) == (
            other['name'],
            other['scale'],
        )


@pytest.mark.slow
def test_spawned_workers_give_the_same_batches(root, camvid_tree):
    camvid_tree(root / 'camvid', count=4)
    train_set = TrainSet(get_dataset('camvid', 'train'), None, 3, 0)
    loader = train_loader(train_set, 2, 1, seed=3)
    loader.loader.multiprocessing_context = 'spawn'
    assert all(same(a, b) for a, b in zip(loader, epoch_of(train_set, 2), strict=True))


def test_too_few_images_for_a_step_name_the_flag(train_set):
    with pytest.raises(
        ValueError,
        match=r'--bs_trn 12 on each of 2 processes needs 24 images per step, but .* has 22; give a smaller --bs_trn',
    ):
        train_loader(train_set, 12, 0, world=2)
    with pytest.raises(ValueError, match='--bs_trn 23 needs 23 images'):
        train_loader(train_set, 23, 0)


def error_of(train_set, num_workers):
    """(message, text of the cause) of the ValueError; a function of its own, so that nothing keeps the workers."""
    try:
        epoch_of(train_set, 4, num_workers)
    except ValueError as error:
        return str(error), str(error.__cause__)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_a_bad_file_is_one_line_whatever_loads_it(train_set, num_workers, stripes, write):
    write(train_set.dataset.items[5].label, stripes((99,)))
    message, origin = error_of(train_set, num_workers)
    assert message.startswith(str(train_set.dataset.items[5].label)) and '\n' not in message
    assert 'in load' in origin  # the traceback of the worker, for a developer


def test_a_file_that_vanishes_is_a_missing_file(train_set):
    train_set.dataset.items[5].image.unlink()
    with pytest.raises(FileNotFoundError, match='05.png: the file does not exist any more'):
        epoch_of(train_set, 4, 1)


def test_samples_of_different_sizes_cannot_share_a_batch(root, camvid_tree, stripes, write):
    camvid_tree(root / 'camvid', count=2)
    write(root / 'camvid/train/01.png', np.zeros((10, 12, 3), np.uint8))
    write(root / 'camvid/trainannot/01.png', stripes((0,), 10, 12))
    train_set = TrainSet(get_dataset('camvid', 'train'), None, 0, 0)
    with pytest.raises(ValueError, match='have different sizes .*--full_crop_training, or --bs_trn 1'):
        list(train_loader(train_set, 2, 0))


def test_an_error_lets_the_workers_go_at_once(train_set, stripes, write):
    write(train_set.dataset.items[5].label, stripes((99,)))
    before = len(multiprocessing.active_children())
    gc.disable()
    try:
        error_of(train_set, 2)
        assert len(multiprocessing.active_children()) == before
    finally:
        gc.enable()


def test_a_negative_seed_names_the_flag(train_set):
    with pytest.raises(ValueError, match='--seed -1'):
        TrainSet(train_set.dataset, None, -1, 0)


def test_a_split_without_labels_cannot_be_trained_on(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('test', 'bonn'): 1})
    with pytest.raises(ValueError, match="split 'test' has no labels to train on"):
        TrainSet(get_dataset('cityscapes', 'test'), None, 0, 0)


def test_workers_outlive_a_signal_that_is_meant_for_the_main_process(train_set):
    loader, others = train_loader(train_set, 2, 2, seed=3), multiprocessing.active_children()
    batches = iter(loader)
    next(batches), next(batches)  # one from each, so both are set up
    workers = set(multiprocessing.active_children()).difference(others)
    assert len(workers) == 2
    for worker in workers:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            subprocess.run(['kill', f'-{int(number)}', str(worker.pid)], check=True)  # not from the parent
    assert len(list(batches)) == 9


def test_workers_end_when_the_main_process_leaves(train_set):
    loader, others = train_loader(train_set, 2, 1, seed=3), multiprocessing.active_children()
    next(iter(loader))
    (worker,) = set(multiprocessing.active_children()).difference(others)
    worker.terminate()
    worker.join(0.5)
    assert worker.is_alive()
    loader.loader.worker_init_fn.args[0].value = 1  # as at the exit of the main process
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_a_program_ends_although_its_workers_still_wait(root, camvid_tree, tmp_path):
    camvid_tree(root / 'camvid', count=4)
    (tmp_path / 'program.py').write_text(
        'from config import cfg\n'
        'from datasets import get_dataset\n'
        'from datasets.loading.loader import train_loader\n'
        'from datasets.sampling.sets import TrainSet\n'
        f'cfg.DATASET.ROOT = {str(root)!r}\n'
        'loader = train_loader(TrainSet(get_dataset("camvid", "train"), None, 0, 0), 2, 1)\n'
        'batches = iter(loader)\n'
        'print(len(next(batches)["name"]))\n'
    )
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, tmp_path / 'program.py'], env=environment, timeout=300, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')


@pytest.fixture
def val_set(root, camvid_tree, stripes, write):
    """Seven images of which numbers 3 and 4 are smaller."""
    camvid_tree(root / 'camvid', 'val', 7)
    for number in (3, 4):
        write(root / f'camvid/val/0{number}.png', np.full((16, 24, 3), number, np.uint8))
        write(root / f'camvid/valannot/0{number}.png', stripes((0, 1), 16, 24))
    return EvalSet(get_dataset('camvid', 'val'))


@pytest.mark.parametrize('num_workers', [0, 2])
def test_batches_hold_consecutive_images_of_one_size(val_set, num_workers):
    batches = list(eval_loader(val_set, 2, num_workers))
    assert [batch['index'] for batch in batches] == [[0, 1], [2], [3, 4], [5, 6]]
    assert [tuple(batch['image'].shape) for batch in batches[1:3]] == [(1, 3, 32, 48), (2, 3, 16, 24)]
    assert batches[2]['label'].shape == (2, 16, 24) and batches[2]['name'] == ['val/03.png', 'val/04.png']
    assert batches[2]['scale'].tolist() == [1.0, 1.0]


@pytest.mark.parametrize('world', [1, 2, 3, 8])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_every_image_is_evaluated_exactly_once(val_set, world, batch_size):
    loaders = [eval_loader(val_set, batch_size, 0, world, rank) for rank in range(world)]
    taken = [[index for batch in loader for index in batch['index']] for loader in loaders]
    assert sorted(sum(taken, [])) == list(range(7))
    assert all(indices == list(range(rank, 7, world)) for rank, indices in enumerate(taken))
    assert [loader.num_images for loader in loaders] == [len(indices) for indices in taken]


def test_images_without_labels_make_batches_without_them(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('test', 'bonn'): 2})
    batch = next(iter(eval_loader(EvalSet(get_dataset('cityscapes', 'test')), 2, 0)))
    assert 'label' not in batch and batch['image'].shape == (2, 3, 32, 48)


def test_the_transform_of_evaluation_sees_image_and_label(val_set):
    def halve(image, label):
        return image[::2, ::2], label[::2, ::2], 0.5

    sample = EvalSet(val_set.dataset, halve)[0]
    assert sample['image'].shape == (3, 16, 24) and sample['label'].shape == (16, 24) and sample['scale'] == 0.5


def test_an_unreadable_image_stops_evaluation_with_its_name(val_set):
    val_set.dataset.items[2].image.write_bytes(b'nonsense')
    with pytest.raises(ValueError, match='val/02.png: is damaged or no image'):
        list(eval_loader(val_set, 1, 1))
