"""Comments of the keys of a config, found in the code that makes it.

``get_config`` is read, not executed: dicts, keywords and the functions that they are handed to are
followed to the keys that they become. A comment belongs to the key that it stands beside (the last
one that begins on the line) or above (the first one).
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_WRAPPERS = ("dict", "ConfigDict", "FrozenConfigDict")  # of a dict of keys
_SAME_KEYS = ("lock", "unlock", "copy", "copy_and_resolve_references")  # methods of a config
_DEEPEST = 12  # calls within calls


@dataclass(frozen=True, eq=False)
class _File:
    """The text of a file and its comments."""

    text: str

    @cached_property
    def lines(self) -> list[str]:
        """Every line."""
        return self.text.splitlines()

    @cached_property
    def comments(self) -> dict[int, str]:
        """The comment of each line that has one, from 1."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}

    @cached_property
    def functions(self) -> dict[int, ast.FunctionDef]:
        """Every function of the file by its first line, decorators included."""
        nodes = [n for n in ast.walk(ast.parse(self.text)) if isinstance(n, ast.FunctionDef)]
        return {min([n.lineno, *(d.lineno for d in n.decorator_list)]): n for n in nodes}

    @cached_property
    def starts(self) -> dict[int, list[int]]:
        """The columns at which keys begin, by line."""
        found: dict[int, list[int]] = {}
        for node in ast.walk(ast.parse(self.text)):
            keys: Sequence[ast.expr | ast.keyword | None] = ()
            if isinstance(node, ast.Dict):
                keys = node.keys
            elif isinstance(node, ast.Call):
                keys = node.keywords
            for key in filter(None, keys):
                found.setdefault(key.lineno, []).append(key.col_offset)
        return found

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """Every class of the file by its name."""
        return {n.name: n for n in ast.walk(ast.parse(self.text)) if isinstance(n, ast.ClassDef)}

    def comment(self, start: ast.expr | ast.keyword | ast.stmt, end: ast.expr | ast.stmt) -> str:
        """Return the comment beside the end of an entry, beside its start, or above it."""
        first, column, last = start.lineno, start.col_offset, end.end_lineno or start.lineno
        begun = self.starts.get(first, [column])
        beside = [last] if last not in self.starts else []
        beside += [first] if column == max(begun) else []
        for line in beside:
            if line in self.comments and not self._alone(line):
                return self.comments[line]
        above: list[str] = []
        line = first - 1
        while column == min(begun) and line in self.comments and self._alone(line):
            above.insert(0, self.comments[line])
            line -= 1
        return " ".join(above)

    def _alone(self, line: int) -> bool:
        return self.lines[line - 1].lstrip().startswith("#")


@dataclass(frozen=True, eq=False)
class _Scope:
    """A call of a function whose code is read."""

    file: _File
    node: ast.FunctionDef
    names: Mapping[str, Any]  # the globals of its file
    arguments: Mapping[str, _Given] = field(default_factory=dict)
    docs: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    followed: set[tuple[str, str]] = field(default_factory=set)  # local names, with prefixes

    @cached_property
    def assigned(self) -> dict[str, list[ast.expr]]:
        """The expressions that are assigned to each local name."""
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.node):
            targets: Sequence[ast.expr] = ()
            value: ast.expr | None = None
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, ast.AnnAssign | ast.AugAssign):
                targets, value = (node.target,), node.value
            for target in targets:
                if isinstance(target, ast.Name) and value is not None:
                    found.setdefault(target.id, []).append(value)
        return found


@dataclass(frozen=True, eq=False)
class _Given:
    """An argument of a call: its expression where it is written, and the comment there."""

    value: ast.expr
    scope: _Scope
    comment: str


