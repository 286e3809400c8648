"""dumps.json: what the dumps of a result directory hold and what they were made with.

Dumps of two checkpoints, or of two sets of scales, must not mix in one folder because the second run found the files of
the first and skipped them. The manifest also says that `logits/` holds pre-softmax logits, and in which class order.
"""

import hashlib
import json
from pathlib import Path

from utils.files.atomic import write_json
from utils.outputs.names import AUTO_LABELS, LOGITS, SUBMISSION

_CONTENT = {
    LOGITS: {'files': 'logits/<name>_logits.*', 'kind': 'logits', 'layout': '(classes, height, width)'},
    SUBMISSION: {
        'files': 'submit/<name>_pred.png, submit/<name>_conf.png',
        'kind': 'label ids uint8, round(65535 p) uint16',
    },
    AUTO_LABELS: {'files': '<name>.png, <name>_prob.png', 'kind': 'label ids uint8, round(255 p) uint8'},
}


def digest(made_by, with_assets: bool) -> str:
    """Sixteen characters that name what pictures were made with, and which there are; '' when that is not known."""
    if made_by is None:
        return ''
    return hashlib.sha256(json.dumps([made_by, with_assets], sort_keys=True, default=str).encode()).hexdigest()[:16]


def claim_folders(options, info, result_dir, write=True):
    """Enter the dumps that `options` asks for into result_dir's manifest.

    Raises ValueError when the manifest says that the same dump was made with something else and is not overwritten.
    """
    path = Path(result_dir) / 'dumps.json'
    entries = _read(path)
    for kind in options.kinds():
        storage = options.storage._asdict() if kind == LOGITS else {}
        entry = {**_CONTENT[kind], **storage, 'classes': list(info.class_names), 'made_by': options.made_by}
        entry = json.loads(json.dumps(entry, default=str))
        before = entries.get(kind, entry)
        if before != entry and not options.overwrite:
            raise ValueError(
                f'{path}: the {kind} dump there was made with {_difference(before, entry)}; '
                'give another --result_dir, or --overwrite to write it again'
            )
        entries[kind] = entry
    if write and options.kinds():
        write_json(path, entries)


def _read(path) -> dict:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(
            f'{path}: is no JSON ({error}); remove it and the dumps beside it, or give another --result_dir'
        ) from error


def _difference(before: dict, now: dict) -> str:
    """The entries that differ, as `key a instead of b`."""
    before, now = ({**entry, **(entry.get('made_by') or {}), 'made_by': None} for entry in (before, now))
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ', '.join(f'{key} {before.get(key)!r} instead of {now.get(key)!r}' for key in keys) or 'other settings'
