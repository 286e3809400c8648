"""logits/manifest.json: what a folder of logits holds, so that it can be fused, checked and trusted without its makers.

It names the model and the hash of its weights, the dataset and its classes in order, the kind of the numbers, the
scales and flips behind them, how they are stored, and of every image the file, its bytes and SHA-256, and both sizes.
"""

import json
from pathlib import Path, PurePosixPath

from utils.files.atomic import sha256, write_json
from utils.outputs.logits import FORMATS, Storage, read_logits

NAME, FORMAT = 'manifest.json', 1


def describe(path: Path, size, shape) -> dict:
    """The entry of a file that was just written: an image of `size` (H, W), an array of `shape` (C, h, w)."""
    return {'bytes': path.stat().st_size, 'sha256': sha256(path), 'size': list(size), 'shape': list(shape)}


def describe_file(path: Path) -> dict:
    """The same for a file whose content is not known; ValueError when it is damaged."""
    logits = read_logits(path)
    return describe(path, logits.size, tuple(logits.values.shape))


def read(folder) -> dict | None:
    """The manifest in `folder`, None without one; ValueError naming a file that is no manifest."""
    path = Path(folder) / NAME
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(f'{path}: is no JSON ({error}); remove it, or dump the logits again') from None
    if not isinstance(content, dict) or content.get('format') != FORMAT or not isinstance(content.get('images'), dict):
        raise ValueError(f'{path}: is no manifest of logits in format {FORMAT}; remove it, or dump the logits again')
    for key, (is_right, form) in _FIELDS.items():
        if content.get(key) is not None and not is_right(content[key]):
            raise ValueError(
                f'{path}: its {key} is {content[key]!r:.60}, expected {form}; correct it, or dump the logits again'
            )
    owner = {}
    for name, entry in content['images'].items():
        if not _is_entry(entry):
            raise ValueError(
                f'{path}: its entry of {name!r} names no file below the folder with its bytes, sha256, size and shape;'
                ' dump the logits again'
            )
        other = owner.setdefault(_stem(entry['file']), name)
        if other != name:
            raise ValueError(
                f'{path}: {other!r} and {name!r} have the same logits, {_stem(entry["file"])} (folders count, endings'
                ' do not); rename one of the images and dump the logits again'
            )
    return content


def _is_entry(entry) -> bool:
    file = PurePosixPath(str(entry.get('file', '/'))) if isinstance(entry, dict) else PurePosixPath('/')
    below = file.name.endswith(tuple(FORMATS.values())) and not file.is_absolute() and '..' not in file.parts
    return (
        below
        and _is_count(entry.get('bytes'))
        and _is_text(entry.get('sha256'))
        and _are_counts(entry.get('size'), 2)
        and _are_counts(entry.get('shape'), 3)
    )


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_counts(values, length: int) -> bool:
    return isinstance(values, list) and len(values) == length and all(map(_is_count, values))


def _is_text(value) -> bool:
    return isinstance(value, str)


def _are_names(values) -> bool:
    return isinstance(values, list) and all(map(_is_text, values))


def _stem(file: str) -> str:
    """The path of an image without what logits end in: by this readers know it."""
    return next(file.removesuffix(suffix) for suffix in FORMATS.values() if file.endswith(suffix))


# What a manifest says of all its images -> (check of the value, what it should be). All may be absent.
_FIELDS = {
    'class_names': (_are_names, 'a list of names'),
    'num_classes': (_is_count, 'a whole number'),
    **dict.fromkeys(('kind', 'model', 'weights_sha256', 'dataset'), (_is_text, 'text')),
}


def read_entries(folder) -> dict:
    """name -> entry of the manifest in `folder`, empty without one."""
    return (read(folder) or {'images': {}})['images']


def write(folder, entries: dict, names, info, storage: Storage, about: dict) -> Path:
    """Write the manifest for the images `names` -> file, as far as they have an entry; returns its path.

    entries: name -> describe(); names: name -> path of the file below `folder`; about: what the logits were made with.
    """
    images = {name: {'file': path, **entries[name]} for name, path in names.items() if entries.get(name)}
    content = {
        'format': FORMAT,
        'kind': 'logits',
        **about,
        'dataset': info.name,
        'class_names': list(info.class_names),
        'num_classes': len(info.class_names),
        'storage': storage._asdict(),
        'images': images,
    }
    write_json(Path(folder) / NAME, content)
    return Path(folder) / NAME
