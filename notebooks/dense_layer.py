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
# # One layer, seven families
#
# A fully connected layer is $y = g(W x + b)$ and nothing else. What it is *for* depends on where
# it stands: it is all of an MLP, the classifier of a CNN, the read-out of an RNN or LSTM, the
# projections and the feed-forward part of a Transformer, the map from the latent space in a GAN,
# squeeze and rebuild in an autoencoder, and the score of attention.
#
# Below are seven small Flax networks, each trained on handwritten digits (the last on a task of
# its own). For each, two questions are put that could come out the other way:
#
# 1. is the number that leaves the layer $W x + b$ of what went in, by hand and to rounding?
# 2. how much worse is the network when its fully connected layers stay as they were drawn, and
#    only the rest learns?

# %% [markdown]
# **Question.** What does one fully connected layer do in seven families of networks?
#
# **Answer.** Everywhere it is W x + b; what it is worth differs: frozen as drawn, the classifier of a CNN loses 5.6 points, attention is right for 32% instead of 100 (chance 12.5%).

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from sklearn.datasets import load_digits

import rnnlab
from rnnlab.bert import encoder
from rnnlab.nn import equations, losses, models
from rnnlab.plotting import plots

# %matplotlib inline

digits = load_digits()
pixels = jnp.asarray(digits.data / 16, jnp.float32)  # (1797, 64), 0 to 1
labels = jnp.asarray(digits.target, jnp.int32)
CUT = 1400  # the rest is held out

# %% [markdown]
# One function trains them all. `frozen` names the layers that are left as drawn: their updates are
# multiplied by 0, so that both ways are one compiled program.


# %%
def trainer(loss, draw, steps, rate=5e-3):
    """(params, frozen=()) -> trained ones, by Adam; loss(params, batch), draw(key) -> batch."""
    adam = optax.adam(rate)

    @jax.jit
    def run(params, learns):
        def update(carry, key):
            params, state = carry
            gradient = jax.grad(loss)(params, draw(key))
            change, state = adam.update(gradient, state)
            change = jax.tree.map(jnp.multiply, learns, change)
            return (optax.apply_updates(params, change), state), None

        keys = jax.random.split(jax.random.key(1), steps)
        return jax.lax.scan(update, (params, adam.init(params)), keys)[0][0]

    def train(params, frozen=()):
        def learns(path, leaf):
            names = {getattr(part, "key", None) for part in path}
            return jnp.float32(not names & set(frozen))

        return run(params, jax.tree_util.tree_map_with_path(learns, params))

    return train


def some_digits(key):
    rows = jax.random.randint(key, (64,), 0, CUT)
    return pixels[rows], labels[rows]


def by_hand(model, params, inputs, name):
    """Largest |y − (W x + b)| of a layer, over the largest |y|: x and y as they went by."""
    seen = {}

    def spy(call, args, kwargs, context):
        out = call(*args, **kwargs)
        if context.module.name == name and context.method_name == "__call__":
            seen.update(x=args[0], y=out, **context.module.variables["params"])
        return out

    with nn.intercept_methods(spy):
        model.apply(params, inputs)
    expected = np.asarray(seen["x"], float) @ np.asarray(seen["kernel"], float)
    expected = expected + np.asarray(seen.get("bias", 0.0), float)
    return float(np.abs(seen["y"] - expected).max() / np.abs(expected).max())


rows = []  # (family, what its fully connected layers are, score as drawn, frozen, learned)


def classify(family, job, model, dense, steps, look):
    """Train a classifier of digits with its layers ``dense`` learning, and with them frozen."""
    drawn = jax.jit(model.init)(jax.random.key(0), pixels[:1])

    def loss(params, batch):
        return losses.cross_entropy(model.apply(params, batch[0]), batch[1])

    def accuracy(params):
        return float((model.apply(params, pixels[CUT:]).argmax(-1) == labels[CUT:]).mean())

    train = trainer(loss, some_digits, steps)
    learned, still = train(drawn), train(drawn, frozen=dense)
    error = by_hand(model, learned, pixels[CUT:], look)
    rows.append((family, job, *(accuracy(p) for p in (drawn, still, learned))))
    print("%s: accuracy %.3f drawn, %.3f frozen, %.3f learned; "
          "off W x + b by %.0e" % (family, *rows[-1][2:], error))
    assert error < 1e-5
    return learned


# %% [markdown]
# ## 1. MLP: the whole computation


