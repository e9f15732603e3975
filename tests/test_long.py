"""A very long sequence in bounded memory: T = 100,000 of an LSTM, the loss on the last step."""

import subprocess
import sys
from pathlib import Path

CODE = """
import resource, sys
import jax, jax.numpy as jnp, numpy as np
import rnnlab
from rnnlab import gradients
cell = rnnlab.lstm(128)
params = cell.init_params(jax.random.key(0), 1)
xs = jax.random.normal(jax.random.key(1), (8, 100_000, 1))
curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
h, C = np.asarray(curve.h), np.asarray(curve.C)
assert h.shape == C.shape == (8, 100_000)
assert np.isfinite(h).all() and np.isfinite(C).all() and (curve.overflow_at == -1).all()
assert h[:, 0].max() < -500  # far below anything that float32 holds
_, state = rnnlab.unroll(cell, params, xs[:, :99_900])
last = gradients.adjoint_norms(cell, params, xs[:, 99_900:], lambda ys: ys[:, -1].sum(),
                               initial_state=state)
np.testing.assert_allclose(h[:, 99_900:], last.h, atol=1e-3)
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def test_a_hundred_thousand_steps_stay_under_two_gibibytes():
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 2 * 2**30
