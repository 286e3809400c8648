"""`python -m datasets.browse --dataset NAME --split train [--augmented]`: a page or a contact sheet of samples with
their labels.

    python -m datasets.browse --dataset camvid --override_dataset_root ROOT
    python -m datasets.browse --dataset camvid --override_dataset_root ROOT --augmented --crop_size 360 --out seen.png

With --augmented the samples are the first that a training with the same --seed and the same flags sees.
"""

import sys
from pathlib import Path

import config
from datasets.browse.pictures import CELL, contact_sheet
from datasets.browse.records import record
from datasets.browse.samples import augmented_samples, picture, raw_samples
from datasets.custom.pixels import with_pixels
from datasets.registry import dataset_names, get_dataset, own_name, splits_of
from datasets.sampling.coarse import join, training_qualities
from datasets.sampling.sets import TrainSet
from datasets.verify.whole import check_split
from transforms import build_train_transform
from utils.cli import flags
from utils.cli.parser import Parser
from utils.cli.presets import with_preset
from utils.cli.program import run_program
from utils.files.atomic import remove_stale_temporaries
from utils.files.images import write_png
from utils.pages.page import write_page
from utils.settings import SETTINGS
from utils.settings.coarse import GROUP as COARSE
from utils.settings.retired import OF_BROWSING
from utils.settings.value_types import count, positive

# Settings of train.py that stand here too: all that decide what a training sees.
SAMPLING = ('class_uniform_pct', 'class_uniform_tile')
PIXELS = ('in_channels', 'value_range')
DATA = ('dataset', 'data_yaml', 'override_dataset_root', 'cv', 'max_pixels', 'ignore_ids', *PIXELS, *SAMPLING)
SHARED = ('config', 'assets_path', *DATA, *SETTINGS.of_group(COARSE), *SETTINGS.of_group('augmentation'))
ASSETS = {'group': '', 'help': 'folder of browse/, uniform_centroids/ and data/'}


def parse_args(argv=None):
    """The flags; ValueError for a mistake."""
    parser = Parser(
        prog='python -m datasets.browse',
        description='Show samples of a dataset with their labels, as they are or as a training sees them.',
        retired=OF_BROWSING,
    )
    SETTINGS.add_to(parser, SHARED, dataset=flags.with_names(dataset_names()), assets_path=ASSETS)
    group = parser.add_argument_group('browsing')
    group.add_argument('--split', metavar='NAME', help='split to show (default: train, or the first that there is)')
    group.add_argument(
        '--augmented',
        action='store_true',
        help='show what a training with these flags sees; without it the flags of augmentation do nothing',
    )
    group.add_argument('--count', type=positive, default=24, metavar='N', help='number of samples')
    group.add_argument(
        '--seed',
        type=count,
        default=0,
        metavar='N',
        help='another seed shows other samples; with --augmented the seed of the training',
    )
    group.add_argument(
        '--out',
        metavar='FILE',
        help='a page (.html) or one picture (.png) (default: <assets_path>/browse/<dataset>_<split>.html)',
    )
    args = with_preset(parser.parse_all(sys.argv[1:] if argv is None else argv))
    out = args.out and Path(args.out)
    if out and out.suffix.lower() not in ('.html', '.png'):
        raise ValueError(f'--out {out}: expected a name that ends with .html, for a page, or .png, for one picture')
    flags.check_coarse(args)
    SETTINGS.check_needs(args)
    return with_pixels(flags.with_values(args, out=out))


def main(argv=None) -> int:
    """Write the page or picture; returns the exit code (2: a mistake in the call or the files)."""
    return run_program('python -m datasets.browse', _browse, argv, 'interrupted, the page is not complete')


def _browse(argv):
    args = parse_args(argv)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        if args.split is not None:
            check_split(args.dataset, args.split, '--split')
        splits = splits_of(args.dataset)
        split = args.split or ('train' if 'train' in splits else splits[0])
        args = flags.with_values(args, split=split, dataset=own_name(args.dataset))
        out = args.out or Path(f'{args.assets_path}/browse/{args.dataset}_{args.split}{_ending(args)}.html')
        args = flags.with_values(args, out=out)
        dataset = join([get_dataset(args.dataset, args.split, quality=quality) for quality in _qualities(args.split)])
        samples = list(_samples(args, dataset))
        write = _write_page if args.out.suffix.lower() == '.html' else _write_picture
        write(args.out, _title(args), dataset, samples)
    print(f'{len(samples)} of {len(dataset)} samples: {args.out}')


def _ending(args) -> str:
    return '_augmented' if args.augmented else ''


def _qualities(split):
    return training_qualities() if split == 'train' else ('fine',)


def _samples(args, dataset):
    if not args.augmented:
        return raw_samples(dataset, args.count, args.seed)
    transform = build_train_transform(args, dataset.ignore_label)
    transform.check_crop(dataset.sizes())
    return augmented_samples(TrainSet(dataset, transform, args.seed, log=print), args.count)


def _title(args):
    return f'{args.dataset}, {args.split}' + (
        f', as a training with seed {args.seed} sees it' if args.augmented else ''
    )


def _write_page(path, title, dataset, samples):
    """The page, and its files in a folder beside it."""
    folder = path.with_name(f'{path.stem}_pictures')
    remove_stale_temporaries(folder)
    records = [record(shown, dataset.classes, folder, number) for number, shown in enumerate(samples)]
    facts = {'images in all': f'{len(dataset):,}'}
    if any(shown.mark for shown in samples):
        facts['a cross'] = 'the place that a crop was drawn for'
    if dataset.labelled:
        facts['darker pixels'] = 'ignored'
    write_page(path, records, dataset.classes, title, facts, title='Samples')


def _write_picture(path, title, dataset, samples):
    cells = [(picture(shown, dataset.classes.colors, CELL), shown.name, shown.about) for shown in samples]
    write_png(path, contact_sheet(title, cells, dataset.classes))


if __name__ == '__main__':
    sys.exit(main())
