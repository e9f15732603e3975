"""Compiled programs on the disk, in a folder of the test's own."""

import os
import warnings
from collections import Counter

import jax
import numpy as np
import pytest
from jax import lax
from jax.experimental.compilation_cache import compilation_cache as jax_cache

import rnnlab
from rnnlab.core import compilation_cache
from rnnlab.core.compilation_cache import folder, kept, tidy
from tests.helpers.fake_experiment import SOURCE

EVENTS = Counter()
jax.monitoring.register_event_listener(lambda event, **_: EVENTS.update([event.split("/")[-1]]))


@pytest.fixture(autouse=True)
def _empty(tmp_path, monkeypatch):
    """An empty folder, and JAX's cache enabled, as for users; the tests at large disable it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(name, raising=False)
    names = [compilation_cache._ENABLED, compilation_cache._FOLDER, compilation_cache._MOST]
    names.append(compilation_cache._LEAST_SECONDS)
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update(compilation_cache._ENABLED, True)
    jax.config.update(compilation_cache._FOLDER, None)
    jax.config.update(compilation_cache._LEAST_SECONDS, 1.0)
    jax_cache.reset_cache()
    compilation_cache._say_once.cache_clear()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    jax_cache.reset_cache()


def settings() -> list[object]:
    return [
        jax.config.jax_compilation_cache_dir,
        jax.config.jax_enable_compilation_cache,
        jax.config.jax_persistent_cache_min_compile_time_secs,
    ]


def compute() -> np.ndarray:
    """Compile two programs anew, or load them, and return what they compute of random inputs."""
    a = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    two = [jax.jit(lambda a: lax.tanh(a) @ a), jax.jit(lambda a: lax.exp(lax.sin(a)))]
    return np.stack([np.asarray(program(a)) for program in two])


def counted(**options: bool) -> tuple[np.ndarray, dict[str, int]]:
    """Return what is computed inside :func:`kept`, and how many programs were loaded, written."""
    EVENTS.clear()
    with kept(**options):
        found = compute()
    return found, {"loaded": EVENTS["cache_hits"], "written": EVENTS["cache_misses"]}


def entries() -> list:
    return sorted(folder().glob("*-cache"))


# ------------------------------------------------------------------------------ kept and loaded


def test_what_is_compiled_is_loaded_and_gives_the_same_bits():
    alone = compute()
    first, before = counted()
    again, after = counted()
    assert before == {"loaded": 0, "written": 2}
    assert after == {"loaded": 2, "written": 0}
    assert len(entries()) == 2
    assert alone.tobytes() == first.tobytes() == again.tobytes()
    assert alone.any()


def test_settings_are_as_before_after_it():
    before = settings()
    with kept():
        assert settings() == [str(folder()), True, 0.0]
    assert settings() == before
    with pytest.raises(KeyError), kept(False):
        raise KeyError
    assert settings() == before
    EVENTS.clear()
    compute()
    assert (EVENTS["cache_hits"], EVENTS["cache_misses"]) == (0, 0)


def test_run_keeps_what_its_members_compile_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "fake.py").write_text(SOURCE)
    results = {}
    for name, options in {"without": {"cache": False}, "cold": {}, "warm": {}}.items():
        EVENTS.clear()
        run = rnnlab.run("fake", workdir=name, progress=False, **options)
        results[name] = [member.result for member in run.table]
        loaded, written = EVENTS["cache_hits"], EVENTS["cache_misses"]
        assert (loaded > 0) == (name == "warm")
        assert (written > 0) == (name == "cold")
        jax.clear_caches()
    assert results["without"] == results["cold"] == results["warm"]


def test_nothing_is_kept_without_it_and_inside_a_block_without_it():
    assert counted(cache=False)[1] == {"loaded": 0, "written": 0}
    with kept(False):
        assert counted()[1] == {"loaded": 0, "written": 0}
    assert not folder().exists()
    counted()
    assert counted(cache=False)[1] == {"loaded": 0, "written": 0}
    with kept():  # the inner block does not end the outer one
        counted()
        assert jax.config.jax_compilation_cache_dir == str(folder())
        assert counted()[1]["loaded"] == 2


# ------------------------------------------------------------------------- JAX's own settings


@pytest.mark.parametrize(
    "setting",
    [
        {"jax_compilation_cache_dir": "mine"},
        {"jax_compilation_cache_dir": ""},
        {"jax_enable_compilation_cache": False},
        {"jax_compilation_cache_max_size": 0},
    ],
)
def test_a_cache_that_the_user_set_up_stays_as_it_is(tmp_path, monkeypatch, setting):
    monkeypatch.chdir(tmp_path)
    for name, value in setting.items():
        jax.config.update(name, value)
    jax_cache.reset_cache()
    before = settings()
    with kept():
        assert settings() == before
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        compute()
    assert not folder().exists()
    assert (tmp_path / "mine").exists() == ("mine" in setting.values())


def test_a_process_of_several_keeps_nothing(monkeypatch):
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    assert counted()[1] == {"loaded": 0, "written": 0}
    assert not folder().exists()


def test_a_variable_of_the_environment_counts_as_a_setting(monkeypatch):
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    with kept():
        assert settings()[2] == 1.0
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    with kept():
        assert settings()[0] is None


def test_a_threshold_of_the_user_and_what_is_set_inside_stay(tmp_path):
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 30.0)
    assert counted()[1]["written"] == 0
    with kept():
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert settings() == [str(tmp_path / "mine"), True, 30.0]


# ------------------------------------------------------------------------------ damaged entries


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return (
        data[:middle]
        + bytes(~byte & 255 for byte in data[middle : middle + 8])
        + data[middle + 8 :]
    )


@pytest.mark.parametrize("damage", [cut, flipped, lambda data: b"", lambda data: b"other"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_damaged_entry_is_compiled_again_and_replaced(damage, inside):
    first, before = counted()

    def spoil():
        for entry in entries():
            entry.write_bytes(damage(entry.read_bytes()))

    if inside:  # after the folder was tidied: JAX reads it
        EVENTS.clear()
        with warnings.catch_warnings(record=True) as shown, kept():
            spoil()
            again = compute()
        assert shown == []
        assert EVENTS["cache_hits"] == 0
        counted()
    else:
        spoil()
        again, after = counted()
        assert after == before
    assert again.tobytes() == first.tobytes()
    healed, last = counted()
    assert last == {"loaded": 2, "written": 0}
    assert healed.tobytes() == first.tobytes()


def test_an_entry_of_a_process_that_was_killed_is_checked_by_its_checksum():
    counted()
    (folder() / "entries.json").write_text("{damaged")
    whole, half = entries()
    half.write_bytes(cut(half.read_bytes()))
    tidy(folder())
    assert whole.exists()
    assert not half.exists()


def test_entries_and_the_folder_may_go_while_they_are_used(capsys):
    first, _ = counted()
    with warnings.catch_warnings(record=True) as shown, kept():
        for file in folder().iterdir():
            file.unlink()
        folder().rmdir()
        assert compute().tobytes() == first.tobytes()
    assert shown == []
    assert capsys.readouterr().err == ""


# ----------------------------------------------------------------------------------- the folder


def test_what_was_unused_for_longest_goes_when_there_is_too_much():
    counted()
    kept_entries = entries()
    sizes = [entry.stat().st_size for entry in kept_entries]
    for age, entry in enumerate(kept_entries):
        changed = entry.stat().st_mtime_ns
        os.utime(entry, ns=(changed + 10**12 - 10**9 * age, changed))  # read last: the first
    tidy(folder(), sum(sizes))
    assert entries() == kept_entries
    tidy(folder(), sum(sizes) - 1)
    assert entries() == kept_entries[:-1]
    tidy(folder(), sizes[0])
    assert entries() == kept_entries[:1]


def sizes() -> int:
    return sum(entry.stat().st_size for entry in entries())


@pytest.mark.parametrize(("every", "bounded"), [(0.0, True), (3600.0, False)])
def test_a_long_command_stays_within_the_bound(monkeypatch, every, bounded):
    """Programs are compiled one after the other inside one block; each is an entry."""
    counted()
    most = sizes()  # of two entries
    monkeypatch.setattr(compilation_cache, "_EVERY", every)
    monkeypatch.setattr(compilation_cache, "tidy", lambda folder: tidy(folder, most))
    with kept():
        seen = []
        for n in range(2, 6):
            jax.jit(lambda a: lax.cos(a) + lax.tan(a))(np.ones(n, np.float32)).block_until_ready()
            seen.append(len(entries()))
        # the entry that is written comes on top of what fits
        assert seen[-1] <= 3 if bounded else seen == [3, 4, 5, 6]
    assert sizes() <= most


def test_nothing_is_tidied_where_nothing_is_written_or_after_the_block(monkeypatch):
    monkeypatch.setattr(compilation_cache, "_EVERY", 0.0)
    tidied = []
    monkeypatch.setattr(compilation_cache, "tidy", tidied.append)
    with kept():
        compute()
        written = len(tidied)
        jax.clear_caches()
        compute()  # loaded
        assert len(tidied) == written == 1 + 2
    jax.monitoring.record_event(compilation_cache._WRITES)
    assert len(tidied) == written + 1  # as the block ended


def test_a_folder_that_two_processes_tidy_at_once(monkeypatch):
    """The other has removed all files between the look at them and their turn."""
    counted()
    found = list(compilation_cache._files(folder()))
    for file in found:
        file.path.unlink()
    monkeypatch.setattr(compilation_cache, "_files", lambda _: iter(found))
    tidy(folder(), 0)
    assert entries() == []


@pytest.mark.parametrize("case", ["file", "shared", "homeless"])
def test_a_folder_that_cannot_be_used_costs_one_line(tmp_path, monkeypatch, capsys, case):
    if case == "file":
        (tmp_path / "rnnlab").write_text("")
        reason = f"{folder()}: Not a directory"
    elif case == "shared":
        folder().mkdir(parents=True)
        folder().chmod(0o777)
        reason = f"{folder()} belongs to or can be written by another user"
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard ignores it

        def home():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(compilation_cache.Path, "home", home)
        reason = "Could not determine home directory."
    for _ in range(2):
        assert counted()[1] == {"loaded": 0, "written": 0}
    assert capsys.readouterr().err == (
        f"rnnlab: compiled programs are not kept for the next run (--no_cache, cache=False): "
        f"{reason}\n"
    )


def test_a_full_disk_costs_one_line(monkeypatch, capsys):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compilation_cache.tempfile, "TemporaryFile", full)
    assert counted()[1] == {"loaded": 0, "written": 0}
    assert f"{folder()}: No space left on device\n" in capsys.readouterr().err


def test_the_folder_is_the_users_alone_and_in_the_home_directory(tmp_path, monkeypatch):
    assert folder() == tmp_path / "rnnlab" / "compiled"
    counted()
    assert folder().stat().st_mode & 0o777 == 0o700
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        monkeypatch.setenv("HOME", "/home/me")
        assert str(folder()) == "/home/me/.cache/rnnlab/compiled"
