"""Strict settings for every test: no silent dtype promotion, typed keys, repeatable examples."""

import os

# XLA's costly optimizations take a third of the tests' time and change nothing that a test holds;
# .ci/run runs the engines with them as well. Set before JAX is imported, for the processes
# that tests start too.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax
import pytest
from hypothesis import settings

from rnnlab.nn import initializers

# so that a sweep has something to spread over, on whatever machine
jax.config.update("jax_num_cpu_devices", 2)

# repeatable: a red property test stays red; no deadline: the first example compiles
settings.register_profile("rnnlab", deadline=None, derandomize=True, max_examples=15)
settings.load_profile("rnnlab")


@pytest.fixture(scope="session", autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"), jax.legacy_prng_key("error"):
        yield


@pytest.fixture(scope="module", autouse=True)
def _programs():
    """Let go of what a module compiled: each program maps memory of its own, and Linux allows a
    process 65,530 mappings; a worker that passes them dies in some later test.
    """
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _schemes(monkeypatch):
    """A scheme that a test's experiment registers is gone after the test."""
    monkeypatch.setattr(initializers, "SCHEMES", initializers.SCHEMES.copy())


@pytest.fixture
def x64():
    """float64 for one test; never globally, for float32 is what users run."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def optimized():
    """XLA's optimizations as users have them: for bits that are equal only with them."""
    jax.clear_caches()
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    jax.clear_caches()
