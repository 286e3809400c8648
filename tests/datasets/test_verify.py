"""`python -m datasets.verify` on small trees of CamVid and others that are broken in every way a download can be."""

import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest
from small_trees import flat_image, make_camvid, striped_label, write_png
from trees import LAYOUTS, coarse_tree, make_tree

from config import scope
from datasets.collection.camvid import CamVid
from datasets.registry import get_dataset
from datasets.verify.__main__ import main
from datasets.verify.examine import EXACT, count_ids
from datasets.verify.findings import Finding
from datasets.verify.statistics import class_weights
from datasets.verify.whole import verify
from loss import read_class_weights

LABELLED = [name for name in LAYOUTS if LAYOUTS[name].labelled]


def photo(number, height=32, width=48):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def camvid(tmp_path):
    """A root with 12 train and 4 val images of noise, three classes in stripes; every image is another one."""
    for place, (split, count) in enumerate((('train', 12), ('val', 4))):
        for number in range(count):
            write_png(tmp_path / f'camvid/{split}/{number:02d}.png', photo(100 * place + number))
            write_png(tmp_path / f'camvid/{split}annot/{number:02d}.png', striped_label((0, 3, 8)))
    return tmp_path


@pytest.fixture
def run(tmp_path, capsys):
    """run(*flags) -> (exit code, what was printed, verify.json or None)."""

    def call(*flags, dataset='camvid'):
        out = tmp_path / 'out'
        code = main(
            ['--dataset', dataset, '--override_dataset_root', str(tmp_path), '--out', str(out), *map(str, flags)]
        )
        told = capsys.readouterr()
        report = out / 'verify.json'
        return code, told.out + told.err, json.loads(report.read_text()) if report.is_file() else None

    return call


def test_a_file_that_is_read_while_its_decoder_complains_is_a_warning(camvid, run):
    path = camvid / 'camvid/train/03.png'
    head, scan, pixels = cv2.imencode('.jpg', photo(3))[1].tobytes().partition(b'\xff\xda')
    path.write_bytes(head + bytes([7] * 5) + scan + pixels)
    code, printed, report = run()
    found = finding(report, 'damaged_pixels')
    assert code == 0 and found['level'] == 'warning'
    assert found['sentence'].startswith("split 'train': 1 file is read, but the decoder says that pixels are damaged;")
    assert found['files'] == [f'{path}: Corrupt JPEG data: 5 extraneous bytes before marker 0xda']
    assert 'its decoder says' not in printed


def kinds(report, level=None):
    return {finding['kind'] for finding in report['findings'] if level in (None, finding['level'])}


def finding(report, kind):
    return next(one for one in report['findings'] if one['kind'] == kind)


def test_a_whole_dataset_passes_and_its_absent_classes_are_named(camvid, run):
    code, printed, report = run()
    assert code == 0 and report['errors'] == 0 and kinds(report) == {'absent_classes'}
    assert (
        "no label of split 'train' holds Building, Pole, Pavement, Tree, SignSymbol, Fence, Pedestrian, Bicyclist"
        in printed
    )
    assert (
        '\ncamvid: 12 images of split train, 4 images of split val read: 0 errors, 2 warnings, 0 notes; see ' in printed
    )
    assert (camvid / 'out/index.html').is_file()


def test_the_numbers_are_those_that_can_be_counted_by_hand(camvid, run):
    train = run()[2]['splits']['train']
    assert (
        train['labelled_pixels'] == 12 * 32 * 48
        and train['ignored_pixels'] == 0
        and train['sizes'] == [{'height': 32, 'width': 48, 'images': 12}]
    )
    road, tree = train['classes'][3], train['classes'][5]
    assert (road['name'], road['pixels'], road['images'], road['mean_pixels_where_present']) == (
        'Road',
        12 * 32 * 16,
        12,
        512,
    )
    assert road['share_of_pixels'] == pytest.approx(1 / 3) and tree['pixels'] == 0
    assert (
        road['weight_inverse'] == pytest.approx(2 / 3)
        and road['weight_balanced'] == pytest.approx(3 / 11)
        and road['weight_median'] == 1
    )
    assert tree['weight_inverse'] is None and tree['weight_balanced'] is None and tree['weight_median'] is None
    together = np.array(train['images_with_both_classes'])
    assert together[3, 8] == together[8, 3] == together[0, 0] == 12 and together.sum() == 9 * 12
    pixels = np.stack([photo(number) for number in range(12)]).reshape(-1, 3) / 255
    assert train['mean'] == pytest.approx(pixels.mean(axis=0), abs=1e-12) and train['std'] == pytest.approx(
        pixels.std(axis=0), abs=1e-12
    )


