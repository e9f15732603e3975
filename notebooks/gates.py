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
# # The gates of an LSTM and a GRU, opened on a real sentence
#
# The equations say what a gate *can* do: $f_t$ near 1 keeps the memory, near 0 clears it; $z_t$
# near 1 keeps the state, near 0 takes the candidate. What do they do once trained? Two small
# networks learn from sentences of film reviews whether a film is good; then we watch them read
# one that they have never seen.

# %% [markdown]
# **Question.** What do the gates of a trained LSTM and GRU do while they read?
#
# **Answer.** They are the memory: with the forget gate held at 1 or at 0 the LSTM's answer on a review falls from bad, 0.76, to a coin toss or to the wrong side.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import rnnlab
from rnnlab.nn.layers import as_layer
from rnnlab import InitScheme, tasks, training
from rnnlab.nn import equations, models
from rnnlab.plotting import plots
from rnnlab.tasks.model import model_for_task
from rnnlab.training.optimizers import Hyper, Optimizer

# %matplotlib inline

task = tasks.by_name("movie_reviews", max_length=24)
data = task.load()
hyper = Hyper(learning_rate=1e-2, clip_norm=1.0, weight_decay=0.0, omega=0.0)
print(len(data.train), "sentences to learn from,", len(data.test), "held out,",
      task.input_size, "words")  # fmt: skip

# %% [markdown]
# ## 1. Two readers
#
# Word vectors of 16 numbers, 16 units, one answer at the end. Forget biases of 1, as the notes
# advise: $b_f$ for the LSTM, $b_z$ for the GRU.

# %%
names = {"LSTM": rnnlab.LSTM, "GRU": rnnlab.GRU}
members = {}
for name, make in names.items():
    init = InitScheme(w_h="orthogonal", forget_bias=1.0)
    cell = make(16, init=init)
    model = model_for_task(task, as_layer(cell), init, embedding_size=16)
    settings = training.Settings(Optimizer(schedule="linear", steps=300), eval_every=300,
                                 eval_batch_size=len(data.test), stop_when_solved=False)  # fmt: skip
    setup = training.Setup(task, models.without_init(model), settings)
    drawn = jax.jit(partial(training.draw_params, model, task=task))(jax.random.key(0))
    train = jax.jit(rnnlab.make_train(setup))
    state, progress = train(jax.random.key(1), hyper, drawn, data)
    members[name] = (cell, setup.model, state.params)
    print(f"{name}: accuracy {float(progress.score['accuracy'][-1]):.3f}, chance 0.5")
    assert progress.score["accuracy"][-1] > 0.6

# %% [markdown]
# ## 2. A sentence
#
# The first sentence held out with "but" in its middle which both judge rightly. Each model is
# asked after every word what it would say if the sentence ended there.


# %%
def logits(name, words):
    """What the network says after each word: (T, 2)."""
    cell, _, params = members[name]
    p = params["params"]
    xs = p["embedding"][task.encode(words)][None]
    ys, _ = rnnlab.unroll(cell, p["recurrent"], xs)
    return equations.output(ys[0], p["W_hy"], p["b_y"], "identity")


answers = [model.apply(params, data.test, lengths=data.test_lengths)[0].argmax(-1)
           for _, model, params in members.values()]  # fmt: skip
right = np.all([np.asarray(a) == data.test_labels for a in answers], axis=0)
split = task.split()
for text, label, both_right in zip(split.test_texts, split.test_labels, right, strict=True):
    words = task.tokens(text)
    if both_right and 10 <= len(words) <= 18 and "but" in words[4:-4]:
        break
said = {name: np.asarray(logits(name, words)) for name in members}
print(" ".join(words), "→", ("bad", "good")[label])
for name, rows in said.items():
    print(f"{name}: {task.say(words, jnp.asarray(rows[-1]))}")

# %% [markdown]
# ## 3. The gates, word by word
#
# `unroll(..., taps=...)` hands out gates and states beside the outputs. First a check that they
# are the equations' own: $C_t = f_t * C_{t-1} + i_t * \tilde C_t$ and
# $h_t = z_t * h_{t-1} + (1 - z_t) * \tilde h_t$.

# %%
taps = {}
for name, wanted in (("LSTM", ("f", "i", "o", "C", "C_tilde")), ("GRU", ("z", "r", "h_tilde"))):
    cell, _, params = members[name]
    xs = params["params"]["embedding"][task.encode(words)][None]
    ys, _, seen = rnnlab.unroll(cell, params["params"]["recurrent"], xs, taps=wanted)
    taps[name] = {key: np.asarray(value[0]) for key, value in seen.items()} | {"h": np.asarray(ys[0])}


def before(states):
    """s_{t−1} of every step; s_0 = 0."""
    return np.concatenate([np.zeros_like(states[:1]), states[:-1]])