class Reader:
    """Reads the comments and documented arguments of a config's keys.

    Args:
        texts: by path, of files that may differ from what lies there now.
        docs: (function) -> descriptions of the keys that it makes, by name.

    ``comments`` and ``documented`` are by dotted key.
    """

    def __init__(
        self, texts: Mapping[str, str], docs: Callable[[Callable[..., object]], Mapping[str, str]]
    ):
        self._files = {path: _File(text) for path, text in texts.items()}
        self._docs = docs
        self.comments: dict[str, str] = {}
        self.documented: dict[str, str] = {}

    def read(self, function: Callable[..., object]) -> None:
        """Read a function that returns a config."""
        if scope := self._scope(function):
            self._returned(scope, "")

    def fields(self, cls: type) -> dict[str, str]:
        """Return the comments of a class's fields, by name: its own before its bases'."""
        found: dict[str, str] = {}
        for base in cls.__mro__:
            path = getattr(sys.modules.get(base.__module__), "__file__", None)
            file = self._file(path) if path else None
            node = None if file is None else file.classes.get(base.__name__)
            if file is None or node is None:
                continue
            for line in node.body:
                match line:
                    case ast.AnnAssign(target=ast.Name(id=name)):
                        if comment := file.comment(line, line):
                            found.setdefault(name, comment)
        return found

    # ---- functions ----

    def _scope(self, function: Callable[..., object], depth: int = 0) -> _Scope | None:
        function = inspect.unwrap(getattr(function, "__func__", function))
        code = getattr(function, "__code__", None)
        if code is None or depth > _DEEPEST:
            return None
        file = self._file(code.co_filename)
        node = None if file is None else file.functions.get(code.co_firstlineno)
        if file is None or node is None:
            return None
        docs = self._docs(function)
        return _Scope(file, node, getattr(function, "__globals__", {}), {}, docs, depth)

    def _file(self, path: str) -> _File | None:
        if path not in self._files:
            try:
                self._files[path] = _File(Path(path).read_text(encoding="utf-8"))
            except (OSError, ValueError):  # no file, such as "<stdin>"
                return None
        return self._files[path]

    def _returned(self, scope: _Scope, prefix: str) -> None:
        """Read what a function returns, and what it sets on a local config."""
        for node in _own_nodes(scope.node):
            if isinstance(node, ast.Return) and node.value is not None:
                self._value(node.value, scope, prefix)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if key := _set_key(target):
                        self._entry(key, node, node.value, scope, prefix)

    # ---- values ----

    def _value(self, node: ast.expr, scope: _Scope, prefix: str) -> None:
        """Read an expression that yields a config or a group of one."""
        match node:
            case ast.Dict():
                for key, value in zip(node.keys, node.values, strict=True):
                    if key is None:
                        self._value(value, scope, prefix)
                    elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                        self._entry(key.value, key, value, scope, prefix)
            case ast.BinOp(op=ast.BitOr()):
                self._value(node.left, scope, prefix)
                self._value(node.right, scope, prefix)
            case ast.IfExp():
                self._value(node.body, scope, prefix)
                self._value(node.orelse, scope, prefix)
            case ast.Name() if node.id in scope.arguments:
                given = scope.arguments[node.id]
                self._value(given.value, given.scope, prefix)
            case ast.Name() if (node.id, prefix) not in scope.followed:
                scope.followed.add((node.id, prefix))  # its value may be made of itself
                for value in scope.assigned.get(node.id, ()):
                    self._value(value, scope, prefix)
            case ast.Call():
                self._call(node, scope, prefix)

    def _call(self, node: ast.Call, scope: _Scope, prefix: str) -> None:
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in _SAME_KEYS:
            self._value(called.value, scope, prefix)
            return
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        function = None if name in _WRAPPERS else _resolve(called, scope.names)
        inner = None if function is None else self._scope(function, scope.depth + 1)
        if inner is None:
            for argument in node.args:
                self._value(argument, scope, prefix)
            for keyword in node.keywords:
                self._keyword(keyword, scope, prefix)
            return
        parameters = inner.node.args
        positional = [p.arg for p in (*parameters.posonlyargs, *parameters.args)]
        if positional[:1] in (["self"], ["cls"]):
            del positional[0]
        given = {
            name: _Given(value, scope, scope.file.comment(value, value))
            for name, value in zip(positional, node.args, strict=False)
        }
        named = {*positional, *(p.arg for p in parameters.kwonlyargs)}
        rest: list[ast.keyword] = []
        for keyword in node.keywords:
            if keyword.arg in named:
                comment = scope.file.comment(keyword, keyword.value)
                given[str(keyword.arg)] = _Given(keyword.value, scope, comment)
            else:
                rest.append(keyword)
        for keyword in rest:
            self._keyword(keyword, scope, prefix)
        for key, text in inner.docs.items():
            self.documented.setdefault(prefix + key, text)
        for key, argument in given.items():  # a parameter may be the key of the same name
            if argument.comment:
                self.comments.setdefault(prefix + key, argument.comment)
        bound = _Scope(inner.file, inner.node, inner.names, given, inner.docs, inner.depth)
        self._returned(bound, prefix)

    def _keyword(self, keyword: ast.keyword, scope: _Scope, prefix: str) -> None:
        if keyword.arg is None:  # **group
            self._value(keyword.value, scope, prefix)
        else:
            self._entry(keyword.arg, keyword, keyword.value, scope, prefix)

    def _entry(
        self,
        key: str,
        start: ast.expr | ast.keyword | ast.stmt,
        value: ast.expr,
        scope: _Scope,
        prefix: str,
    ) -> None:
        """Note the comment of one key, and read its value, which may be a group."""
        comment = scope.file.comment(start, value)
        if not comment and isinstance(value, ast.Name):
            given = scope.arguments.get(value.id)
            comment = given.comment if given else ""
            if not comment and value.id in scope.docs:
                self.documented.setdefault(prefix + key, scope.docs[value.id])
        if comment:
            self.comments.setdefault(prefix + key, comment)
        self._value(value, scope, f"{prefix}{key}.")


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of the functions inside it."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += reversed(list(ast.iter_child_nodes(node)))