def test_the_page_says_how_to_train_with_the_weights_and_the_flag_reads_them(camvid, run):
    run()
    page, given = (camvid / 'out/index.html').read_text(), f'{camvid}/out/verify.json:balanced'
    assert page.count(f'To train with them: train.py --class_weights {given}') == 1, 'those of split train'
    weights = read_class_weights(given, CamVid.classes.names)
    assert weights.tolist() == pytest.approx([3 / 11 if trainid in (0, 3, 8) else 0 for trainid in range(11)])


def test_weights_of_classes_of_unequal_size_follow_their_formulas(camvid):
    half = np.zeros((32, 48), np.uint8)
    half[:, 24:] = 3
    write_png(camvid / 'camvid/trainannot/00.png', half)
    for number in range(1, 12):
        write_png(camvid / f'camvid/trainannot/{number:02d}.png', np.full((32, 48), (3, 11)[number > 5], np.uint8))
    with scope(DATASET__ROOT=str(camvid)):
        numbers = verify('camvid', ['train']).numbers['train']
    # Sky: half a label, in one label. Road: five and a half labels, in six. Six labels hold nothing else.
    weights = class_weights(numbers)
    assert weights['inverse'][[0, 3]] == pytest.approx([5.5 / 6, 0.5 / 6])
    assert weights['balanced'][[0, 3]] == pytest.approx([6 / (11 * 0.5), 6 / (11 * 5.5)])
    shares = np.array([0.5, 5.5 / 6])
    assert weights['median'][[0, 3]] == pytest.approx(shares.mean() / shares)
    assert numbers.ignored == 6 * 32 * 48


def test_images_without_label_and_labels_without_image_are_all_named(camvid, run):
    for number in (3, 7):
        (camvid / f'camvid/trainannot/{number:02d}.png').unlink()
    (camvid / 'camvid/val/01.png').unlink()
    code, printed, report = run()
    assert code == 1
    missing = finding(report, 'images_without_label')
    assert missing['sentence'].startswith("split 'train': 2 images have no label")
    assert [file.split(':')[0].rsplit('/', 1)[1] for file in missing['files']] == ['03.png', '07.png']
    assert (
        finding(report, 'label')['files'] == [str(camvid / 'camvid/valannot/01.png')]
        and finding(report, 'label')['level'] == 'warning'
    )
    assert report['splits']['train']['images'] == 10


def test_a_split_without_any_label_is_still_listed(camvid, run):
    shutil.rmtree(camvid / 'camvid/valannot')
    (camvid / 'camvid/valannot').mkdir()
    code, _, report = run()
    missing = finding(report, 'images_without_label')
    assert code == 1 and len(missing['files']) == 4 and 'unlisted_split' not in kinds(report)
    assert missing['sentence'].startswith(
        "split 'val': none of the 4 images has its label where it is looked for; unpack"
    )


def test_a_missing_split_is_a_fault_and_a_missing_dataset_a_mistake(camvid, run):
    shutil.rmtree(camvid / 'camvid/valannot')
    shutil.rmtree(camvid / 'camvid/val')
    code, printed, report = run()
    assert code == 1 and finding(report, 'unlisted_split')['sentence'].startswith("split 'val' cannot be used: ")
    shutil.rmtree(camvid / 'camvid')
    code, printed, _ = run()
    assert code == 2 and printed.startswith('python -m datasets.verify: error: ') and len(printed.splitlines()) == 1


