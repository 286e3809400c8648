"""Faults of files given as checkpoints: what shows from the outside, and what a refused pickle holds."""

import io
import pickletools
import re
import zipfile
import zlib
from pathlib import Path

from utils.files.safetensors_file import is_safetensors

PEEK = 1 << 24  # bytes of a refused pickle that are looked at for the name of its code
# How much larger than the file what it unpacks to may be: torch.save packs nothing, and weights hardly shrink.
MOST_UNPACKED, FILE_SLACK = 4, 1 << 20


def check_outside(path: Path):
    """Raise for faults that show from the outside, with clearer words than torch has for them."""
    if not path.exists():
        others = sorted(file.name for file in path.parent.glob('*.pth'))
        there = (
            f'found {", ".join(others[:3])}{" ..." if len(others) > 3 else ""} in that folder'
            if others
            else 'that folder holds no .pth file'
        )
        raise FileNotFoundError(
            f'{path}: no such checkpoint, {there}; give the path of one (bash scripts/fetch_weights.sh lists the'
            ' published ones)'
        )
    if path.is_dir():
        raise ValueError(
            f'{path}: is a folder, expected a checkpoint file; name a file in it, such as last_checkpoint_ep0.pth'
        )
    with open(path, 'rb') as file:
        head = file.read(512)
    if not head:
        raise ValueError(f'{path}: is empty, expected a checkpoint; copy or download it again, or name an earlier one')
    if head.startswith(b'version https://git-lfs'):
        raise ValueError(f'{path}: is a Git LFS pointer, not the checkpoint itself; run git lfs pull')
    if head.lstrip()[:1] == b'<':
        raise ValueError(
            f'{path}: is a web page, not a checkpoint; download it again, with a link that needs no log-in or'
            ' confirmation'
        )
    if head.startswith(b'PK'):
        _check_sums(path)
    # a zip archive, or a pickle in the format before torch 1.6
    elif not head.startswith(b'\x80') and not is_safetensors(path):
        raise ValueError(
            f'{path}: is not a PyTorch checkpoint (it starts with {head[:8]!r}); give a file written by torch.save'
        )


def _check_sums(path: Path):
    """torch.load skips the checksums of a zip archive, and an altered byte is a wrong weight."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
            if unpacked > MOST_UNPACKED * size + FILE_SLACK:
                raise ValueError(f'its {size:,} bytes would unpack to {unpacked:,}')
            altered = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error, OSError) as error:
        if is_of_disk(error):
            raise
        cut = str(error) == 'File is not a zip file'  # the table of contents at its end is missing
        told = f'cut off after {path.stat().st_size:,} bytes' if cut else f'damaged ({first_line(error)})'
        raise ValueError(f'{path}: is {told}; copy or download it again') from None
    if altered:
        raise ValueError(f'{path}: is damaged (wrong checksum of its part {altered}); copy or download it again')


def why_refused(path: Path, message: str) -> str:
    found = re.search(r'GLOBAL (\S+)', message)
    protocol, code = (None, found.group(1)) if found else _newer_pickle(path)
    if code:
        return (
            f'holds code ({code}) beside weights and was refused, nothing of it was run; if you trust where'
            " it comes from, re-save its weights alone: torch.save({'state_dict': m.state_dict() if hasattr(m :="
            " torch.load(FILE, weights_only=False), 'state_dict') else m.get('state_dict', m.get('model'))}, NEW)"
        )
    if protocol is not None and not first_line(message):
        return (
            f'is a pickle of protocol {protocol}, of which weights alone cannot be read; save it again with protocol 2:'
            ' torch.save(torch.load(FILE, weights_only=False), NEW), if you trust where it comes from'
        )
    return f'is damaged, or holds more than weights and plain values ({first_line(message)}); copy or download it again'


def _newer_pickle(path: Path) -> tuple[int | None, str]:
    """(protocol, name) of the first thing in a pickle of protocol 4 and 5 that is neither torch's nor a plain value.

    Nothing is run. (None, '') for other files; '' without such a name.
    """
    protocol, words, memo, last = None, ['', ''], [], None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                [member] = [name for name in archive.namelist() if name.endswith('data.pkl')]
                with archive.open(member) as file:
                    data = io.BytesIO(file.read(PEEK))
        else:
            with open(path, 'rb') as file:
                data = io.BytesIO(file.read(PEEK))
        while True:  # older files are several pickles one after another; the end of the data is a ValueError
            for code, value, _ in pickletools.genops(data):
                if code.name == 'PROTO':
                    protocol, memo = value, []
                elif code.name == 'MEMOIZE':
                    memo.append(last)
                elif code.name == 'STACK_GLOBAL' and words[0].partition('.')[0] not in ('torch', 'collections'):
                    return protocol, '.'.join(words)
                if code.name in ('BINGET', 'LONG_BINGET'):
                    value = memo[value]
                last = value if isinstance(value, str) else None if code.name != 'MEMOIZE' else last
                words = [words[1], value] if isinstance(value, str) else words
    except (ValueError, OSError, EOFError, IndexError, zipfile.BadZipFile, RuntimeError, zlib.error):
        pass
    return (protocol, '') if protocol is not None and protocol > 2 else (None, '')


def is_of_disk(error: Exception) -> bool:
    """Whether a file could not be read at all; an OSError without its name is a seek to where a damaged one has
    nothing."""
    return isinstance(error, OSError) and error.filename is not None


def first_line(error) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = [line.split('WeightsUnpickler error:')[-1].strip() for line in lines if 'WeightsUnpickler error:' in line]
    return (told or lines)[0][:200]
