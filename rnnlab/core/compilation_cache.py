"""Compiled programs on the disk: the next process loads what this one compiled.

It is JAX's own persistent compilation cache, in ~/.cache/rnnlab/compiled ($XDG_CACHE_HOME/rnnlab).
A program's key holds its code, its compiler's version and options, the features of the CPU and the
folder's own path: a folder that is moved begins anew. JAX compiles what it cannot load, so that a
damaged entry costs time alone; but it neither replaces one nor bounds the folder without stopping
for good where a process was killed while it wrote (jax issue 39880). So the folder is tidied here,
before and after it is used, and while a process that writes to it runs. Processes may tidy it at
the same time: what one removes is compiled again by another that misses it.
"""

import contextlib
import functools
import json
import os
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import json_files
from rnnlab.core.errors import UserError
from rnnlab.core.notices import say

_MOST_BYTES = 512 * 2**20
_EVERY = 30.0  # seconds, at least, after which a folder in use is tidied again
_ENTRY = "-cache"  # how JAX ends the name of an entry
_RECORD = "entries.json"  # {name: [bytes, time of change in ns]} of whole entries

_WRITES = "/jax/compilation_cache/cache_misses"  # JAX's event before it writes an entry
_in_use: dict[Path, float] = {}  # when each folder was tidied last, as time.monotonic() has it

_FOLDER = "jax_compilation_cache_dir"
_ENABLED = "jax_enable_compilation_cache"
_MOST = "jax_compilation_cache_max_size"
_LEAST_SECONDS = "jax_persistent_cache_min_compile_time_secs"
_JAX_SECONDS = 1.0  # JAX's default, above which few of an experiment's programs are

# A failed read or write of an entry: the program is compiled, or compiled again next time.
_JAX_WARNINGS = "Error (reading|writing) persistent compilation cache entry"


def folder() -> Path:
    """Return the folder of the compiled programs; it need not exist.

    Raises:
        UserError: there is no home directory.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # the XDG standard ignores any other
        return Path(given) / "rnnlab" / "compiled"
    try:
        return Path.home() / ".cache" / "rnnlab" / "compiled"
    except RuntimeError as error:
        raise UserError(str(error)) from None


@contextlib.contextmanager
def kept(cache: bool = True) -> Iterator[None]:
    """Keep what JAX compiles inside a ``with`` block, and load what was kept before.

    JAX's own settings come first: where its cache has a folder or a size, or is disabled
    (``JAX_COMPILATION_CACHE_DIR``, ``JAX_COMPILATION_CACHE_MAX_SIZE``,
    ``JAX_ENABLE_COMPILATION_CACHE=0``, or ``jax.config``), nothing is changed, and neither is it
    in a process of ``jax.distributed``. A folder that cannot be used costs a line on stderr. Blocks
    may be nested: the outermost decides.

    Args:
        cache: False: compile every program, whatever is set.
    """
    import jax

    if not cache:
        with _configured({_ENABLED: False}):
            yield
        return
    here = None if _stays_as_it_is(jax.config) else _usable_folder()
    if here is None:
        yield
        return
    changes: dict[str, object] = {_FOLDER: str(here)}
    if (
        _LEAST_SECONDS.upper() not in os.environ
        and getattr(jax.config, _LEAST_SECONDS) == _JAX_SECONDS
    ):
        changes[_LEAST_SECONDS] = 0.0
    _listen()
    tidy(here)
    _in_use[here] = time.monotonic()
    try:
        with warnings.catch_warnings(), _configured(changes):
            warnings.filterwarnings("ignore", message=_JAX_WARNINGS)
            yield
    finally:
        del _in_use[here]
        tidy(here)


@functools.cache  # once per process
def _listen() -> None:
    import jax

    jax.monitoring.register_event_listener(_tidy_at_times)


def _tidy_at_times(event: str, **_: object) -> None:
    """Tidy the folders in use whose turn it is, as JAX writes an entry: a command may take days."""
    if event != _WRITES:
        return
    for used, last in list(_in_use.items()):
        if time.monotonic() - last >= _EVERY:
            _in_use[used] = time.monotonic()  # first, so that no other thread tidies as well
            tidy(used)


def wanted() -> bool:
    """Return whether JAX may use a cache here; another process of the run does the same."""
    import jax

    return bool(getattr(jax.config, _ENABLED))


def tidy(folder: Path, most_bytes: int = _MOST_BYTES) -> None:
    """Remove damaged entries, then those unused for longest until the others fit.

    JAX writes an entry once, so one that has changed since it was found whole is damaged.

    Args:
        folder: of JAX's cache.
        most_bytes: of all files together.
    """
    record = folder / _RECORD
    before = _read_record(record)
    files = [file for file in _files(folder) if not _damaged(file, before)]
    total = sum(file.size for file in files)
    files.sort(key=lambda file: file.used)
    while total > most_bytes:
        total -= files[0].size
        _remove(files.pop(0).path)
    whole = {file.path.name: file.stamp for file in files if file.path.name.endswith(_ENTRY)}
    if whole != before:
        # without waiting for the disk: what a lost record knew is found out again
        part = record.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):  # a full disk, or no such folder any more
            part.write_text(json.dumps(whole, indent=0))
            part.replace(record)


@contextlib.contextmanager
def _configured(changes: dict[str, object]) -> Iterator[None]:
    """Change settings of JAX in a ``with`` block; those changed again inside stay so."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    before = {name: getattr(jax.config, name) for name in changes}
    _update(changes)
    compilation_cache.reset_cache()  # it looks at the settings once
    try:
        yield
    finally:
        now = {name: getattr(jax.config, name) for name in changes}
        _update({name: before[name] for name in changes if now[name] == changes[name]})
        compilation_cache.reset_cache()


