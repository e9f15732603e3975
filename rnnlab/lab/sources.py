"""The Python files that a run executes: its experiment, the modules beside it, the files it uses.

Each file is read once, and what was read is what is digested, executed, kept and sent to other
machines, whatever lies at its path later. A module beside a file is imported by its plain name, as
from a script, but it is the file's own: files of one name in two folders do not meet.
"""

import ast
import builtins
import functools
import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import ModuleType

from rnnlab.core.errors import UserError

EXPERIMENT, USE = "experiment", "use"  # roles of a file


@dataclass(frozen=True)
class Source:
    """One file as it was read.

    Args:
        name: its path below the folder of the file that imports it: "mine.py", "parts/data.py".
        text: its bytes, which are executed.
    """

    name: str
    text: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the text."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def module(self) -> str:
        """The name by which the modules beside it import it: "mine", "parts.data"."""
        parts = PurePosixPath(self.name).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def is_package(self) -> bool:
        """Whether it is the ``__init__.py`` of a package."""
        return PurePosixPath(self.name).name == "__init__.py"


@dataclass(frozen=True)
class Code:
    """A file and the modules beside it that it imports.

    Args:
        role: "experiment", or "use" for a file of ``--use``.
        file: its path as it is shown and recorded.
        path: where it was found.
        main: the file.
        beside: the modules, sorted by name.
    """

    role: str
    file: str
    path: Path
    main: Source
    beside: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """The file and the modules beside it."""
        return self.main, *self.beside

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file, by its name."""
        return {source.name: source.digest for source in self.sources}

    def execute(self) -> ModuleType:
        """Execute the file and return its module; no file needs to be there any more.

        Raises:
            SyntaxError, ImportError: from the file, or whatever else it raises.
        """
        digest = hashlib.sha256(repr(sorted(self.digests.items())).encode()).hexdigest()
        stem = re.sub(r"\W", "_", self.path.stem)
        name = f"rnnlab_{self.role}_{stem}_{digest[:8]}"
        # the modules beside it are those of a package of this run's own
        package = ModuleType(f"{name}_beside")
        package.__path__ = []
        local = {source.module.partition(".")[0] for source in self.beside}
        functions: dict[str, object] = dict(vars(builtins))
        functions["__import__"] = functools.partial(_import, package.__name__, frozenset(local))
        for known in [known for known in sys.modules if known.startswith(f"{package.__name__}.")]:
            del sys.modules[known]
        sys.modules[package.__name__] = package
        for source in self.beside:
            where = self.path.parent / source.name
            _FINDER.texts[f"{package.__name__}.{source.module}"] = (source, where, functions)
        # Compiled here, not by importlib, which would leave a __pycache__ beside the user's file.
        module = ModuleType(name)
        module.__file__ = str(self.path)
        module.__dict__["__builtins__"] = functions
        sys.modules[name] = module  # dataclasses and pickle look it up
        exec(compile(self.main.text, str(self.path), "exec"), module.__dict__)
        return module


def _import(
    package: str,
    local: frozenset[str],
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import as ``__import__`` does, but modules beside the file from the package of the file."""
    first = name.partition(".")[0]
    if level or first not in local:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or (), 0)
    return module if fromlist else sys.modules[f"{package}.{first}"]


class _Finder:
    """Finds and executes the modules beside a file, from the texts that were read."""

    def __init__(self) -> None:
        self.texts: dict[str, tuple[Source, Path, dict[str, object]]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.texts:
            return None
        source, where, _ = self.texts[name]
        return importlib.util.spec_from_loader(
            name,
            self,  # type: ignore[arg-type]
            origin=str(where),
            is_package=source.is_package,
        )

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to importlib."""

    def exec_module(self, module: ModuleType) -> None:
        source, where, functions = self.texts[module.__name__]
        module.__file__ = str(where)
        module.__dict__["__builtins__"] = functions
        exec(compile(source.text, str(where), "exec"), module.__dict__)


_FINDER = _Finder()
sys.meta_path.append(_FINDER)  # type: ignore[arg-type]


# ---- reading -----------------------------------------------------------------------------------


def read(path: Path, file: str, role: str = EXPERIMENT) -> Code:
    """Read a file and the modules beside it that it imports, directly or through each other.

    Args:
        path: where it is.
        file: the path as it is shown and recorded.
        role: "experiment" or "use".
    Raises:
        UserError: one of them is not Python, or cannot be read.
    """
    main = Source(path.name, _bytes(path, file))
    beside: dict[str, Source] = {}
    waiting = list(_imports(main, file))
    while waiting:
        top = waiting.pop().partition(".")[0]
        for name in _files_of(path.parent, top):
            if name not in beside:
                shown = (PurePosixPath(file).parent / name).as_posix()
                beside[name] = Source(name, _bytes(path.parent / name, shown))
                waiting += _imports(beside[name], shown)
    return Code(role, file, path, main, tuple(beside[name] for name in sorted(beside)))


def _bytes(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}") from None


def _imports(source: Source, shown: str) -> Iterator[str]:
    """Yield the names of the modules that a file imports, inside functions too."""
    try:
        tree = ast.parse(source.text)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{shown} is {not_python(error)}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _files_of(folder: Path, module: str) -> list[str]:
    """Return the names of the files of a module beside a file; none if it is no such module."""
    if module in sys.stdlib_module_names or module == "rnnlab":
        return []
    if (folder / module / "__init__.py").is_file():
        files = sorted((folder / module).rglob("*.py"))
        return [path.relative_to(folder).as_posix() for path in files]
    return [f"{module}.py"] if (folder / f"{module}.py").is_file() else []


def not_python(error: SyntaxError | ValueError) -> str:
    """Return why a file cannot be compiled, as the end of a sentence.

    >>> not_python(ValueError("null bytes"))
    'not Python: null bytes'
    """
    if not isinstance(error, SyntaxError):
        return f"not Python: {error}"
    line = f", line {error.lineno}" if error.lineno else ""
    return f"not Python: {error.msg}{line}"


# ---- copies in a run directory -----------------------------------------------------------------


def copies(codes: Sequence[Code]) -> list[dict[str, str]]:
    """Return for each code the name of each file's copy below ``used/`` of a run directory.

    Files of one name from different folders lie in numbered folders.
    """
    taken: set[str] = set()
    named = []
    for code in codes:
        number, prefix = 1, ""
        while any(f"{prefix}{source.name}" in taken for source in code.sources):
            number += 1
            prefix = f"{number}/"
        named.append({source.name: f"{prefix}{source.name}" for source in code.sources})
        taken |= set(named[-1].values())
    return named
