"""Plans of recipes: every rule on numbers that can be worked out by hand."""

import pytest

from engine.planning.plan import Facts, Plan, Recipe, Trunk, fitted, make_plan

TRUNK = Trunk('small', 'package', parameters=1e6, train_bytes=1000, eval_bytes=100, lr=0.01)
RECIPE = Recipe(
    name='r',
    about='for tests',
    flags={'optimizer': 'sgd', 'rmi_loss': True},
    trunks=[TRUNK],
    crop_pixels=128 * 256,
    long_edge=1024,
    batch=8,
    images=6000,
    epochs=(20, 400),
)
FACTS = Facts(
    images=60,
    validation_images=10,
    size=(256, 512),
    largest=(256, 512),
    device='cpu',
    cores=4,
    memory=8 << 30,
    memory_from='the memory',
)


def plan(held=None, trunk=TRUNK, recipe=RECIPE, **facts) -> Plan:
    return make_plan(recipe, FACTS._replace(**facts), held or {}, trunk)


def values(*args, **facts) -> dict:
    return plan(*args, **facts).values()


def why(flag, *args, **facts) -> str:
    return next(choice.why for choice in plan(*args, **facts).choices if choice.flag == flag)


def test_the_usual_case():
    assert values() == {
        'optimizer': 'sgd',
        'rmi_loss': True,
        'trunk': 'small',
        'pretrained': 'package',
        'precision': 'fp32',
        'crop_size': (128, 256),  # half of either side
        'bs_trn': 8,
        'lr': 0.01,
        'class_uniform_tile': 128,
        'max_epoch': 100,  # 6000 images / 60
        'val_freq': 5,  # 100 epochs / 20 validations
        'num_workers': 1,
    }


@pytest.mark.parametrize(
    'size, pixels, crop',
    [
        ((100, 200), 1 << 20, (96, 192)),  # the whole image, down to multiples of 32
        ((256, 512), 128 * 256, (128, 256)),
        ((1000, 1000), 10_000, (96, 96)),
        ((40, 400), 1 << 20, (64, 384)),  # no side below 64
    ],
)
def test_a_crop_has_the_form_of_the_images(size, pixels, crop):
    assert fitted(size, pixels) == crop


def test_images_that_are_too_large_for_a_crop_are_made_smaller():
    found = values(size=(3000, 4000), largest=(3000, 4000))
    assert found['pre_size'] == 1024 and found['crop_size'] == (128, 192)  # in the form of 768x1024
    assert found['class_uniform_tile'] == 500  # 128 * 4000 / 1024
    assert '4000x3000 pixels: a crop would show too little' in why('pre_size', size=(3000, 4000))


def test_a_given_pre_size_counts_for_what_follows():
    found = values({'pre_size': 512}, size=(3000, 4000), largest=(3000, 4000))
    assert 'pre_size' not in found and found['class_uniform_tile'] == round(min(found['crop_size']) * 4000 / 512)


def test_a_batch_that_does_not_fit_becomes_several_of_one_step():
    # 1000 bytes * 128 * 256 = 32.8 MB an image, 16 MB for the optimizer: three images fit into 120 MB
    found = values(memory=120_000_000)
    assert (found['bs_trn'], found['accumulate']) == (3, 3), 'three times three are the eight, and one more'
    assert found['lr'] == 0.011 and '3 at a time fit the memory' in why('bs_trn', memory=120_000_000)


def test_16_bits_take_less_memory():
    assert (
        values(memory=120_000_000, half='bf16')['bs_trn'] == 4
    )  # 104 MB / (0.6 * 32.8 MB): five at a time, twice four are eight
    assert values(half='bf16')['precision'] == 'bf16' and values({'precision': 'fp32'}, half='bf16').get('lr') == 0.01


def test_crops_shrink_where_not_even_one_fits():
    found = values(memory=16_000_000 + 9_000_000)  # 9000 pixels
    assert found['crop_size'] == (64, 128) and found['bs_trn'] == 1 and found['accumulate'] == 8
    assert 'more does not fit the memory' in why('crop_size', memory=25_000_000)


def test_nothing_fits_and_the_plan_still_ends():
    found = values(memory=1, size=(64, 4096), largest=(64, 4096))
    assert found['bs_trn'] == 1 and max(found['crop_size']) < 4096


def test_the_rate_follows_the_batch_as_the_optimizer_asks():
    assert values({'bs_trn': 2})['lr'] == 0.01, 'accumulated to eight'
    assert values({'bs_trn': 2, 'accumulate': 1})['lr'] == 0.0025
    assert values({'bs_trn': 2, 'accumulate': 1, 'optimizer': 'adamw'})['lr'] == 0.005


def test_fewer_images_than_a_batch_are_a_batch():
    found = values(images=3)
    assert found['bs_trn'] == 3 and found['max_epoch'] == 400, '2000 epochs are more than the recipe allows'
    assert '20 to 400 epochs' in why('max_epoch', images=3)
    assert values(images=6000)['max_epoch'] == 20


def test_several_processes_share_a_batch():
    found = values(world=4, device='cuda', cores=16)
    assert found['bs_trn'] == 2 and found['lr'] == 0.01 and found['num_workers'] == 3


def test_whole_images_that_do_not_fit_are_evaluated_in_windows():
    assert 'crop_eval' not in values()
    found = values(memory=200_000_000, largest=(1024, 2048))  # 100 bytes * 2.1 million pixels
    assert found['crop_eval'] == found['crop_size']


def test_flags_that_are_given_are_not_chosen_and_what_follows_goes_by_them():
    found = plan({'crop_size': (64, 64), 'max_epoch': 7, 'trunk': 'mine', 'rmi_loss': False})
    assert not {'crop_size', 'max_epoch', 'trunk', 'rmi_loss'} & found.values().keys()
    assert found.values()['val_freq'] == 1 and found.values()['class_uniform_tile'] == 64
    crop = next(choice for choice in found.choices if choice.flag == 'crop_size')
    assert crop.value == (128, 256) and crop.given == (64, 64)


def test_a_trunk_that_is_not_there_and_weights_that_are_missing_are_told():
    other = TRUNK._replace(trunk='other', pretrained='none')
    assert why('trunk', trunk=other) == 'small is not there' and 'many more images' in why('pretrained', trunk=other)
