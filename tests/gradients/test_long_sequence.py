"""A very long sequence in bounded memory: T = 100,000 of an LSTM, the loss on the last step."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.helpers.compiling import FOR_USERS

# not getrusage: on Linux a new process starts with the peak of the one that started it
PEAK = """
import resource, sys
def peak_memory():
    try:
        lines = open("/proc/self/status").read().splitlines()
    except FileNotFoundError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024
"""
CODE = """
import jax, jax.numpy as jnp, numpy as np
import rnnlab
from rnnlab import gradients
cell = rnnlab.LSTM(16)  # few units and many examples: as much memory as 128 by 8, less work
params = cell.init_params(jax.random.key(0), 1)
xs = jax.random.normal(jax.random.key(1), (64, 100_000, 1))
curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
h, C = np.asarray(curve.h), np.asarray(curve.C)
assert h.shape == C.shape == (64, 100_000)
assert np.isfinite(h).all() and np.isfinite(C).all() and (curve.overflow_at == -1).all()
assert h[:, 0].max() < -500  # far below anything that float32 holds
_, state = rnnlab.unroll(cell, params, xs[:, :99_900])
last = gradients.adjoint_norms(cell, params, xs[:, 99_900:], lambda ys: ys[:, -1].sum(),
                               initial_state=state)
np.testing.assert_allclose(h[:, 99_900:], last.h, atol=1e-3)
print(peak_memory())
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", PEAK + code],
        cwd=Path(__file__).parents[2],
        env=os.environ | FOR_USERS,  # 100,000 steps take far longer than compiling
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_the_peak_is_of_the_process_itself():
    """Whatever the tests before this one held in this process."""
    here = np.ones(2**26)  # half a gibibyte, written to
    small, large = run("print(peak_memory())"), run("x = b'x' * 2**28; print(peak_memory())")
    assert here.nbytes > large > 2**28 > small


def test_a_hundred_thousand_steps_stay_under_two_gibibytes():
    assert run(CODE) < 2 * 2**30
