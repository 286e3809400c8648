#!/usr/bin/env python
"""Mutation tester: changes one place of a file at a time and sees whether the tests notice.

    python scripts/mutate.py loss/rmi.py --tests tests/loss/test_rmi.py
    python scripts/mutate.py network/mscale.py:fuse --tests tests/network/test_mscale.py --count 40 --minutes 5

Comparisons, arithmetic, `and`/`or`/`not`, numbers, truth values and the text of messages are changed, in a copy of the
checkout. Mutants on which no test fails are listed: each is a gap in the tests, or a change without effect.
"""

import argparse
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

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402
import torch  # noqa: E402, F401  (imported once here, so that no mutant's process has to)

from utils.cli.program import run_program  # noqa: E402
from utils.cli.wording import counted  # noqa: E402

COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """A changed file: the line of the change, the words for it, and the whole text."""

    line: int
    change: str
    text: str


def mutants(source: str, function: str | None = None) -> list[Mutant]:
    """Every mutant of a file, or of one function or class in it; ValueError where that is not there."""
    places = [place for place, node in enumerate(ast.walk(ast.parse(source))) if _changed(node)]
    inside, found = _lines(source, function), []
    for place in places:
        for variant in range(2):
            tree = ast.parse(source)
            node = list(ast.walk(tree))[place]
            changes = _changed(node)
            if variant < len(changes) and node.lineno in inside and not _is_skipped(tree, node):
                before = ast.unparse(node)
                changes[variant]()
                found.append(Mutant(node.lineno, f'{before} -> {ast.unparse(node)}', ast.unparse(tree)))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.change))


def _lines(source, function):
    if function is None:
        return range(1, source.count('\n') + 2)
    for node in ast.walk(ast.parse(source)):
        if getattr(node, 'name', None) == function and hasattr(node, 'lineno'):
            return range(node.lineno, node.end_lineno + 1)
    raise ValueError(f'{function}: there is no such function or class in the file; give FILE:NAME with another name')


def _changed(node) -> list:
    """Calls that change a node in place, one for each way to change it."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        return [lambda: node.ops.__setitem__(0, COMPARISONS[type(node.ops[0])]())]
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
        return [lambda: setattr(node, 'op', ARITHMETIC[type(node.op)]())]
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        return [lambda: setattr(node, 'op', other())]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        # `not x` becomes `not not x`, -x becomes +x
        return [
            lambda: (
                setattr(node, 'operand', ast.UnaryOp(ast.Not(), node.operand))
                if isinstance(node.op, ast.Not)
                else setattr(node, 'op', ast.UAdd())
            )
        ]
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            return [lambda: setattr(node, 'value', not value)]
        if isinstance(value, int):
            return [lambda: setattr(node, 'value', value + 1), lambda: setattr(node, 'value', value - 1)]
        if isinstance(value, float):
            return [lambda: setattr(node, 'value', 2 * value if value else 1.0)]
        if isinstance(value, str) and ' ' in value.strip():
            return [lambda: setattr(node, 'value', '')]
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
    parser = argparse.ArgumentParser(prog='mutate.py', description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument('files', metavar='FILE[:NAME]', nargs='+', help='what to change; NAME: one function or class')
    parser.add_argument('--tests', nargs='+', required=True, metavar='TEST', help='what pytest runs for each mutant')
    parser.add_argument('--count', type=int, default=50, metavar='N', help='mutants of each file, drawn (default: 50)')
    parser.add_argument('--minutes', type=float, default=10, help='start no mutant after so long (default: 10)')
    parser.add_argument('--seed', type=int, default=0, help='of the draw (default: 0)')
    return parser.parse_args(argv)


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
