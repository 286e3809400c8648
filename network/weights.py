"""Published weight files and the networks they fit: the table `weights.tsv`, read by scripts/fetch_weights.sh too."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path

TABLE = Path(__file__).with_name('weights.tsv')
SOURCES = ('imagenet', 'paddle', 'mapillary', 'torchvision', 'timm', 'package')
PACKAGE = 'pip:'  # before the name of a Python package, in the place of a URL


@dataclass(frozen=True)
class WeightFile:
    """A row of the table: name below <assets>/seg_weights, or below the folder of installed packages where `url` names
    one; scope 'trunk', 'network' or 'snapshot' says what it fills."""

    name: str
    sources: tuple[str, ...]
    fits: tuple[str, ...]
    scope: str
    sha256: str
    url: str
    what: str

    def fits_network(self, arch: str, trunk: str | None) -> bool:
        return any(
            fnmatchcase(f'{arch}@{trunk}', pattern if '@' in pattern else f'*@{pattern}') for pattern in self.fits
        )


@cache
def weight_files() -> tuple[WeightFile, ...]:
    """Every row of the table, in its order, which is the order of preference."""
    rows = (line.split('\t') for line in TABLE.read_text(encoding='utf-8').splitlines() if not line.startswith('#'))
    return tuple(
        WeightFile(name, tuple(sources.split(',')), tuple(fits.split(',')), scope, sha256, url, what)
        for name, sources, fits, scope, sha256, url, what in rows
    )


def find_weights(source: str, arch: str, trunk: str | None, assets) -> tuple[Path, str]:
    """(path, scope) of the file that `--pretrained source` means: one of SOURCES for this network, or a path.

    Of several files that would do, the first that is there. Raises ValueError for a source that the network does not
    have, FileNotFoundError for a file that is not there.
    """
    if source not in SOURCES:
        path = Path(source)
        scopes = {Path(row.name).name: row.scope for row in weight_files() if '*' not in row.name}
        return path, 'network' if scopes.get(path.name, 'trunk') != 'trunk' else 'trunk'
    rows = _rows(source, arch, trunk)
    if source == 'package':
        return _in_package(rows[0]), rows[0].scope
    folder = Path(assets) / 'seg_weights'
    places = [(folder / name, row.scope) for row in rows for name in _names(row, trunk)]
    for path, scope in places:
        if path.exists():
            return path, scope
    name = places[0][0].relative_to(folder)
    raise FileNotFoundError(
        f'--pretrained {source}: {places[0][0]} is not there ({rows[0].what}); put it into {folder}, '
        f'or fetch it with: bash scripts/fetch_weights.sh {name}'
    )


def _in_package(row: WeightFile) -> Path:
    """The file that an installed Python package holds; FileNotFoundError with the command that installs it."""
    module, package = row.name.partition('/')[0], row.url.removeprefix(PACKAGE)
    found = find_spec(module)
    path = Path(found.origin).parents[1] / row.name if found and found.origin else None
    if path is None or not path.exists():
        raise FileNotFoundError(
            f'--pretrained package: the Python package {package} ({row.what}) is not installed; install it with:'
            f' pip install {package}'
        )
    return path


def _rows(source: str, arch: str, trunk: str | None) -> list[WeightFile]:
    fitting = [row for row in weight_files() if row.fits_network(arch, trunk)]
    rows = [row for row in fitting if source in row.sources]
    if not rows:
        has = [name for name in SOURCES if any(name in row.sources for row in fitting)]
        there = f'has {", ".join(has)}' if has else 'has none of them'
        network = f'{arch} on the trunk {trunk}' if trunk else arch
        raise ValueError(
            f'--pretrained {source}: {network} {there}; {"name one of these" if has else "leave the flag out"} or give'
            ' the path of a file'
        )
    return [row for row in rows if '@' in row.fits[0]] or rows


def _names(row: WeightFile, trunk: str | None) -> list[str]:
    """The file names of a row; for the row of any timm model, those of this trunk, with its default tag and as it
    is."""
    if '*' not in row.name:
        return [row.name]
    assert trunk, 'a file for any timm model fits trunks alone'
    model = trunk.removeprefix('timm/')
    models = [model] if '.' in model else [f'{model}{_default_tag(model)}', model]
    return [row.name.replace('*', name) for name in models] + [
        row.name.replace('*', name).replace('.safetensors', '.pth') for name in models
    ]


def _default_tag(model: str) -> str:
    """'.in12k_ft_in1k': the tag of the weights that timm takes for a model named without one, or ''."""
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(model, allow_unregistered=True)
    return f'.{config.tag}' if config and config.tag else ''
