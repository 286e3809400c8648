"""Page of a verification: the results as verify.json and as index.html with pictures."""

from pathlib import Path
from shlex import quote

import numpy as np
from PIL import Image

from config import cfg
from datasets.browse.pictures import fitted, overlay
from datasets.verify.checks import has_wrong_size, says_nothing, unknown_ids
from datasets.verify.findings import SHOWN
from datasets.verify.statistics import class_weights
from datasets.verify.whole import Verified
from utils.channels import spread
from utils.cli.wording import counted, listed, shortened
from utils.files import stamps
from utils.files.atomic import remove_stale_temporaries, write_json
from utils.files.images import as_rgb, write_jpeg
from utils.pages import sheet
from utils.pages.template import html_text

EXAMPLES, FAULTY = 12, 4  # random samples of each split, and samples with each kind of fault, that the page shows
UNKNOWN = (255, 0, 255)  # colour of pixels whose id is not in the map


def folder_of(assets_path, verified: Verified) -> Path:
    """Where the results go by default: verify/<dataset>, with a hash behind it where that folder holds the results of
    another file of --data_yaml that has the same name."""
    folder = Path(assets_path) / 'verify' / verified.name
    try:
        before = stamps.read(folder / 'verify.json', '') or {}
    except (ValueError, OSError):
        before = {}
    other = before.get('data_yaml', verified.data_yaml) != verified.data_yaml
    return folder.with_name(f'{folder.name}_{stamps.digest(verified.data_yaml or "")[:6]}') if other else folder


def write_page(verified: Verified, folder) -> Path:
    """Write verify.json, index.html and its pictures into `folder`; returns the path of the page."""
    folder = Path(folder)
    remove_stale_temporaries(folder / 'pictures')
    write_json(folder / 'verify.json', verified.as_json())
    facts = {
        'dataset': verified.name,
        **{split: f'{len(found):,} images' for split, found in verified.examined.items()},
        'errors': verified.count('error'),
        'warnings': verified.count('warning'),
    }
    page = folder / 'index.html'
    sheet.write_sheet(
        page,
        f'Verification of {verified.name}',
        facts,
        [
            _findings(verified),
            _faulty(verified, folder),
            *(part for split in verified.datasets for part in _split(verified, split, folder)),
        ],
    )
    return page


def _findings(verified):
    parts = []
    for finding in verified.findings:
        files = ''.join(f'<li>{html_text(file)}</li>' for file in shortened(map(str, finding.files), SHOWN, ''))
        parts.append(
            f'<p><b>{finding.level}</b> {html_text(finding.sentence)}</p>'
            + (f'<ul class="none">{files}</ul>' if files else '')
        )
    note = 'An error would break training or teach nothing. verify.json names every file.'
    return sheet.section('Findings', ''.join(parts) or '<p class="none">none</p>', note)


def _split(verified, split, folder):
    """The sections about one split."""
    dataset, numbers = verified.datasets[split], verified.numbers[split]
    names, palette = dataset.classes.names, dataset.classes.colors
    yield sheet.table(f'{split}: images', _image_rows(numbers))
    if numbers.labels_read:
        total = max(int(numbers.pixels.sum()), 1)
        yield sheet.bars(
            f'{split}: share of the pixels',
            names,
            100 * numbers.pixels / total,
            colours=palette,
            note=f'Percent of the {total:,} pixels with a class; {numbers.ignored:,} more are ignored.',
        )
        yield sheet.bars(
            f'{split}: share of the images',
            names,
            100 * numbers.images / numbers.labels_read,
            colours=palette,
            note=f'Percent of the {numbers.labels_read:,} labels that hold the class.',
        )
        use = (
            f' To train with them: train.py --class_weights {quote(f"{folder}/verify.json:balanced")}'
            if split == 'train'
            else ''
        )
        yield sheet.table(
            f'{split}: classes and weights',
            _class_rows(dataset, numbers),
            'Weights from the pixels n of a class and N of all K classes: inverse 1 - n/N, balanced N/(K n), median:'
            f' of the shares of all classes where they occur, over that of the class.{use}',
        )
        yield sheet.matrix(
            f'{split}: classes that stand together',
            _together_rows(names, numbers),
            'Percent of the images with the class of the row that also hold the class of the column.',
        )
    chosen = np.random.default_rng(0).permutation(len(verified.examined[split]))
    usable = [
        one
        for one in (verified.examined[split][place] for place in chosen)
        if not (one.image_fault or one.label_fault or has_wrong_size(one))
    ]
    pictures = [
        picture
        for number, one in enumerate(usable[:EXAMPLES])
        for picture in _pictures(dataset, one, folder, f'{split}_{number:02d}', one.item.name)
    ]
    about = 'Each image is followed by its label over it; ignored pixels are darker.' if dataset.labelled else ''
    yield sheet.gallery(
        f'{split}: random samples',
        [(counted(len(usable[:EXAMPLES]), 'sample'), 'of those that can be used', pictures)],
        about,
    )