lstm, gru = taps["LSTM"], taps["GRU"]
C = equations.cell_state(lstm["f"], before(lstm["C"]), lstm["i"], lstm["C_tilde"])
h = equations.gru_hidden(gru["z"], before(gru["h"]), gru["h_tilde"])
print("LSTM off by %.0e, GRU off by %.0e" % (np.abs(C - lstm["C"]).max(), np.abs(h - gru["h"]).max()))
assert np.abs(C - lstm["C"]).max() < 1e-5
assert np.abs(h - gru["h"]).max() < 1e-5

# %%
figure, axes = plots.new_figure(5, 1, size=(10, 9.5), share_x=True)
shown = (("LSTM", "f", "forget gate f"), ("LSTM", "i", "input gate i"), ("LSTM", "o", "output gate o"),
         ("GRU", "z", "update gate z (1: keeps)"), ("GRU", "r", "reset gate r"))  # fmt: skip
for ax, (name, gate, text) in zip(axes[:, 0], shown, strict=True):
    values = taps[name][gate]
    picture = ax.imshow(values.T, aspect="auto", cmap="RdBu_r", vmin=0, vmax=1)
    plots.title(ax, f"{name}, {text}: {values.mean():.2f} on average")
    ax.grid(False)
    ax.set_ylabel("unit")
axes[-1, 0].set_xticks(range(len(words)), words, rotation=45, ha="right")
figure.colorbar(picture, ax=axes[:, 0], shrink=0.4).set_label("0: shut (blue), 1: open (red)")
figure

# %% [markdown]
# Each unit has its own opinion at each word; no gate is simply open or shut. What that means for
# memory is a product: of what was written into the LSTM's memory at word $t$, the share
# $\prod_{s > t} f_s$ is left at the end; of the GRU's state $\prod_{s > t} z_s$ (that way; more
# comes back through $\tilde h$).

# %%
kept = {}
for name, gate in (("LSTM", "f"), ("GRU", "z")):
    after = taps[name][gate][1:][::-1]
    product = np.concatenate([np.ones((1, after.shape[1])), np.cumprod(after, axis=0)])[::-1]
    kept[name] = product
figure, axes = plots.new_figure(2, 1, size=(9.5, 6), share_x=True)
ends, good = [], []
for index, (name, product) in enumerate(kept.items(), 1):
    x = np.arange(len(words))
    ends.append(plots.band(axes[0, 0], x, product.T, f"{name}, ∏ {'fz'[index - 1]}", index))
    p_good = np.asarray(jax.nn.softmax(said[name], axis=-1))[:, 1]
    axes[1, 0].plot(x, p_good, **plots.look(index), marker="o", markersize=3)
    good.append(plots.End(x[-1], p_good[-1], name, plots.COLORS[index]))
axes[0, 0].set(ylim=(0, 1.02), ylabel="share left at the end")
plots.title(axes[0, 0], "What is kept of each word: median of the units, 10–90%")
axes[1, 0].axhline(0.5, color="#777777", linewidth=0.8)
axes[1, 0].set(ylim=(0, 1.02), ylabel="P(good)", xlim=(-0.5, len(words) - 0.5))
axes[1, 0].set_xticks(range(len(words)), words, rotation=45, ha="right")
plots.title(axes[1, 0], "What each would say if the sentence ended here")
plots.direct_labels(axes[0, 0], ends)
plots.direct_labels(axes[1, 0], good)
figure

# %% [markdown]
# ## 4. Is it the gates?
#
# Held at 1, a forget gate forgets nothing, at 0 everything. The equations are pure functions, so
# that a gate can be set by hand and the sentence read again.


# %%
def read_with(f):
    """The LSTM's answer with its forget gate set to f at every step (None: as it is)."""
    cell, _, params = members["LSTM"]
    p = params["params"]
    state = cell.initial_state(p["recurrent"], ())
    for x in p["embedding"][task.encode(words)]:
        old = state
        state, _, gates = cell.step(p["recurrent"], old, x)
        if f is not None:
            C = equations.cell_state(jnp.full(16, f), old.C, gates.i, gates.C_tilde)
            state = state._replace(C=C, h=equations.lstm_hidden(gates.o, C))
    return task.say(words, equations.output(state.h, p["W_hy"], p["b_y"], "identity"))


print("as it is:   ", read_with(None))
print("f = 1:      ", read_with(1.0), " (forgets nothing)")
print("f = 0:      ", read_with(0.0), " (the last word and what h carries)")
assert read_with(None) == task.say(words, jnp.asarray(said["LSTM"][-1]))

# %% [markdown]
# `experiments/text_features/text_classification.py` measures these cells against bags of words on all
# reviews; `rnnlab predict RUN --stream --text=…` prints such a reading from a run of your own.

# %% [markdown]
# ## What to try
#
# - A sentence of your own, `words = task.tokens('…')` after the loop: does one negation turn the answer?
# - The input gate held at 1 in `read_with` instead of the forget gate.
# - `steps=900`: do the gates become more decided, and the answer better?