def test_unreadable_files_are_named_with_their_reason(camvid, run):
    base = camvid / 'camvid'
    for name, content in (
        ('train/00.png', (base / 'train/00.png').read_bytes()[:900]),
        ('train/01.png', b''),
        ('train/02.png', b'no image at all'),
        ('trainannot/04.png', (base / 'trainannot/04.png').read_bytes()[:60]),
    ):
        (base / name).write_bytes(content)
    middle = bytearray((base / 'train/05.png').read_bytes())
    middle[len(middle) // 2] ^= 255
    (base / 'train/05.png').write_bytes(bytes(middle))
    cv2.imwrite(str(base / 'trainannot/06.jpg'), striped_label((0, 3, 8)))
    (base / 'trainannot/06.jpg').rename(base / 'trainannot/06.png')
    write_png(base / 'trainannot/07.png', np.full((32, 48), 26000, np.uint16))
    code, printed, report = run()
    assert code == 1
    images = '\n'.join(finding(report, 'unreadable_images')['files'])
    assert "split 'train': 4 images cannot be read; replace these files" in printed
    assert (
        '00.png: is a PNG cut off after 900 bytes' in images
        and '01.png: is empty' in images
        and '02.png: is damaged or no image' in images
    )
    labels = '\n'.join(finding(report, 'unusable_labels')['files'])
    assert '04.png: is a PNG cut off after 60 bytes' in labels and '06.png: is a JPEG file, whose compression' in labels
    assert '07.png: holds values up to 26000' in labels
    assert 'Traceback' not in printed and report['splits']['train']['images'] == 8


def test_labels_of_one_wrong_kind_are_told_with_what_is_done_about_that_kind(camvid, run):
    for number in range(12):
        write_png(camvid / f'camvid/trainannot/{number:02d}.png', photo(number))
    sentence = finding(run()[2], 'unusable_labels')['sentence']
    assert (
        sentence.startswith("split 'train': 12 labels cannot be used; a label map holds class ids")
        and '(rgb in the file of --data_yaml)' in sentence
    )
    (camvid / 'camvid/trainannot/03.png').write_bytes(b'')
    assert finding(run()[2], 'unusable_labels')['sentence'].endswith(
        'replace these files or take them and their images out of the dataset'
    )


def test_sizes_that_differ_are_named_with_both_sizes(camvid, run):
    write_png(camvid / 'camvid/trainannot/03.png', striped_label((0, 3), 16, 24))
    code, _, report = run()
    assert code == 1 and finding(report, 'size_mismatch')['files'] == [
        f'{camvid}/camvid/trainannot/03.png: 24x16, its image 48x32'
    ]


def test_ids_outside_the_map_are_counted_by_pixel_and_file(camvid, run):
    for number in (1, 2):
        write_png(camvid / f'camvid/trainannot/{number:02d}.png', striped_label((0, 77, 77 + number)))
    code, printed, report = run()
    found = finding(report, 'unknown_ids')
    assert (
        code == 1
        and '77 (1,024 pixels in 2 files), 78 (512 pixels in 1 file), 79 (512 pixels in 1 file) are not in the map'
        in found['sentence']
    )
    assert found['files'][0] == f'{camvid}/camvid/trainannot/01.png: id 77 in 512 pixels, id 78 in 512 pixels'
    assert run('--ignore_ids', '77,78,79')[0] == 0


def test_labels_that_say_nothing_are_a_warning_and_a_split_of_them_an_error(camvid, run):
    write_png(camvid / 'camvid/trainannot/05.png', np.full((32, 48), 11, np.uint8))
    code, _, report = run()
    assert code == 0 and finding(report, 'ignored_labels')['files'] == [f'{camvid}/camvid/trainannot/05.png']
    for number in range(4):
        write_png(camvid / f'camvid/valannot/{number:02d}.png', np.full((32, 48), 255, np.uint8))
    code, printed, report = run()
    assert code == 1 and "split 'val': all 4 labels that were read are ignored in every pixel" in printed


def test_images_in_two_splits_are_found_however_they_were_compressed(camvid, run):
    write_png(camvid / 'camvid/val/02.png', photo(5))
    cv2.imwrite(str(camvid / 'camvid/val/02.png'), photo(5)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])
    write_png(camvid / 'camvid/train/10.png', photo(9))
    almost = photo(6)
    almost[3] = 0  # a row that the digest of candidates leaves out
    write_png(camvid / 'camvid/val/03.png', almost)
    code, _, report = run()
    assert code == 0 and finding(report, 'leakage')['level'] == 'warning'
    assert finding(report, 'leakage')['files'] == [f'{camvid}/camvid/train/05.png = {camvid}/camvid/val/02.png']
    assert finding(report, 'copies')['files'] == [f'{camvid}/camvid/train/09.png = {camvid}/camvid/train/10.png']