def _image_rows(numbers):
    sizes = [f'{width}x{height}: {count:,}' for (height, width), count in numbers.sizes.most_common()]
    rows = [
        ['images read', numbers.images_read],
        ['labels read', numbers.labels_read],
        ['sizes (width x height: images)', listed(sizes)],
    ]
    for name, own, used in (
        ('mean', numbers.mean, spread(cfg.DATASET.MEAN, len(numbers.mean))),
        ('standard deviation', numbers.std, spread(cfg.DATASET.STD, len(numbers.std))),
    ):
        rows.append(
            [
                f'{name} of {"red, green, blue" if len(own) == 3 else "the channels"}',
                f'{_triple(own)} (normalised with {_triple(used)})',
            ]
        )
    return [['', ''], *rows]


def _triple(values):
    return ', '.join(f'{value:.3f}' for value in values)


def _class_rows(dataset, numbers):
    weights = class_weights(numbers)
    head = ['class', 'id', 'pixels', 'images', 'pixels where present', *(f'{kind} weight' for kind in weights)]
    return [
        head,
        *(
            [
                name,
                trainid,
                int(numbers.pixels[trainid]),
                int(numbers.images[trainid]),
                _whole(numbers.areas[trainid]),
                *(float(values[trainid]) for values in weights.values()),
            ]
            for trainid, name in enumerate(dataset.classes.names)
        ),
    ]


def _whole(value):
    return None if np.isnan(value) else int(round(value))


def _together_rows(names, numbers):
    share = np.divide(
        100.0 * numbers.together,
        numbers.images[:, None],
        out=np.full(numbers.together.shape, np.nan),
        where=numbers.images[:, None] > 0,
    )
    return [
        ['class', *map(str, range(len(names)))],
        *(
            [f'{row} {name}', *(None if value != value else round(value) for value in share[row].tolist())]
            for row, name in enumerate(names)
        ),
    ]


def _faulty(verified, folder):
    """Pictures of the first samples with each kind of fault, as far as they can be pictured."""
    chosen = {}
    for split, dataset in verified.datasets.items():
        for one in verified.examined[split]:
            kind, why = _why(dataset, one)
            if kind and not one.image_fault:
                chosen.setdefault(kind, []).append((dataset, one, why))
    cards = [
        _card(*sample, folder, f'faulty_{kind}_{number}')
        for kind, samples in chosen.items()
        for number, sample in enumerate(samples[:FAULTY])
    ]
    return sheet.gallery('Faulty samples', cards, 'Pixels with ids outside the map are magenta.') if cards else ''


def _why(dataset, one) -> tuple:
    """What is wrong with a sample: a word for it and its card's line; ('', '') when nothing is."""
    if one.label_fault:
        return 'label', 'unusable label'
    if has_wrong_size(one):
        return 'size', 'label of another size'
    ids = unknown_ids(dataset, one)
    if ids:
        return 'ids', f'unknown ids {listed(map(str, ids))}'
    return ('ignored', 'nothing but ignore') if one.counts is not None and says_nothing(dataset, one) else ('', '')


def _card(dataset, one, why, folder, name):
    """(name, what is wrong, pictures) of a faulty sample; name: of its files in `folder`."""
    return one.item.name, f'{why}, {one.size[1]}x{one.size[0]}', _pictures(dataset, one, folder, name, 'image')


def _pictures(dataset, one, folder, name, title):
    """Write the image, and its label over it where there is a usable one."""
    image = as_rgb(dataset.read_image(one.item.image))
    pictures = [_picture(folder, f'{name}_image', fitted(image), title)]
    if one.counts is not None:
        label = dataset.mapper.table[dataset.raw_label(one.item)]
        fits = label.shape == image.shape[:2]
        base = image if fits else np.zeros((*label.shape, 3), np.uint8)
        colours = np.zeros((256, 3), np.uint8)
        colours[: dataset.num_classes] = dataset.classes.colors
        colours[dataset.mapper.unknown] = UNKNOWN
        pictures.append(
            _picture(
                folder, f'{name}_label', overlay(base, label, colours), 'label over the image' if fits else 'label'
            )
        )
    return pictures


def _picture(folder, name, picture, title):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    write_jpeg(folder / 'pictures' / f'{name}.jpg', picture)
    return sheet.Picture(f'pictures/{name}.jpg', title, size=picture.size)
