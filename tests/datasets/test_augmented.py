import numpy as np
from PIL import Image

from datasets import get_dataset
from datasets.browse.samples import dump_augmented
from datasets.sampling.epoch import epoch_order
from datasets.sampling.sets import TrainSet


def test_samples_are_written_as_picture_palette_mask_and_raw_mask(root, camvid_tree, tmp_path):
    camvid_tree(root / 'camvid', count=3, ids=(0, 3, 11))
    train_set = TrainSet(get_dataset('camvid', 'train'), None, 0, 0)
    paths = dump_augmented(train_set, tmp_path / 'out', 2)
    images = [train_set.draws[index].image for index in epoch_order(3, 0, 0)[:2]]
    assert [str(path.relative_to(tmp_path / 'out')) for path in paths] == [f'train/{image:02d}.png' for image in images]
    assert np.array(Image.open(paths[0]))[0, 0].tolist() == [images[0], 2, 3]
    raw = Image.open(paths[0].with_name(f'{images[0]:02d}_mask_raw.png'))
    assert raw.mode == 'L' and np.array(raw)[0, [0, 16, 32]].tolist() == [0, 3, 255]
    mask = Image.open(paths[0].with_name(f'{images[0]:02d}_mask.png'))
    assert mask.mode == 'P' and np.array(mask.convert('RGB'))[0, [0, 16, 32]].tolist() == [
        [128, 128, 128],
        [128, 64, 128],
        [0, 0, 0],
    ]
    assert len(list((tmp_path / 'out').rglob('*.png'))) == 6


def test_class_uniform_samples_are_named_after_their_class(root, camvid_tree, tmp_path):
    camvid_tree(root / 'camvid', count=1, ids=(9, 9, 9))
    camvid_tree(root / 'camvid', count=1, split='val')
    dataset = get_dataset('camvid', 'train')
    train_set = TrainSet(dataset, None, 0, 0)
    train_set.draws = [train_set.draws[0]._replace(class_id=9, centroid=(1, 1))] * 2
    paths = dump_augmented(train_set, tmp_path / 'out', 5)
    assert [path.name for path in paths] == ['Pedestrian_00.png', 'Pedestrian_00_2.png']
    assert (tmp_path / 'out/Pedestrian_00_2_mask_raw.png').exists()