# %%
class MLP(nn.Module):
    """Pixels to hidden units to classes: y = W₂ tanh(W₁ x + b₁) + b₂."""

    @nn.compact
    def __call__(self, x):
        hidden = jnp.tanh(nn.Dense(32, name="hidden")(x))
        return nn.Dense(10, name="classes")(hidden)


_ = classify("MLP", "all of it", MLP(), ("hidden", "classes"), 300, "classes")

# %% [markdown]
# Frozen, nothing is left to learn: it stays at chance.
#
# ## 2. CNN: the classifier
#
# Convolutions look at 3x3 pixels at a time; the fully connected layer puts what they found all
# over the picture together and names the digit.


# %%
class CNN(nn.Module):
    """Two convolutions, then W x + b of everything they found."""

    @nn.compact
    def __call__(self, x):
        x = x.reshape(-1, 8, 8, 1)
        for features in (8, 16):
            x = nn.relu(nn.Conv(features, (3, 3), strides=2)(x))
        return nn.Dense(10, name="classes")(x.reshape(len(x), -1))


_ = classify("CNN", "classifier", CNN(), ("classes",), 150, "classes")

# %% [markdown]
# Even a classifier that was only drawn does, when the convolutions below it learn to serve it:
# what it *computes* is the classification, what it *learns* may be spared. (It is a fixed linear
# map of many features to ten, and there is room to turn the features to fit it.)
#
# ## 3. RNN and LSTM: the read-out
#
# The digit is read row by row, eight pixels a step. `models.ManyToOne` is rnnlab's own Flax
# module; its read-out is $y_T = W_{hy} h_T + b_y$, `cells.output`.

# %%
for family, cell in (("RNN", rnnlab.RNN(32)), ("LSTM", rnnlab.LSTM(32))):
    reader = models.ManyToOne(cell, outputs=10)
    drawn = jax.jit(reader.init)(jax.random.key(0), jnp.zeros((1, 8, 8)))

    def read(params, x, reader=reader):
        return reader.apply(params, x.reshape(-1, 8, 8))[0]

    def loss(params, batch, read=read):
        return losses.cross_entropy(read(params, batch[0]), batch[1])

    def accuracy(params, read=read):
        return float((read(params, pixels[CUT:]).argmax(-1) == labels[CUT:]).mean())

    train = trainer(loss, some_digits, 300)
    learned, still = train(drawn), train(drawn, frozen=("W_hy", "b_y"))
    p = learned["params"]
    h_T = rnnlab.unroll(cell, p["recurrent"], pixels[CUT:].reshape(-1, 8, 8))[1].h
    said = read(learned, pixels[CUT:])
    off = float(jnp.abs(equations.output(h_T, p["W_hy"], p["b_y"], "identity") - said).max())
    rows.append((family, "read-out of h_T", *(accuracy(p) for p in (drawn, still, learned))))
    print("%s: accuracy %.3f drawn, %.3f frozen, %.3f learned; off by %.0e"
          % (family, *rows[-1][2:], off))
    assert off < 1e-4

# %% [markdown]
# ## 4. Transformer: projections and feed-forward
#
# Eight tokens, one a row of the picture. $Q$, $K$ and $V$ are fully connected layers of the
# tokens; the weights $\operatorname{softmax}(QK^\top/\sqrt d)$ themselves have no parameters at
# all (`encoder.attention_weights`). The feed-forward part is two more.


# %%
class Transformer(nn.Module):
    """One post-layer-norm block of one head over eight tokens, and their mean read out."""

    @nn.compact
    def __call__(self, x):
        place = self.param("place", nn.initializers.normal(0.02), (8, 32))
        h = nn.Dense(32, name="tokens")(x.reshape(-1, 8, 8)) + place
        Q, K, V = (nn.Dense(32, name=name)(h) for name in ("query", "key", "value"))
        mixed = encoder.attend(encoder.attention_weights(Q, K), V)
        h = nn.LayerNorm()(h + nn.Dense(32, name="output")(mixed))
        inner = nn.gelu(nn.Dense(64, name="inner")(h))
        h = nn.LayerNorm()(h + nn.Dense(32, name="outer")(inner))
        return nn.Dense(10, name="classes")(h.mean(axis=1))


inside = ("tokens", "query", "key", "value", "output", "inner", "outer")
_ = classify("Transformer", "projections, feed-forward", Transformer(), inside, 300, "query")

# %% [markdown]
# ## 5. GAN: from the latent space to the picture
#
# The generator is fully connected layers from 8 random numbers to 64 pixels; the discriminator,
# two more, tells its pictures from real ones. How good the pictures are is measured by the
# Fréchet distance of mean and covariance between 1,000 of them and the digits held out: 0 if they
# are the same.


