# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # GRU or LSTM: which, and when
#
# An LSTM has three gates and a memory beside its state; a GRU has two gates and the state alone.
# So a GRU is smaller and quicker. Is it worse? The notes say: as good or better on short
# sequences, behind on very long and complex ones. Here is how to find out for a case of one's
# own: parameters, gradients, learning curves.

# %% [markdown]
# **Question.** A GRU or an LSTM: which, and when?
#
# **Answer.** Try the GRU first: it has 3/4 of the parameters and of the step time here, and learns to add over 40 steps in fewer updates; for long delays the bias matters more than the cell.

# %%
from functools import partial

import jax
import numpy as np

import rnnlab
from rnnlab.nn.layers import as_layer
from rnnlab import InitScheme, gradients, tasks, theory, training
from rnnlab.lab import benchmark, layer_passes
from rnnlab.nn import models
from rnnlab.plotting import plots
from rnnlab.tasks.model import model_for_task
from rnnlab.training.optimizers import Hyper, Optimizer

# %matplotlib inline

# %% [markdown]
# ## 1. Size
#
# Each gate or candidate is one pair of kernels over $[h, x]$ and a bias: $g\,H(H + D + 1)$
# numbers, with $g = 1$ for the RNN, 3 for the GRU, 4 for the LSTM.

# %%
H, D = 128, 64
sizes = {}
for name, make, g in (("RNN", rnnlab.RNN, 1), ("GRU", rnnlab.GRU, 3), ("LSTM", rnnlab.LSTM, 4)):
    sizes[name] = models.count_params(make(H).init_params(jax.random.key(0), input_size=D))
    assert sizes[name] == g * H * (H + D + 1)
print(sizes, "GRU/LSTM = %g" % (sizes["GRU"] / sizes["LSTM"]))

# %% [markdown]
# Time follows size, but not in step: a small layer is bound by its sequence of products. Forward
# and backward, the two turn and turn about in this process (a measurement, which another machine
# or another load changes):

# %%
xs = jax.random.normal(jax.random.key(1), (32, 100, D))
calls = {}
for name, make in (("GRU", rnnlab.GRU), ("LSTM", rnnlab.LSTM)):
    cell = make(H)
    params = cell.init_params(jax.random.key(0), input_size=D)
    both = jax.jit(layer_passes.passes(cell, "auto")["both"])
    calls[name] = lambda both=both, params=params: both(params, xs, xs[..., :1])
ms = benchmark.turns(calls, repeats=7, pause=0.0)
print({name: f"{np.median(times):.0f} ms" for name, times in ms.items()},
      "GRU/LSTM = %.2f (%.2f to %.2f)" % benchmark.ratio(ms, "GRU", "LSTM"))  # fmt: skip

# %% [markdown]
# ## 2. What is kept
#
# The gradient that is left $k$ steps before the loss, at initialization. Both cells keep the past
# by a gate: $\partial C_t/\partial C_{t-1} \approx f$, $\partial h_t/\partial h_{t-1} \approx z$,
# and a bias sets it: dotted, $k \log_{10} \sigma(b)$ alone.

# %%
T = 100
xs = jax.random.normal(jax.random.key(2), (8, T, 1))
lags = np.arange(T)
figure, axes = plots.new_figure(1, 2, size=(10.5, 4), share_y=True)
left = {}
for ax, (name, make, part) in zip(
    axes[0], (("LSTM", rnnlab.LSTM, "C"), ("GRU", rnnlab.GRU, "h")), strict=True
):
    ends = []
    for index, bias in enumerate((0.0, 1.0, 3.0)):
        cell = make(32, init=InitScheme(w_h="orthogonal", forget_bias=bias))
        params = cell.init_params(jax.random.key(0), input_size=1)
        curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
        log10 = np.asarray(getattr(curve, part))[:, ::-1]
        log10 = log10 - log10[:, :1]
        left[name, bias] = float(np.median(log10[:, -1]))
        text = f"b_{'f' if name == 'LSTM' else 'z'} = {bias:g}"
        ends.append(plots.band(ax, lags, log10, text, index))
        plots.theory_line(ax, lags, theory.gate_retention_log10(bias, lags), plots.COLORS[index])
    ax.set(xlabel="lag k (steps before the loss)", ylim=(-32, 3))
    plots.title(ax, f"{name}: log10 of ∂L/∂{part} left")
    plots.direct_labels(ax, ends)
figure

# %%
for (name, bias), decades in left.items():
    print(f"{name}, bias {bias:g}: 10^{decades:.1f} is left after {T - 1} steps")
assert all(left[name, 3.0] > left[name, 0.0] for name in ("LSTM", "GRU"))

# %% [markdown]
# The bias matters more than the choice of cell.
#
# ## 3. What is learned
#
# The adding problem: of 40 numbers two are marked, say their sum. The dotted line is the best
# answer without memory.

# %%
task = tasks.by_name("adding", length=40)
hyper = Hyper(learning_rate=5e-3, clip_norm=1.0, weight_decay=0.0, omega=0.0)
figure, axes = plots.new_figure(1, 1, size=(7.4, 3.8))
ax, ends = axes[0, 0], []
for index, (name, make) in enumerate((("LSTM", rnnlab.LSTM), ("GRU", rnnlab.GRU)), 1):
    init = InitScheme(w_h="orthogonal", forget_bias=1.0)
    model = model_for_task(task, as_layer(make(24, init=init)), init)
    settings = training.Settings(Optimizer(steps=1000), batch_size=16, eval_every=50,
                                 eval_batch_size=200, stop_when_solved=False)  # fmt: skip
    setup = training.Setup(task, models.without_init(model), settings)
    drawn = jax.jit(partial(training.draw_params, model, task=task))(jax.random.key(0))
    state, progress = jax.jit(rnnlab.make_train(setup))(jax.random.key(1), hyper, drawn, ())
    loss = np.asarray(progress.score["loss"])
    ax.plot(np.asarray(progress.step), np.log10(loss), **plots.look(index))
    ends.append(plots.End(1000, float(np.log10(loss[-1])), name, plots.COLORS[index]))
    first = np.flatnonzero(loss < 0.5 * task.baseline(()))
    when = int(progress.step[first[0]]) if first.size else "never"
    print(f"{name}: half the memoryless loss at update {when}, {loss[-1]:.4f} at the end")
plots.theory_line(ax, np.array([0, 1000]), np.full(2, np.log10(task.baseline(()))))
ax.set(xlabel="updates", ylabel="log10 of the mean squared error", xlim=(0, 1000))
plots.title(ax, "Adding problem, 40 steps, one seed")
plots.direct_labels(ax, ends)
figure

# %% [markdown]
# One seed of one task decides nothing; `experiments/learning/gru_vs_lstm.py` has lengths and seeds, and
# [docs/claims.md](../docs/claims.md), rows 17 to 19, what it found.
#
# | | take |
# |---|---|
# | short sequences, few data, little time | a GRU: a quarter fewer parameters |
# | long dependencies | either, with a bias that fits the length (`forget_bias="chrono(t_max=…)"`); try the GRU first |
# | a memory that must outlive what is said now | an LSTM, whose output gate hides $C_t$ from $h_t$ |
# | weights from cuDNN, PyTorch or Keras | whichever they have; `rnnlab.GRU(…, reset_after=True)` is their GRU |

# %% [markdown]
# ## What to try
#
# - `tasks.by_name("adding", length=100)`: who is ahead now? Give each cell a learning rate of its own.
# - Five seeds instead of one; then `rnnlab run gru_vs_lstm`, which decides it.
# - `forget_bias="chrono(t_max=100)"` for both.