def test_hidden_and_foreign_files_are_notes_and_other_images_a_warning(camvid, run):
    base = camvid / 'camvid'
    for name in (
        'train/.DS_Store',
        'train/._00.png',
        'trainannot/Thumbs.db',
        'train/readme.txt',
        'train/00.txt',
        'train/index.html',
        'trainannot/00_color.gif',
    ):
        (base / name).write_bytes(b'x')
    cv2.imwrite(str(base / 'val/scan.tif'), photo(1))
    code, _, report = run()
    names = {
        one['kind']: [file.rsplit('/', 1)[1] for file in one['files']] for one in report['findings'] if one['files']
    }
    assert code == 0 and names == {
        'hidden': ['.DS_Store', '._00.png', 'Thumbs.db'],
        'foreign': ['index.html', 'readme.txt'],
        'companion': ['00.txt', '00_color.gif'],
        'other_image': ['scan.tif'],
    }


def test_annotations_and_what_the_program_itself_writes_are_no_foreign_files(camvid, run):
    base = camvid / 'camvid'
    for name in ('train/00.json', 'train/instances.json', 'valannot/annotations.xml', 'train/streets.yaml'):
        (base / name).write_text('{}')
    for _ in range(2):  # the second time its own page and record lie there
        code, printed, report = run('--out', base / 'valannot')
        found = json.loads((base / 'valannot/verify.json').read_text())
        assert code == 0 and {one['kind'] for one in found['findings']} <= {'absent_classes', 'mean'}, printed


def test_of_many_files_ten_and_a_count_are_printed_and_all_are_in_the_report(camvid, run):
    for number in range(12):
        (camvid / f'camvid/train/{number:02d}.png').write_bytes(b'')
    code, printed, report = run()
    lines = printed.splitlines()
    start = next(place for place, line in enumerate(lines) if 'cannot be read' in line)
    assert lines[start + 10].endswith('09.png: is empty') and lines[start + 11] == '  and 2 more'
    assert len(finding(report, 'unreadable_images')['files']) == 12
    assert Finding('note', 'k', 'a sentence', ('a', 'b')).line() == 'a sentence: a, b'
    of_many = Finding('note', 'k', 'a sentence', tuple('abcdefghijklmno'))
    assert of_many.line() == 'a sentence: a, b, c, d, e, f, g, h, i, j and 5 more'


def test_names_are_shown_as_text_on_the_page(camvid, run):
    (camvid / 'camvid/train/<b>&.png').write_bytes(b'')
    write_png(camvid / 'camvid/trainannot/<b>&.png', striped_label((0, 77)))
    run()
    page = (camvid / 'out/index.html').read_text()
    assert '&lt;b&gt;&amp;.png' in page and '<b>&' not in page


@pytest.mark.parametrize('name', LABELLED)
def test_the_tree_of_every_dataset_passes(name, run, tmp_path):
    make_tree(name, tmp_path)
    code, printed, report = run(dataset=name)
    assert code == 0 and kinds(report) <= {'absent_classes', 'mean', 'left_out', 'companion', 'copies'}, printed
    assert report['splits']['train']['images'] == len(get_names(name, tmp_path))


def get_names(name, root):
    with scope(DATASET__ROOT=str(root)):
        return get_dataset(name, 'train').items


def test_progress_counts_pairs_or_images(camvid, run, tmp_path):
    assert "reading split 'train': 12/12 pairs (100 %)" in run()[1]
    make_tree('bravo', tmp_path)
    assert "reading split 'val': 4/4 images (100 %)" in run(dataset='bravo')[1]


def test_an_archive_is_verified_in_place(camvid, run, tmp_path):
    write_png(camvid / 'camvid/trainannot/02.png', striped_label((0, 77)))
    (camvid / 'camvid/train/.DS_Store').write_bytes(b'x')
    (camvid / 'camvid/valannot/00.png').unlink()
    with zipfile.ZipFile(camvid / 'camvid.zip', 'w') as archive:
        for file in sorted((camvid / 'camvid').rglob('*')):
            archive.write(file, file.relative_to(camvid))
    shutil.rmtree(camvid / 'camvid')
    code, _, report = run()
    assert code == 1 and {'unknown_ids', 'images_without_label', 'hidden'} <= kinds(report)
    assert finding(report, 'unknown_ids')['files'] == [
        f'{camvid}/camvid.zip/camvid/trainannot/02.png: id 77 in 768 pixels'
    ]