def _update(settings: dict[str, object]) -> None:
    import jax

    for name, value in settings.items():
        jax.config.update(name, value)


def _stays_as_it_is(config: object) -> bool:
    """Return whether the user or an outer block has set JAX's cache up, or disabled it.

    So is the cache of a run in several processes, of which JAX lets the first alone write: the
    others would compile programs that the first one loads, and GPUs may tune these together.
    """
    import jax

    if jax.distributed.is_initialized():
        return True
    if sys.platform == "darwin" and jax.__version_info__ < (0, 10):
        return True  # reported to crash while it loads large programs
    folder, most = getattr(config, _FOLDER), getattr(config, _MOST)
    own = folder is not None or _FOLDER.upper() in os.environ or most != -1
    return own or not getattr(config, _ENABLED)


def _usable_folder() -> Path | None:
    """Make the folder and return it; None, with a line on stderr, where it cannot be used."""
    try:
        found = folder()
    except UserError as error:
        _say_once(str(error))
        return None
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=found) as trial:
            trial.write(bytes(4096))  # a full disk takes an empty file
    except OSError as error:  # its file is one of a random name
        _say_once(f"{found}: {error.strerror}")
        return None
    if hasattr(os, "getuid"):
        status = found.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            # an entry is executed
            _say_once(f"{found} belongs to or can be written by another user")
            return None
    return found


@functools.cache
def _say_once(reason: str) -> None:
    say(f"compiled programs are not kept for the next run (--no_cache, cache=False): {reason}")


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    stamp: list[int]  # (size, time of change in ns), as JSON has it
    used: int  # in ns


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files in a folder and below, but the record; on a GPU, XLA has some of its own."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if name == _RECORD:
                continue
            try:
                status = path.stat()
            except OSError:  # another process has removed it
                continue
            stamp = _stamp_of(status)
            # not every file system notes when a file is read
            yield _File(path, status.st_size, stamp, max(status.st_atime_ns, status.st_mtime_ns))


def _stamp_of(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns]


def _stamp(path: Path) -> list[int]:
    """Return the size and the time of change of a file; [] if it is gone."""
    try:
        return _stamp_of(path.stat())
    except OSError:
        return []


def _damaged(file: _File, before: dict[str, list[int]]) -> bool:
    """Return whether an entry is damaged, having removed it then."""
    name = file.path.name
    if not name.endswith(_ENTRY) or before.get(name) == file.stamp:
        return False
    if name not in before and (_unpacks(file.path) or _stamp(file.path) != file.stamp):
        return False  # whole, or still being written
    _remove(file.path)
    return True


def _unpacks(path: Path) -> bool:
    """Return whether an entry can be unpacked: its checksum fits."""
    try:
        packed = path.read_bytes()
        if packed[:4] == b"\x28\xb5\x2f\xfd":  # JAX packs so where zstandard is installed
            _zstd(packed)
        else:
            zlib.decompress(packed)
    except ImportError:
        return True  # JAX cannot read it either, and does not look for it
    except Exception:  # zlib.error, zstandard.ZstdError, OSError
        return False
    return True


def _zstd(packed: bytes) -> None:
    """Unpack as JAX does: with Python 3.14's module, or with the package before."""
    try:
        from compression import zstd  # pyright: ignore[reportMissingImports]
    except ImportError:
        import zstandard  # pyright: ignore[reportMissingImports]

        zstandard.ZstdDecompressor().decompress(packed)
    else:
        zstd.decompress(packed)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # another process was faster
        path.unlink()


def _read_record(record: Path) -> dict[str, list[int]]:
    """Return what was whole when the folder was tidied last; nothing of a damaged record."""
    try:
        found = json_files.read_json(record)
    except (OSError, UserError):
        return {}
    return found if isinstance(found, dict) else {}
