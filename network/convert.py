"""Convert weight files between this project and others.

    python -m network.convert hmsa.pth converted.pth                           # any known format to this project's
    python -m network.convert best_checkpoint_ep174.pth ocr.pth --to upstream  # and the other way round
    python -m network.convert weights.pth weights.safetensors                  # the ending of OUT says the kind of file

The format of IN is recognised by its names. OUT loads with `train.py --snapshot OUT`, which takes the network's flags
from it; a trunk alone loads with `--pretrained OUT`. Exit code 2: nothing was written, one line says why.
"""

import argparse
import sys
from pathlib import Path

from network.conversion import Conversion, convert
from network.keys import FORMATS
from network.registry import ARCHS
from network.trunks import check_trunk
from utils import checkpoint
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import listed
from utils.files.atomic import write_json

SHOWN = 3


def build_parser():
    kinds = '; '.join(f'{form.name}: {form.what}' for form in FORMATS.values())
    parser = Parser(prog='python -m network.convert', description=f'Convert a weight file. Formats: {kinds}.')
    parser.add_argument('input', metavar='IN', help='a .pth or .safetensors file')
    parser.add_argument('output', metavar='OUT', help='the file to write, .pth or .safetensors')
    parser.add_argument('--to', default='project', choices=tuple(FORMATS), help='format to write')
    parser.add_argument(
        '--from', dest='source', choices=tuple(FORMATS), help='format of IN (default: recognised by its names)'
    )
    parser.add_argument(
        '--arch', metavar='NAME', help='network that it holds (default: what it says, or what its names tell)'
    )
    parser.add_argument('--trunk', metavar='NAME', help='its trunk (default: what it says, or what its shapes tell)')
    parser.add_argument(
        '--align_corners',
        type=_truth,
        metavar='true|false',
        help=(
            'how its network resizes (default: what it says; true for the OCR networks of upstream and framework, else'
            ' false)'
        ),
    )
    parser.add_argument('--report', metavar='FILE', help='write what became of every tensor as JSON')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT and the report if they are there')
    return parser


def _truth(text):
    if text not in ('true', 'false'):
        raise argparse.ArgumentTypeError(f'{text!r} is neither true nor false')
    return text == 'true'


def main(argv=None) -> int:
    """Run the program; returns its exit code."""
    return run_program('network.convert', convert_file, argv)


def convert_file(argv):
    args = build_parser().parse_all(argv)
    _check(args)
    try:
        result = convert(checkpoint.load(args.input), args.to, args.source, args.arch, args.trunk, args.align_corners)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith((str(args.input), '--')) else f'{args.input}: {text}') from error
    checkpoint.save(args.output, content(result))
    if args.report:
        write_json(args.report, report(result, args.input, args.output))
    print(summary(result, args.input, args.output))


def _check(args):
    """Raise ValueError or FileExistsError for flags that cannot be followed."""
    if args.arch:
        _ = ARCHS[args.arch]
    if args.trunk:
        check_trunk(args.trunk)
    if Path(args.output).suffix not in ('.pth', '.safetensors'):
        raise ValueError(f'{args.output}: what kind of file? End its name in .pth or .safetensors')
    if args.report and Path(args.report).resolve() == Path(args.output).resolve():
        raise ValueError(f'--report {args.report}: is OUT itself; give another name')
    for path in filter(None, (args.output, args.report)):
        if Path(path).resolve() == Path(args.input).resolve():
            raise ValueError(f'{path}: is the input itself; give another name')
        if Path(path).exists() and not args.overwrite:
            raise FileExistsError(f'{path}: is there already; give another name, or --overwrite to replace it')


def content(result: Conversion) -> dict:
    """What the file holds: in this project's format beside the weights what describes the network, else what the
    format's own program reads."""
    if result.target.name == 'project':
        about = {
            'arch': result.arch,
            'trunk': result.trunk,
            'num_classes': result.num_classes,
            'network': result.network if result.arch else None,
        }
        return {'state_dict': result.weights, **{key: value for key, value in about.items() if value is not None}}
    return {'state_dict': result.weights}


def report(result: Conversion, source, output) -> dict:
    """Everything that became of the tensors, for --report."""
    return {
        'input': str(source),
        'output': str(output),
        'from': result.source.name,
        'why': result.why,
        'to': result.target.name,
        'arch': result.arch,
        'trunk': result.trunk,
        'num_classes': result.num_classes,
        'network': result.network,
        'written': list(result.weights),
        'renamed': result.renamed,
        'filled': result.filled,
        'missing': result.missing,
        'dropped': result.dropped,
        'notes': result.notes,
    }


def summary(result: Conversion, source, output) -> str:
    """The same, for a person."""
    classes = f', {result.num_classes} classes' if result.num_classes else ''
    name = (
        f'{result.arch or "the trunk"} on {result.trunk}'
        if result.trunk and result.arch
        else result.arch or f'the trunk {result.trunk}'
    )
    lines = [
        f'{source}: {result.source.what} ({result.why})',
        f'holds {name}{classes}'
        + (f', align_corners {str(result.network["align_corners"]).lower()}' if result.arch else ''),
        f'{len(result.weights) - len(result.filled)} tensors taken over',
    ]
    groups = {
        'of them renamed': [f'{old} -> {new}' for old, new in result.renamed],
        'filled in, which the file leaves out': result.filled,
        'missing in the file': result.missing,
        'dropped': result.dropped,
    }
    lines += [f'{len(names)} {what}: {listed(names, SHOWN)}' for what, names in groups.items() if names]
    return '\n'.join([*lines, *result.notes, f'written: {output}'])


if __name__ == '__main__':
    sys.exit(main())