def _set_key(target: ast.expr) -> str:
    """Return the dotted key of ``config.task.length = …`` or ``config["task"]["length"] = …``."""
    parts: list[str] = []
    while isinstance(target, ast.Attribute | ast.Subscript):
        if isinstance(target, ast.Attribute):
            parts.insert(0, target.attr)
        elif isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
            parts.insert(0, target.slice.value)
        else:
            return ""
        target = target.value
    return ".".join(parts) if isinstance(target, ast.Name) else ""


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Callable[..., object] | None:
    """Return the function that a dotted name means in a file; None for anything else."""
    if isinstance(node, ast.Name):
        found = names.get(node.id)
    elif isinstance(node, ast.Attribute):
        owner: object = _resolve(node.value, names)
        found = None if owner is None else getattr(owner, node.attr, None)
    else:
        return None
    return found


_ROLE = re.compile(r":\w+:`~?([\w.]+)`")
_LINK = re.compile(r" \(:\w+:`[^`]+`\)")  # says no more in plain text


def plain(text: str) -> str:
    """Return a docstring's text without markup, on one line.

    >>> plain("see :class:`~rnnlab.nn.layers.Stack`;  ``0``: none")
    'see Stack; 0: none'
    """
    text = _ROLE.sub(lambda match: match[1].rpartition(".")[2], _LINK.sub("", text))
    return " ".join(text.replace("``", "").split())


def arguments(docstring: str | None, names: Sequence[str] | None = None) -> dict[str, str]:
    r"""Return the descriptions of the section ``Args:`` of a docstring, by name.

    Args:
        docstring: several entries may share a line, and an entry several names.
        names: the arguments to look for; None: all.

    >>> arguments("Sum.\n\nArgs:\n    a: the first. b, c: the\n        others.\n", ["a", "c"])
    {'a': 'the first', 'c': 'the others'}
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    start = next((i for i, line in enumerate(lines) if line == "Args:"), None)
    if start is None:
        return {}
    section: list[str] = []
    for line in lines[start + 1 :]:
        if line and not line.startswith(" "):
            break
        section.append(line.strip())
    text = " ".join(section)
    one = r"(?:[a-z_]\w*|[A-Z]{1,2}(?:_\w+)?)"  # and no first word of a sentence
    name = rf"{one}(?:, {one})*: "
    entries = re.split(rf"(?:^|(?<=\. )|(?<=\.\) ))(?={name})", text)
    found: dict[str, str] = {}
    for entry in entries:
        match = re.match(rf"({name})(.*)", entry)
        if match is None:  # nothing before the first name
            continue
        for key in match[1][:-2].split(", "):
            if names is None or key in names:
                found.setdefault(key, match[2].strip())
    return {key: plain(text).rstrip(".") for key, text in found.items()}