# %%
class Generator(nn.Module):
    """Latent z to pixels."""

    @nn.compact
    def __call__(self, z):
        return nn.sigmoid(nn.Dense(64, name="pixels")(nn.relu(nn.Dense(64, name="latent")(z))))


class Discriminator(nn.Module):
    """The logit of "this picture is real"."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="score")(nn.leaky_relu(nn.Dense(64, name="look")(x), 0.2))[:, 0]


def frechet(a, b):
    """‖μ_a − μ_b‖² + tr(C_a + C_b − 2 (C_a C_b)^½)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    C_a, C_b = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.maximum(np.linalg.eigvals(C_a @ C_b).real, 0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(C_a + C_b) - 2 * root)


generator, discriminator = Generator(), Discriminator()
drawn = {
    "generator": generator.init(jax.random.key(0), jnp.zeros((1, 8))),
    "discriminator": discriminator.init(jax.random.key(1), pixels[:1]),
}


def duel(params, batch):
    """Both losses in one: each player's gradient reaches its own parameters only."""
    real, z = batch
    made = generator.apply(params["generator"], z)
    fixed = jax.lax.stop_gradient(params["discriminator"])
    judge = params["discriminator"]
    on_real = discriminator.apply(judge, real)
    on_made = discriminator.apply(judge, jax.lax.stop_gradient(made))
    told = nn.softplus(-on_real).mean() + nn.softplus(on_made).mean()
    return told + nn.softplus(-discriminator.apply(fixed, made)).mean()


def real_and_latent(key):
    return some_digits(key)[0], jax.random.normal(key, (64, 8))


z = jax.random.normal(jax.random.key(9), (1000, 8))
trained = trainer(duel, real_and_latent, 3000, 1e-3)(drawn)
noise = {
    name: generator.apply(params["generator"], z)
    for name, params in {"drawn": drawn, "learned": trained}.items()
}
distances = {name: frechet(made, pixels[CUT:]) for name, made in noise.items()}
floor = frechet(pixels[:CUT], pixels[CUT:])
print({name: round(d, 2) for name, d in distances.items()}, "real against real %.2f" % floor)
assert distances["learned"] < 0.75 * distances["drawn"]

# %% [markdown]
# ## 6. Autoencoder: squeeze and rebuild
#
# 64 pixels to 4 numbers and back. The best *linear* squeeze to 4 numbers is PCA's; with a bend
# between its fully connected layers the network should leave less.


# %%
class Autoencoder(nn.Module):
    """64 pixels to 4 numbers and back."""

    @nn.compact
    def __call__(self, x):
        code = nn.Dense(4, name="code")(nn.relu(nn.Dense(64, name="squeeze")(x)))
        return nn.sigmoid(nn.Dense(64, name="pixels")(nn.relu(nn.Dense(64, name="rebuild")(code))))


auto = Autoencoder()
drawn = auto.init(jax.random.key(0), pixels[:1])


def rebuilt(params, batch):
    return jnp.square(auto.apply(params, batch[0]) - batch[0]).mean()


train = trainer(rebuilt, some_digits, 3000)
learned, still = train(drawn), train(drawn, frozen=("squeeze", "code", "rebuild"))
mean = pixels[:CUT].mean(0)
axes = np.linalg.svd(np.asarray(pixels[:CUT] - mean), full_matrices=False)[2][:4]
centered = np.asarray(pixels[CUT:] - mean)
pca = float(np.square(centered - centered @ axes.T @ axes).mean())
left = {name: float(rebuilt(p, (pixels[CUT:], None)))
        for name, p in (("drawn", drawn), ("frozen", still), ("learned", learned))}  # fmt: skip
off = by_hand(auto, learned, pixels[CUT:], "code")
print({name: round(e, 4) for name, e in left.items()}, "PCA %.4f; off by %.0e" % (pca, off))
assert left["learned"] < left["frozen"]

# %% [markdown]
# ## 7. Attention: the score
#
# Eight pairs of a key and a value, and a query that is one of the keys: say its value. The score
# of place $t$ is $e_t = v^\top \tanh(W_k k_t + W_q q)$ (Bahdanau et al. 2015), three fully
# connected layers; what is read is $\sum_t \operatorname{softmax}(e)_t\, v_t$, changed by a
# fourth.


