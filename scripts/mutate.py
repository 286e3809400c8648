#!/usr/bin/env python
"""Mutation tester: changes one place of a file at a time and sees whether the tests notice.

    python scripts/mutate.py loss/rmi.py --tests tests/loss/test_rmi.py
    python scripts/mutate.py network/mscale.py:fuse --tests tests/network/test_mscale.py --count 40 --minutes 5

Comparisons, arithmetic, `and`/`or`/`not`, numbers, truth values and the text of messages are changed, in a copy of the
checkout. Mutants on which no test fails are listed: each is a gap in the tests, or a change without effect.
"""

import ast
import contextlib
import io
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402
import torch  # noqa: E402, F401  (imported once here, so that no mutant's process has to)

from utils.cli.parser import Parser  # noqa: E402
from utils.cli.program import run_program  # noqa: E402
from utils.cli.wording import counted  # noqa: E402
from utils.settings.value_types import amount, count, positive  # noqa: E402

PAIRS = [(ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn)]
COMPARISONS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
PAIRS = [(ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.BitAnd, ast.BitOr)]
ARITHMETIC = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
ARITHMETIC |= dict.fromkeys((ast.FloorDiv, ast.Mod, ast.Pow), ast.Mult)


@dataclass(frozen=True)
class Mutant:
    """A changed file: the line of the change, the words for it, and the whole text."""

    line: int
    change: str
    text: str


def mutants(source: str, function: str | None = None) -> list[Mutant]:
    """Every mutant of a file, or of one function or class in it; ValueError where that is not there."""
    inside, found = _lines(source, function), []
    for place, original in enumerate(ast.walk(ast.parse(source))):
        for field, value in _changes(original):
            tree = ast.parse(source)
            node = list(ast.walk(tree))[place]
            if node.lineno in inside and not _is_skipped(tree, node):
                before = ast.unparse(node)
                setattr(node, field, value)
                found.append(Mutant(node.lineno, f'{before} -> {ast.unparse(node)}', ast.unparse(tree)))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.change))


def _lines(source, function):
    if function is None:
        return range(1, source.count('\n') + 2)
    for node in ast.walk(ast.parse(source)):
        if getattr(node, 'name', None) == function and hasattr(node, 'lineno'):
            return range(node.lineno, node.end_lineno + 1)
    raise ValueError(f'{function}: there is no such function or class in the file; give FILE:NAME with another name')


def _changes(node) -> list[tuple[str, Any]]:
    """(field, other value) for each way to change a node."""
    match node:
        case ast.Compare(ops=[first, *rest]) if type(first) in COMPARISONS:
            return [('ops', [COMPARISONS[type(first)](), *rest])]
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            return [('op', ARITHMETIC[type(op)]())]
        case ast.BoolOp(op=op):
            return [('op', ast.Or() if isinstance(op, ast.And) else ast.And())]
        case ast.UnaryOp(op=ast.Not()):
            return [('operand', ast.UnaryOp(ast.Not(), node.operand))]
        case ast.UnaryOp(op=ast.USub()):
            return [('op', ast.UAdd())]
        case ast.Constant(value=bool(value)):
            return [('value', not value)]
        case ast.Constant(value=int(value)):
            return [('value', value + 1), ('value', value - 1)]
        case ast.Constant(value=float(value)):
            return [('value', 2 * value if value else 1.0)]
        case ast.Constant(value=str(value)) if ' ' in value.strip():
            return [('value', '')]
    return []


def _is_skipped(tree, node) -> bool:
    """Whether a change there has no effect: docstrings, annotations."""
    for parent in ast.walk(tree):
        if isinstance(parent, ast.Expr) and parent.value is node:
            return True
        for hint in (getattr(parent, 'annotation', None), getattr(parent, 'returns', None)):
            if hint is not None and any(child is node for child in ast.walk(hint)):
                return True
    return False


def draw(every: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """At most `count` of them, in random order."""
    return random.Random(seed).sample(every, min(count, len(every)))


def copy_of_checkout(folder: Path) -> Path:
    """The files that git knows, and new ones that it does not ignore, below `folder`."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z']
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split('\0')):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run_tests(folder: Path, tests: list[str]):
    """Run pytest in the copy; ends this process with its exit code."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, '__file__', None) or '').startswith(f'{ROOT}{os.sep}') and name != '__main__':
            del sys.modules[name]
    sys.path[:] = [
        str(folder),
        *(path for path in sys.path if Path(path or '.').resolve() not in (ROOT, ROOT / 'scripts')),
    ]
    sys.dont_write_bytecode = True
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main(['-x', '-q', '-p', 'no:cacheprovider', *tests])
    os._exit(int(code))


def outcome(folder: Path, tests: list[str], timeout: float) -> int | None:
    """pytest's exit code, None when it takes longer than `timeout` seconds."""
    process = multiprocessing.get_context('fork').Process(target=run_tests, args=(folder, tests))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def parse_args(argv):
    parser = Parser(prog='mutate.py', description=__doc__.splitlines()[0])
    parser.add_argument('files', metavar='FILE[:NAME]', nargs='+', help='what to change; NAME: one function or class')
    parser.add_argument('--tests', nargs='+', required=True, metavar='TEST', help='what pytest runs for each mutant')
    parser.add_argument('--count', type=positive, default=50, metavar='N', help='mutants of each file, drawn')
    parser.add_argument('--minutes', type=amount, default=10, metavar='M', help='start no mutant after so long')
    parser.add_argument('--seed', type=count, default=0, metavar='N', help='of the draw')
    return parser.parse_all(argv)


def examine(args) -> list[str]:
    """A Markdown table of the files, then the survivors, as lines."""
    table, lists, start = ['| file | mutants | killed | survived |', '|---|---:|---:|---:|'], [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = copy_of_checkout(Path(folder).resolve())
        begin = time.monotonic()
        code = outcome(folder, args.tests, 600)
        if code != 0:
            raise ValueError(
                f'--tests {" ".join(args.tests)}: pytest ends with {code} without any change; mend that first'
            )
        timeout = 10 + 3 * (time.monotonic() - begin)
        for wanted in args.files:
            name, _, function = wanted.partition(':')
            source = (folder / name).read_text(encoding='utf-8')
            every, survivors, tried = mutants(source, function or None), [], 0
            for mutant in draw(every, args.count, args.seed):
                if time.monotonic() - start > 60 * args.minutes:
                    break
                (folder / name).write_text(mutant.text, encoding='utf-8')
                tried += 1
                if outcome(folder, args.tests, timeout) == 0:
                    survivors.append(mutant)
                    print(f'{name}:{mutant.line}: {mutant.change}', file=sys.stderr, flush=True)
            (folder / name).write_text(source, encoding='utf-8')
            table.append(f'| `{wanted}` | {tried} of {len(every)} | {tried - len(survivors)} | {len(survivors)} |')
            survivors.sort(key=lambda mutant: mutant.line)
            lists += [f'* {name}:{mutant.line}: `{" ".join(mutant.change.split())}`' for mutant in survivors]
    return [*table, '', f'{counted(len(lists), "survivor")}:' if lists else 'No survivors.', *lists]


def main(argv=None) -> int:
    return run_program('mutate.py', lambda arguments: print('\n'.join(examine(parse_args(arguments)))), argv)


if __name__ == '__main__':
    sys.exit(main())
