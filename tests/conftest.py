"""Strict settings for every test: no silent dtype promotion, typed keys, repeatable examples."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.compiling import CHEAP, FOR_USERS

ROOT = Path(__file__).parents[1]
# Tests of exact bits are marked `compiled_for_users`, or start processes so compiled; .ci/run also
# runs the engines' tests so.
for name, value in CHEAP.items():
    os.environ.setdefault(name, value)
# nothing of a test is left in ~/.cache, also by the processes that it starts
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")

import jax
import pytest
from hypothesis import settings

from rnnlab.nn import cells, initializers
from rnnlab.tasks import registry

# so that a sweep has something to spread over, on whatever machine
jax.config.update("jax_num_cpu_devices", 2)

# repeatable: a red property test stays red; no deadline: the first example compiles
settings.register_profile("rnnlab", deadline=None, derandomize=True, max_examples=15)
settings.load_profile("rnnlab")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "compiled_for_users: a process of its own, with XLA as users have it"
    )


def _for_users(item) -> bool:
    """Whether the test runs in another process, and not in this one."""
    here = os.environ | FOR_USERS == os.environ
    return not here and item.get_closest_marker("compiled_for_users") is not None


def pytest_collection_modifyitems(items):
    for item in filter(_for_users, items):
        item.fixturenames = []  # they are set up over there


@functools.cache
def _report_for_users(session, path) -> str:
    """Run the marked tests of a file in one process; return what pytest says."""
    marked = [item.nodeid for item in session.items if item.path == path and _for_users(item)]
    command = [sys.executable, "-m", "pytest", "-n0", "-rA", "-p", "no:cacheprovider", *marked]
    env = os.environ | FOR_USERS
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not _for_users(pyfuncitem):
        return None
    report = _report_for_users(pyfuncitem.session, pyfuncitem.path)
    if f"PASSED {pyfuncitem.nodeid}" not in report.splitlines():
        pytest.fail(report, pytrace=False)
    return True


@pytest.fixture(scope="session", autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"), jax.legacy_prng_key("error"):
        yield


@pytest.fixture(scope="module", autouse=True)
def _programs():
    """Let go of what was compiled before there is too much of it: each program maps memory of its
    own, and Linux allows a process 65,530 mappings; one that passes them dies in some later test.
    """
    yield
    process = Path("/proc/self")
    if process.exists():
        pages = int((process / "statm").read_text().split()[1])
        mappings = len((process / "maps").read_bytes().splitlines())
        if mappings < 30_000 and pages * os.sysconf("SC_PAGE_SIZE") < 3 * 2**30:
            return
    jax.clear_caches()


TABLES = ((initializers, "SCHEMES"), (cells, "CELLS"), (registry, "TASKS"))
REGISTERED = {}  # (test file, name of a table) ↦ what the file registers while it is imported


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Keep what a test file registers, by the experiments that it loads, for its own tests."""
    before = [set(getattr(module, name)) for module, name in TABLES]
    report = yield
    for (module, name), names in zip(TABLES, before, strict=True):
        table = getattr(module, name)
        registered = {key: table.pop(key) for key in set(table) - names}
        # a file is collected twice, for its tests and for its doctests, and imported once
        REGISTERED.setdefault((collector.path, name), {}).update(registered)
    return report


@pytest.fixture(autouse=True)
def _names(request, monkeypatch):
    """Undo after a test what its experiment registered."""
    for module, name in TABLES:
        own = REGISTERED.get((request.path, name), {})
        monkeypatch.setattr(module, name, getattr(module, name) | own)


@pytest.fixture
def x64():
    """float64 for one test; never globally, for float32 is what users run."""
    with jax.enable_x64(True):
        yield
