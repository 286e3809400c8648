import dumps
import numpy as np
import pytest
import torch

from aggregation.benchmarks.bravo_files import prefix_of
from aggregation.fusion.members import Members, one_thread, pool_of, read_ahead, read_weights
from aggregation.fusion.pooling import Pool
from aggregation.fusion.store import Store, check_stores, fault_lines
from utils.outputs.logits import Storage


def silent(line):
    pass


def pools(members, needs, stems, readers=2):
    stream = read_ahead(members, stems, readers)
    return [(stem, pool_of(members, stem, stream, needs)) for stem in stems]


@pytest.fixture
def two(tmp_path):
    return [dumps.make(tmp_path / name, seed) for seed, name in enumerate(('one', 'two'))]


def test_a_manifest_tells_everything(two):
    store = Store(two[0])
    assert (store.name, store.kind, store.dataset) == ('model 0', 'logits', 'toy')
    assert store.classes.names == dumps.LABELS.names
    assert store.stems == ['val/bonn/[c]', 'val/ulm/a', 'val/ulm/b']
    assert torch.equal(store.read('val/ulm/a').full(), dumps.logits_of(0, 'val/ulm/a.png'))


@pytest.mark.parametrize('ending', ['.npz', '.npy'])
def test_logits_with_the_classes_last_are_refused_where_no_manifest_tells_the_axes(tmp_path, ending):
    values = np.zeros((32, 48, 19), np.float16)
    save = np.save if ending == '.npy' else lambda path, array: np.savez_compressed(path, logits=array)
    save(tmp_path / f'a_logits{ending}', values)
    with pytest.raises(ValueError, match=r'a_logits.* \(32, 48, 19\), which looks like \(height, width, classes\)'):
        Store(tmp_path).read('a')
    [fault] = check_stores([tmp_path], log=silent)[str(tmp_path)]['faults']
    assert 'expected (classes, height, width)' in fault.why
    save(tmp_path / f'a_logits{ending}', np.moveaxis(values, -1, 0))
    assert Store(tmp_path).read('a').size == (32, 48)


def test_published_folders_without_a_manifest_are_read_by_name(tmp_path):
    dumps.make(tmp_path / 'x', 0, manifest=False)
    store = Store(tmp_path / 'x', kind='mask scores')
    assert (
        store.stems == ['val/bonn/[c]', 'val/ulm/a', 'val/ulm/b'] and store.kind == 'mask scores' and store.name == 'x'
    )


def test_an_unknown_kind_and_an_empty_folder_are_refused(tmp_path, two):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='holds no files'):
        Store(tmp_path / 'empty')
    with pytest.raises(ValueError, match='kind .softmax. is unknown'):
        Store(two[0], 'softmax')
    with pytest.raises(FileNotFoundError, match='no such folder'):
        Store(tmp_path / 'none')


def test_sound_folders_have_no_faults(two):
    found = check_stores(two, log=silent)
    assert [result['faults'] for result in found.values()] == [[], []]
    assert fault_lines(found)[0] == f'{two[0]}: 3 images of logits checked against its manifest: 0 faults'


def spoil(path, how):
    data = bytearray(path.read_bytes())
    if how == 'cut':
        path.write_bytes(data[:-40])
    elif how == 'flipped':
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif how == 'missing':
        path.unlink()
    elif how == 'nan':
        np.savez_compressed(path, logits=np.full((dumps.CLASSES, *dumps.SIZE), np.nan, np.float16))


@pytest.mark.parametrize(
    'how, why', [('cut', 'bytes, the manifest says'), ('flipped', 'another SHA-256'), ('missing', 'is missing')]
)
def test_faults_are_found_and_named(two, how, why):
    spoil(two[1] / 'val/ulm/b_logits.npz', how)
    [fault] = check_stores(two, log=silent)[str(two[1])]['faults']
    assert fault.file == str(two[1] / 'val/ulm/b_logits.npz') and why in fault.why


def test_without_a_manifest_nan_is_still_found(tmp_path):
    dumps.make(tmp_path / 'x', 0, manifest=False)
    spoil(tmp_path / 'x/val/ulm/b_logits.npz', 'nan')
    assert 'holds nan' in check_stores([tmp_path / 'x'], log=silent)[str(tmp_path / 'x')]['faults'][0].why
    with one_thread(), pytest.raises(ValueError, match='b_logits.npz: holds nan or infinity'):
        pools(Members([tmp_path / 'x']), {'sum'}, ['val/ulm/b'])


def test_members_are_in_one_order_whatever_the_order_they_are_named_in(two):
    first, second = Members(two, weights=[1.0, 3.0]), Members(two[::-1], weights=[3.0, 1.0])
    assert [store.folder for store in first.stores] == [store.folder for store in second.stores]
    assert first.weights == second.weights == [1.0, 3.0]


