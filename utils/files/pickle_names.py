"""Names of classes and functions in the pickles of a checkpoint from before torch 1.6, which is no zip archive.

Such a file is five pickles, of a magic number, a version, the system, the content and the keys of the storages, then
the bytes of the storages. Nothing of it is run.
"""

import io
import pickletools

PEEK = 1 << 24  # bytes of a file that are looked at
CONTENT = 3  # place of the content among the pickles
ALWAYS_READ = ('torch', 'collections')  # packages whose names a weights-only load takes or refuses by itself


def foreign_names(path) -> set[str]:
    """The names in the content that are neither torch's nor those of plain containers.

    Empty for files of another kind, and where the content does not end within the first PEEK bytes.
    """
    with open(path, 'rb') as file:
        data = io.BytesIO(file.read(PEEK))
    names: set[str] = set()
    try:
        for place in range(CONTENT + 1):
            for code, value, _ in pickletools.genops(data):
                if place == CONTENT and code.name == 'GLOBAL':
                    names.add(value.replace(' ', '.', 1))
                elif place == CONTENT and code.name == 'STACK_GLOBAL':
                    return set()  # of protocol 4 and 5, which a weights-only load does not read
    except (ValueError, IndexError):
        return set()
    return {name for name in names if name.partition('.')[0] not in ALWAYS_READ}
