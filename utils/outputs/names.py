"""Where the files of an evaluated image go, below the result directory.

`<rel>` is the image's name relative to its data set, folders kept, extension dropped:

    logits/<rel>_logits.npz (or .npy, .npy.zst)                 --dump_logits, --logits_format submit/<rel>_pred.png,
    submit/<rel>_conf.png                --dump_for_submission <rel>.png, <rel>_prob.png
    --dump_for_auto_labelling, as the coarse reader wants them best_images/<rel>_<layer>.png,
    best_images/<folder>/composited_<stem>.png, best_images/<rel>.json       pictures
"""

from pathlib import Path, PurePosixPath

from utils.files.atomic import remove_temporaries

LOGITS, SUBMISSION, AUTO_LABELS, PICTURES = 'logits', 'submission', 'auto_labels', 'pictures'
LAYERS = ('input', 'gt', 'prediction', 'err_mask', 'prob_mask')


class DumpNames:
    """Maps image names to output paths below `result_dir`; logits end in `logits_suffix`."""

    def __init__(self, result_dir, logits_suffix='_logits.npz'):
        self.result_dir, self.logits_suffix = Path(result_dir), logits_suffix
        self.pictures = self.result_dir / 'best_images'

    def dumped(self, kind: str, name: str) -> tuple:
        """The files of a dump: LOGITS one, SUBMISSION (ids, confidence), AUTO_LABELS (ids, probability)."""
        if kind == LOGITS:
            return (_beside(self.result_dir / 'logits', name, self.logits_suffix),)
        if kind == SUBMISSION:
            return tuple(_beside(self.result_dir / 'submit', name, suffix) for suffix in ('_pred.png', '_conf.png'))
        assert kind == AUTO_LABELS, kind
        return tuple(_beside(self.result_dir, name, suffix) for suffix in ('.png', '_prob.png'))

    def layer(self, name: str, key: str) -> Path:
        return _beside(self.pictures, name, f'_{key}.png')

    def composite(self, name: str) -> Path:
        stem = _beside(self.pictures, name, '.png')
        return stem.with_name(f'composited_{stem.name}')

    def record(self, name: str) -> Path:
        """The page's record of the image; written last, so where it stands the pictures stand."""
        return _beside(self.pictures, name, '.json')

    def all_of(self, kind: str, name: str) -> list:
        """Every file of `kind` whose name does not depend on the network."""
        if kind == PICTURES:
            return [self.record(name), self.composite(name), *(self.layer(name, key) for key in LAYERS)]
        return list(self.dumped(kind, name))


def _beside(folder: Path, name: str, suffix: str) -> Path:
    relative = PurePosixPath(name)
    return folder / relative.parent / (relative.stem + suffix)


def check_names(names, kinds, result_dir='.', inputs=()):
    """Raise ValueError when a name leads out of the result directory, when two images would be written to one file, or
    when one would be written over one of `inputs`, the paths of images and labels."""
    outputs, owner = DumpNames(result_dir), {}
    inputs = {Path(path).resolve() for path in inputs}
    for name in names:
        relative = PurePosixPath(name)
        if relative.is_absolute() or '..' in relative.parts or not relative.name:
            raise ValueError(
                f'{name}: an image to be dumped needs a name relative to its data set, without ".."; move it below the'
                ' data set root'
            )
        for kind in kinds:
            for path in outputs.all_of(kind, name):
                if inputs and path.resolve() in inputs:
                    raise ValueError(
                        f'--result_dir {result_dir}: {path} of {name} would replace an image or label of the data set;'
                        ' give another --result_dir'
                    )
                other = owner.setdefault(path, name)
                if other != name:
                    raise ValueError(
                        f'{other} and {name}: both would be written to {path} (extensions are dropped); rename one of'
                        ' them'
                    )


def remove_stale_temporaries(result_dir):
    """Remove what killed writers left in the folders below result_dir; returns the number of files."""
    folders = [
        folder
        for entry in Path(result_dir).glob('*')
        if entry.is_dir()
        for folder in (entry, *entry.rglob('*'))
        if folder.is_dir()
    ]
    return sum(len(remove_temporaries(folder)) for folder in folders)
