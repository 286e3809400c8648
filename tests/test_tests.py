"""Habits of the tests: every one can fail, no two modules share a name, and what is private stays unread."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TREES = {path.relative_to(TESTS).as_posix(): ast.parse(path.read_text('utf-8')) for path in TESTS.rglob('*.py')}
CHECKS = ('raises', 'warns', 'fail', 'exit')  # of pytest
PUBLIC = {
    '_replace',
    '_asdict',
    '_fields',
    '_make',
    '_exit',
}  # of named tuples and of os, public in spite of their name
# Private names that tests may use, each with the reason why a public way would say less.
ALLOWED = {
    '_actions': 'the flags of a parser, of which argparse has no public list',
    '_builders': 'a stand-in is registered for one test and gone after it',
    '_by_module': 'counts as torch reports them for a module outside of the network',
    '_device': 'a machine with several GPUs',
    '_facts': 'a stand-in is registered for one test and gone after it',
    '_first_size': 'where the shortcut applies; the results are the same with and without it',
    '_model_entrypoints': 'tiny vision transformers stand among those of timm for one test',
    '_normalised_together': 'a process group of three',
    '_rate': 'seconds that have passed',
    '_render_one': 'Ctrl-C in the middle of a rendering',
}


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def name_of(node) -> str:
    """The last name of a call's function: 'close' of close(...) and of module.close(...)."""
    return getattr(node.func, 'attr', getattr(node.func, 'id', ''))


def called(function) -> set[str]:
    return {name_of(node) for node in ast.walk(function) if isinstance(node, ast.Call)}


def known_in(tree) -> set[str]:
    """The names of the functions of a module and of what it imports."""
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    return imported.union(function.name for function in functions(tree))


def helpers_called(function, known: set[str]) -> set[str]:
    """The names of the functions in `known`, and of those in a module in `known`, that it calls."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {name_of(node) for node in calls if getattr(getattr(node.func, 'value', node.func), 'id', '') in known}


def states_something(function) -> bool:
    """Whether it has an assert, expects an error, or calls an assertion of NumPy or torch."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    return any(name in CHECKS or name.startswith('assert_') for name in called(function))


def silent_tests() -> list[str]:
    """'path: name' of the tests that state nothing, neither themselves nor by the helpers that they call."""
    every = []
    for path, tree in TREES.items():
        known = known_in(tree)
        every += [(path, one, states_something(one), helpers_called(one, known)) for one in functions(tree)]
    sure = {one.name for _, one, states, _ in every if states}
    while more := {one.name for _, one, _, helpers in every if helpers & sure} - sure:
        sure |= more
    return [
        f'{path}: {one.name}'
        for path, one, states, helpers in every
        if one.name.startswith('test_') and not states and not helpers & sure
    ]


def private_names(tree) -> set[str]:
    """Names with one leading underscore that are read of another object, imported, or patched by their text."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, 'id', '') not in ('self', 'cls'):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call) and name_of(node) in ('setattr', 'getattr', 'delattr'):
            names |= {str(part.value).rpartition('.')[2] for part in node.args if isinstance(part, ast.Constant)}
    return {name for name in names if re.match(r'_[A-Za-z]', name)} - PUBLIC


def test_every_test_can_fail():
    assert silent_tests() == [], 'these tests state nothing: add an assert'


def test_private_names_are_read_only_where_there_is_a_reason():
    used = {path: names for path, tree in TREES.items() if (names := private_names(tree))}
    strange = [f'{path}: {name}' for path, names in used.items() for name in sorted(names - set(ALLOWED))]
    assert strange == [], 'test what others can see, or add the name and the reason to ALLOWED'
    assert set(ALLOWED) <= set().union(*used.values()), 'a name that no test reads any more is taken out of ALLOWED'


def test_no_two_modules_share_a_name():
    names = Counter(Path(path).name for path in TREES)
    assert {name for name, count in names.items() if count > 1} <= {'conftest.py', '__init__.py'}


@pytest.mark.parametrize(
    'code, states',
    [
        ('def f():\n    run()', False),
        ('def f():\n    assert run()', True),
        ('def f():\n    with pytest.raises(ValueError):\n        run()', True),
        ('def f():\n    torch.testing.assert_close(a, b)', True),
        ('def f():\n    if (a == b).all(): pass', False),
    ],
)
def test_a_test_that_states_nothing_is_found(code, states):
    assert states_something(functions(ast.parse(code))[0]) is states


@pytest.mark.parametrize(
    'code, names',
    [
        ('net._size', {'_size'}),
        ('self._size + net.size + row._replace(a=1)', set()),
        ('from network.mscale import _size', {'_size'}),
        ("monkeypatch.setattr(Trainer, '_update', stop)", {'_update'}),
        ("monkeypatch.setattr('engine.trainer.Trainer._update', stop)", {'_update'}),
        ('net.__class__', set()),
    ],
)
def test_a_private_name_is_found(code, names):
    assert private_names(ast.parse(code)) == names