@pytest.mark.parametrize('readers', [1, 2, 5])
def test_pools_are_the_sums_over_the_members_for_any_number_of_readers(two, readers):
    members = Members(two)
    with one_thread():
        found = dict(pools(members, {'sum'}, members.stems, readers))
    for stem in members.stems:
        expected = Pool({'sum'}, dumps.CLASSES, dumps.SIZE)
        for seed in (0, 1):
            expected.add(dumps.logits_of(seed, f'{stem}.png'), 'logits')
        assert torch.equal(found[stem]['sum'], expected['sum'])


def test_members_stored_at_a_stride_are_enlarged(tmp_path, two):
    small = dumps.make(tmp_path / 'small', 1, storage=Storage('npy', 'float16', 2))
    with one_thread():
        [(_, pool)] = pools(Members([two[0], small]), {'sum'}, ['val/ulm/a'])
    assert pool.size == dumps.SIZE and pool.members == 2


def test_a_missing_image_stops_unless_allowed_and_is_recorded(tmp_path, two):
    less = dumps.make(tmp_path / 'less', 2, names=dumps.NAMES[:2])
    with pytest.raises(ValueError, match=r'1 of 3 images are not in every folder: val/bonn/\[c\] in .*less'):
        Members([*two, less])
    members = Members([*two, less], allow_missing=True)
    assert members.missing == {'val/bonn/[c]': [str(less)]} and len(members.of('val/bonn/[c]')) == 2


def test_a_file_that_the_manifest_names_and_that_is_gone_is_a_missing_image(two):
    for folder, name in ((two[0], 'a'), (two[0], 'b'), (two[1], 'b')):
        (folder / f'val/ulm/{name}_logits.npz').unlink()
    with pytest.raises(ValueError, match='2 of 3 images are not in every folder: val/ulm/a in .*one'):
        Members(two)
    members = Members(two, allow_missing=True)
    assert members.stems == ['val/bonn/[c]', 'val/ulm/a'] and members.of('val/ulm/a') == [(members.stores[1], 1.0)]
    assert members.missing == {'val/ulm/a': [str(two[0])], 'val/ulm/b': [str(folder) for folder in two]}


def test_folders_whose_paths_do_not_coincide_are_refused(tmp_path, two):
    other = dumps.make(tmp_path / 'o' / 'val', 2, names=['val/ulm/a.png'])
    with pytest.raises(ValueError, match='have no image in common'):
        Members([two[0], other.parent])


def test_other_sizes_and_classes_are_named(tmp_path, two):
    large = dumps.make(tmp_path / 'zarge', 2, size=(12, 18))
    with one_thread(), pytest.raises(ValueError, match='zarge.*12x18 pixels .height x width., .*5 of 12x16'):
        pools(Members([two[0], large]), {'sum'}, ['val/ulm/a'])


@pytest.mark.parametrize(
    'arguments, words',
    [
        ({'folders': []}, 'at least one folder'),
        ({'kinds': ['logits']}, '1 kinds'),
        ({'weights': [1.0]}, '1 weights'),
        ({'weights': [1.0, -1.0]}, 'unfit'),
        ({'weights': [1.0, [1.0, 2.0]]}, r'2 weights \(1.0, 2.0\) for 5 classes'),
        ({'weights': [0.0, 0.0]}, 'unfit'),
    ],
)
def test_unfit_arguments_are_refused(two, arguments, words):
    with pytest.raises(ValueError, match=words):
        Members(**{'folders': two, **arguments})


def test_the_same_folder_twice_is_refused(two):
    with pytest.raises(ValueError, match='given twice'):
        Members([two[0], two[0]])


def test_mean_logits_need_logits(two):
    with pytest.raises(ValueError, match='--score energy needs logits of every member, found .*two .mask scores.'):
        Members(two, kinds=[None, 'mask scores']).need({'logits'}, '--score energy')
    with pytest.raises(ValueError, match='--score mask_rba needs mask scores of every member, found .*one .logits.'):
        Members(two, kinds=[None, 'mask scores']).need({'mask scores'}, '--score mask_rba')


def test_folders_of_one_part_of_the_benchmark_give_its_prefix(tmp_path):
    inside = [dumps.make(tmp_path / model / 'bravo_ACDC', seed) for seed, model in enumerate('ab')]
    stems = Members(inside).stems
    assert prefix_of(inside, stems) == 'bravo_ACDC/' and prefix_of([tmp_path / 'a'], stems) == ''
    assert prefix_of(inside, ['bravo_ACDC/fog/a']) == ''
    with pytest.raises(ValueError, match='different folders of the benchmark .bravo_ACDC, bravo_synrain.'):
        prefix_of([inside[0], tmp_path / 'c' / 'bravo_synrain'], stems)


def test_weights_are_a_list_or_a_file(tmp_path):
    (tmp_path / 'w.json').write_text('[1, [1, 2]]')
    assert (
        read_weights('2,1') == [2.0, 1.0]
        and read_weights(str(tmp_path / 'w.json')) == [1, [1, 2]]
        and read_weights(None) is None
    )
    (tmp_path / 'x.json').write_text('{}')
    for text, words in (('a,b', 'no list of numbers'), (str(tmp_path / 'x.json'), 'holds no list')):
        with pytest.raises(ValueError, match=words):
            read_weights(text)