# %%
class Attention(nn.Module):
    """Look up a query among keys; the context vector is transformed to the answer."""

    @nn.compact
    def __call__(self, inputs):
        keys, values, query = inputs
        K = nn.Dense(32, name="keys", use_bias=False)(keys)
        q = nn.Dense(32, name="query")(query)
        score = nn.Dense(1, name="score", use_bias=False)(jnp.tanh(K + q[:, None]))[..., 0]
        weights = nn.softmax(score)
        self.sow("intermediates", "weights", weights)
        return nn.Dense(8, name="context")(jnp.einsum("bt,btv->bv", weights, values))


def pairs(key, size=64):
    """Keys in random order, any values, one key asked: (inputs, answers)."""
    key_order, key_values, key_asked = jax.random.split(key, 3)
    order = jax.vmap(lambda k: jax.random.permutation(k, 8))(jax.random.split(key_order, size))
    values = jax.random.randint(key_values, (size, 8), 0, 8)
    asked = jax.random.randint(key_asked, (size,), 0, 8)
    place = (order == asked[:, None]).argmax(axis=1)
    answers = jnp.take_along_axis(values, place[:, None], axis=1)[:, 0]
    hot = (jax.nn.one_hot(order, 8), jax.nn.one_hot(values, 8), jax.nn.one_hot(asked, 8))
    return hot, answers, place


look_up = Attention()
test = pairs(jax.random.key(5), 500)
drawn = look_up.init(jax.random.key(0), test[0])


def answered(params, batch):
    return losses.cross_entropy(look_up.apply(params, batch[0]), batch[1])


train = trainer(answered, pairs, 800, 1e-2)
still = train(drawn, frozen=("keys", "query", "score"))
scores = {"drawn": drawn, "frozen": still, "learned": train(drawn)}
right = {name: float((look_up.apply(p, test[0]).argmax(-1) == test[1]).mean())
         for name, p in scores.items()}  # fmt: skip
_, seen = look_up.apply(scores["learned"], test[0], mutable="intermediates")
weights = np.asarray(seen["intermediates"]["weights"][0])
found = float((weights.argmax(axis=1) == np.asarray(test[2])).mean())
off = by_hand(look_up, scores["learned"], test[0], "score")
print({name: round(a, 3) for name, a in right.items()},
      "chance %.3f; looks at the right place: %.3f; off by %.0e" % (1 / 8, found, off))
rows.append(("attention", "score", *right.values()))
assert right["learned"] > 0.9 > right["frozen"]

# %% [markdown]
# ## All of them
#
# Left, what each says with its fully connected layers as drawn (everything else too), with those
# layers frozen and the rest learning, and with all learning. Right, what the GAN's layers make of
# the same random numbers, and the autoencoder of digits held out.

# %%
figure, axes = plots.new_figure(1, 2, size=(10.5, 4.2), widths=(1.25, 1))
ax, shown = axes[0]
for y, (_, _, *scores) in enumerate(rows):
    ax.plot(scores, [y] * 3, color="#bbbbbb", zorder=1)
    for x, mark, index in zip(scores, "xso", (2, 1, 3), strict=True):
        ax.plot(x, y, mark, color=plots.COLORS[index], markersize=7, zorder=2)
ax.set_yticks(range(len(rows)), [f"{family}: {job}" for family, job, *_ in rows])
ax.set(xlim=(0, 1.02), ylim=(len(rows) - 0.4, -0.9), xlabel="accuracy, held out")
for x, text, index in ((0.1, "× drawn", 2), (0.4, "■ frozen", 1), (0.72, "● learned", 3)):
    ax.text(x, -0.55, text, color=plots.COLORS[index], fontsize=9)
plots.title(ax, "Classification and look-up")
again = auto.apply(learned, pixels[CUT : CUT + 8])
strips = (noise["drawn"][:8], noise["learned"][:8], pixels[CUT : CUT + 8], again)
names = ("GAN, drawn", "GAN, learned", "digits", "rebuilt from 4")
board = np.concatenate(
    [np.pad(np.concatenate(list(np.asarray(s).reshape(8, 8, 8)), axis=1), ((0, 2), (0, 0)))
     for s in strips]
)  # fmt: skip
shown.imshow(board, cmap="gray_r", vmin=0, vmax=1)
shown.grid(False)
shown.set_xticks([])
shown.set_yticks([3.5 + 10 * k for k in range(4)], names)
plots.title(shown, "Latent space, squeeze and rebuild")
figure

# %% [markdown]
# ## What to try
#
# - Freeze everything but the fully connected layer: which families still learn?
# - A code of 2 numbers in the autoencoder: is it still better than PCA?
# - Twice the width of the frozen layer in the Transformer.
