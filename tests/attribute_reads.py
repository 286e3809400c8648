"""Reads of flags and of keys of cfg in Python code, resolved from its syntax tree, so that a name counts as itself
alone: not as a part of a longer one, nor as a word in a text or comment.

A flag is read as `args.NAME`, `getattr(args, 'NAME')`, `getattr(args, kind.key)` where class attributes `key` hold
names, where '--NAME' is looked for in a command line, or by a loss that is registered with it, `@register('loss',
argument='NAME')`. A key is read as `cfg.A.B`, through a local name for a section (`settings = cfg.A`, `options =
options or cfg.A`), or by a subscript: `cfg.A['B']`, or `cfg.A[self.key]` where a class attribute `key` holds the name.
"""

import ast
from collections import defaultdict


class Reads:
    """Flags and keys that some modules read, and the lines that write to `args`."""

    def __init__(self, sources, handed_on=()):
        """sources: the text of each module by name; handed_on: the section of cfg that arguments of a name hold."""
        self.flags, self.keys, self.writes = set(), set(), []
        self.handed_on = dict(handed_on)
        trees = {name: ast.parse(text) for name, text in sources.items()}
        self.attributes = defaultdict(set)  # class attribute -> the texts that classes have in it
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self._collect_attributes(node)
        for name, tree in trees.items():
            self._read_scope(tree, {}, name)

    def _collect_attributes(self, node):
        for statement in node.body:
            if isinstance(statement, (ast.Assign, ast.AnnAssign)) and isinstance(statement.value, ast.Constant):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    self.attributes[target.id].add(statement.value.value)

    def _read_scope(self, scope, outer, module):
        """Read one function or module, whose local names for sections are added to those around it."""
        names, inner = dict(outer), []
        nodes = list(ast.iter_child_nodes(scope))
        while nodes:
            node = nodes.pop(0)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                inner.append(node)
                continue
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._bind(target, node.value, names)
            self._read(node, names, module)
            nodes[:0] = ast.iter_child_nodes(node)
        for function in inner:
            self._read_scope(function, names, module)

    def _bind(self, target, value, names):
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for pair in zip(target.elts, value.elts):
                self._bind(*pair, names)
        elif isinstance(target, ast.Name):
            names[target.id] = self._paths(value, names)

    def _read(self, node, names, module):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'args':
            if isinstance(node.ctx, ast.Load):
                self.flags.add(node.attr)
            else:
                self.writes.append(f'{module}:{node.lineno}')
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            of_args = isinstance(node.args[0], ast.Name) and node.args[0].id == 'args'
            if of_args and node.func.id == 'getattr' and isinstance(node.args[1], ast.Constant):
                self.flags.add(node.args[1].value)
            if of_args and node.func.id == 'getattr' and isinstance(node.args[1], ast.Attribute):
                self.flags |= self.attributes[node.args[1].attr]
            if of_args and node.func.id == 'setattr':
                self.writes.append(f'{module}:{node.lineno}')
            if module.startswith('loss/') and node.func.id == 'register':
                self.flags |= {keyword.value.value for keyword in node.keywords}
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            self.flags |= {word[2:] for word in (str(node.left.value),) if word.startswith('--')}
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Load):
            self.keys |= self._paths(node, names)

    def _paths(self, node, names):
        """The paths below cfg that an expression may stand for; of cfg itself ''."""
        if isinstance(node, ast.Name):
            handed = {self.handed_on[node.id]} if node.id in self.handed_on else set()
            return {''} if node.id == 'cfg' else names.get(node.id) or handed
        if isinstance(node, ast.BoolOp):
            return set().union(*(self._paths(value, names) for value in node.values))
        if isinstance(node, ast.IfExp):
            return self._paths(node.body, names) | self._paths(node.orelse, names)
        if isinstance(node, ast.Attribute):
            if node.attr == 'cfg' and isinstance(node.value, ast.Name) and node.value.id == 'config':
                return {''}
            if node.attr in self.handed_on:
                return {self.handed_on[node.attr]}
            return self._below(self._paths(node.value, names), {node.attr})
        if isinstance(node, ast.Subscript):
            keys = {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
            if isinstance(node.slice, ast.Attribute):
                keys = self.attributes[node.slice.attr]
            return self._below(self._paths(node.value, names), keys)
        return set()

    @staticmethod
    def _below(paths, keys):
        return {f'{path}.{key}'.lstrip('.') for path in paths for key in keys}
