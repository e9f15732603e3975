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
# # Why gradients vanish, seen and proved
#
# A recurrent network reads a sequence one step at a time and keeps what it has read in a hidden
# state $h_t$. To learn that something at the beginning matters at the end, the loss has to be
# felt there: $\partial L/\partial h_t$ must still be there after many steps back. This notebook
# follows it back, in three steps: the state, the product of Jacobians, the figure.

# %% [markdown]
# **Question.** Why does a recurrent network forget what it read first?
#
# **Answer.** The gradient is multiplied by one Jacobian per step, and in most directions they shrink it: after 199 steps a tanh RNN with orthogonal weights has lost some three decades, and one with small weights has nothing left that float32 can hold.

# %%
import jax
import jax.numpy as jnp
import numpy as np

import rnnlab
from rnnlab import InitScheme, gradients, theory
from rnnlab.data import sequences
from rnnlab.plotting import plots

# %matplotlib inline

# %% [markdown]
# ## 1. The hidden state
#
# $$h_t = \tanh(W_{hh} h_{t-1} + W_{xh} x_t + b_h)$$
#
# In code that is one pure function, `rnnlab.nn.equations.rnn_hidden`; `unroll` applies it along a
# sequence. Ours are real: handwritten digits read pixel by pixel, strung together to 200 steps.

# %%
data = sequences.by_name("digits", seed=0, batch_size=16, length=200)
xs = jnp.asarray(data.xs)

cell = rnnlab.RNN(64, init=InitScheme(w_h="orthogonal"))
params = cell.init_params(jax.random.key(0), input_size=1)
ys, final = rnnlab.unroll(cell, params, xs)
print("x", xs.shape, " h_1 … h_T", ys.shape, " h_T", final.h.shape)

# %%
figure, axes = plots.new_figure(2, 1, size=(9, 4), share_x=True)
axes[0, 0].plot(xs[0, :, 0], color=plots.COLORS[0])
plots.title(axes[0, 0], "One sequence: four digits, pixel by pixel")
axes[1, 0].imshow(np.asarray(ys[0, :, :32]).T, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1)
axes[1, 0].set(xlabel="time step t", ylabel="unit")
plots.title(axes[1, 0], "The states of 32 units, from −1 (blue) to 1 (red)")
figure

# %% [markdown]
# ## 2. The product of Jacobians
#
# How does $h_T$ depend on $h_t$? By the chain rule, through every state between them:
#
# $$\frac{\partial h_T}{\partial h_t} = J_T J_{T-1} \cdots J_{t+1}, \qquad
# J_s = \operatorname{diag}(1 - h_s^2)\, W_{hh}$$
#
# A product of many matrices shrinks or grows exponentially, unless each factor keeps lengths.
# First the case in which we know the answer: no tanh, and $W_{hh} = \alpha Q$ with $Q$
# orthogonal. Each step back then multiplies the gradient by exactly $\alpha$.


# %%
def last_step(ys):
    """A loss that looks at the last state only."""
    return ys[:, -1].sum()


linear = rnnlab.RNN(64, "identity", init=InitScheme(w_h="orthogonal(gain=0.9)"))
linear_params = linear.init_params(jax.random.key(1), input_size=1)
curve = gradients.adjoint_norms(linear, linear_params, xs, last_step)
lags = np.arange(200)
measured = np.asarray(curve.h[0, ::-1] - curve.h[0, -1])  # by lag, relative to lag 0
exact = theory.scaled_orthogonal_log10(0.9, lags)
print("after 199 steps: measured 10^%.4f, exact 10^%.4f" % (measured[-1], exact[-1]))
assert np.abs(measured - exact).max() < 1e-3

# %% [markdown]
# With tanh the factors are $\operatorname{diag}(1-h_s^2)\,Q$, and $1-h^2 < 1$ as soon as a unit
# is away from 0. The singular values of the product tell how each direction fares: over 10 steps
# some directions survive, over 100 they have all lost something.

# %%
spectrum = gradients.jacobian_spectrum(cell, params, xs[0], lags=(1, 10, 50, 100, 199))
for lag, values in zip((1, 10, 50, 100, 199), spectrum, strict=True):
    print(f"lag {lag:3d}: largest singular value 10^{values[0]:6.2f}, smallest 10^{values[-1]:7.2f}")

# %% [markdown]
# ## 3. The figure
#
# Now for several initializations and cells: `adjoint_norms` gives $\log_{10}\|\partial
# L/\partial h_t\|$ at every step, in one backward pass. It carries an exponent for every
# example, since small weights take the gradient to $10^{-200}$, where float32 (which ends at
# $10^{-45}$) would just show 0.

# %%
members = {
    "RNN, N(0, 0.01)": (rnnlab.RNN(64, init=InitScheme(w_h="normal(std=0.01)")), "h"),
    "RNN, Xavier": (rnnlab.RNN(64, init=InitScheme(w_h="xavier_uniform")), "h"),
    "RNN, orthogonal": (rnnlab.RNN(64, init=InitScheme(w_h="orthogonal")), "h"),
    "LSTM, b_f = 0": (rnnlab.LSTM(64, init=InitScheme(forget_bias=0.0)), "C"),
    "LSTM, b_f = 1": (rnnlab.LSTM(64, init=InitScheme(forget_bias=1.0)), "C"),
    "LSTM, chrono": (rnnlab.LSTM(64, init=InitScheme(forget_bias="chrono(t_max=200)")), "C"),
}
figure, axes = plots.new_figure(1, 1, size=(9, 4.8))
ax, ends = axes[0, 0], []
for index, (name, (member, part)) in enumerate(members.items()):
    drawn = member.init_params(jax.random.key(2), input_size=1)
    curve = gradients.adjoint_norms(member, drawn, xs, last_step)
    left = np.asarray(getattr(curve, part))[:, ::-1]  # index t to lag k
    left = left - left[:, :1]
    ends.append(plots.band(ax, lags, left, name, index))
ax.set(ylim=(-32, 4), xlabel="lag k (steps before the loss)")
ax.set_ylabel("log10 of the gradient left")
plots.direct_labels(ax, ends)
figure

# %% [markdown]
# - Small weights lose one decade a step: nothing reaches even 50 steps back.
# - Orthogonal and Xavier weights are far better, but a tanh RNN still loses decades.
# - An LSTM is no cure by itself: with $b_f = 0$ the forget gate is $\tfrac12$ and $2^{-200}$
#   alone would be $10^{-60}$. What keeps the gradient is a forget bias that fits the length,
#   as chrono's: $b_f = \log u$, $u \sim U[1, T-1]$.
#
# `rnnlab run --config=experiments/gradients/gradient_vanishing.py` does this for every cell, scheme and
# seed, with the theory laid over it and each claim decided.

# %% [markdown]
# ## What to try
#
# - `orthogonal(gain=1.1)` for the tanh RNN: where does the gradient explode, and where does tanh hold it?
# - `forget_bias=3.0`: which lags does a fixed bias serve as well as chrono does?
# - A GRU in `members`: draw `curve.h`, since it has no memory beside its state.