def test_splits_share_files_on_purpose_when_they_are_chosen_so(run, tmp_path):
    make_tree('cityscapes', tmp_path)
    code, _, report = run('--cv', 3, dataset='cityscapes')
    assert (
        code == 0
        and 'leakage' not in kinds(report)
        and finding(report, 'shared_files')['sentence'].startswith('8 image files belong to two splits')
    )


def test_a_split_without_labels_is_read_too(run, tmp_path):
    make_tree('bdd100k', tmp_path)
    code, _, report = run('--splits', 'test', dataset='bdd100k')
    assert code == 0 and report['splits']['test']['images'] == 4 and report['splits']['test']['classes'] == []


def test_coarse_labels_are_read_when_a_training_would_read_them(run, tmp_path):
    coarse_tree(tmp_path)
    assert list(run(dataset='cityscapes')[2]['splits']) == ['train', 'val']
    code, _, report = run('--quality', 'fine_coarse', dataset='cityscapes')
    assert (
        code == 0
        and list(report['splits']) == ['train', 'train coarse', 'val']
        and report['splits']['train coarse']['images'] == 4
    )
    assert list(run('--quality', 'coarse', '--splits', 'train', dataset='cityscapes')[2]['splits']) == ['train coarse']
    code, printed, _ = run('--custom_coarse_dir', 'x', dataset='cityscapes')
    assert code == 2 and 'add --custom_coarse_prob' in printed


def test_a_dataset_that_a_file_describes_is_verified(run, tmp_path):
    for number in range(6):
        write_png(tmp_path / f'mine/{number}.png', photo(number))
        write_png(tmp_path / f'masks/{number}.png', striped_label((0, 1, 9 if number == 3 else 0)))
    (tmp_path / 'data.yml').write_text(
        'root: .\nimages: "mine/*.png"\nlabels: "masks/{stem}.png"\nsplits: {val: 0.5}\n'
        'classes: [{name: ground, id: 0}, {name: thing, id: 1}]\n'
    )
    code, printed, report = run('--data_yaml', tmp_path / 'data.yml', dataset='custom')
    assert code == 1 and kinds(report, 'error') == {'unknown_ids'}, printed
    assert finding(report, 'unknown_ids')['sentence'].endswith(
        f'; correct the file, or add them to a class or to ignore in {tmp_path}/data.yml'
    )
    assert sum(split['images'] for split in report['splits'].values()) == 6


@pytest.mark.parametrize(
    'flags, expected',
    [
        (['--splits', 'train,vla'], "--splits vla: dataset 'camvid' has no such split, only train, val, test"),
        (['--dataset', 'camvit'], 'did you mean camvid'),
        (['--dataset', 'nullloader'], "'nullloader' has no files"),
        (['--workers', '0'], '--workers'),
        (['--out', '/proc/none'], 'cannot be written'),
    ],
)
def test_mistakes_in_the_call_are_one_line(flags, expected, camvid, capsys):
    code = main(['--dataset', 'camvid', '--override_dataset_root', str(camvid), *flags])
    told = capsys.readouterr()
    assert code == 2 and expected in told.err and 'Traceback' not in told.err


def test_ids_are_counted_exactly_above_the_precision_of_a_float32():
    raw = np.zeros((3, EXACT // 2), np.uint8)
    raw[2, -1] = 9
    counts = count_ids(raw)
    assert counts[0] == raw.size - 1 and counts[9] == 1 and counts.dtype == np.int64
    assert count_ids(striped_label((1, 2, 250))).nonzero()[0].tolist() == [1, 2, 250]


def test_a_dataset_of_flat_images_keeps_each_of_them_apart(tmp_path, run):
    make_camvid(tmp_path / 'camvid', 'train', 6)
    make_camvid(tmp_path / 'camvid', 'val', 2)
    assert flat_image(0).tolist() != flat_image(1).tolist()
    report = run()[2]
    assert len(finding(report, 'leakage')['files']) == 2 and 'mean' in kinds(report)
