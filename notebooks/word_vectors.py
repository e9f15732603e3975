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
# # Word vectors
#
# "You shall know a word by the company it keeps": skip-gram learns a vector for each word such
# that it foretells the words around it. Here from half a century of State of the Union speeches,
# in seconds; then we ask what the vectors know.

# %% [markdown]
# **Question.** What do word vectors know of words after some seconds of reading?
#
# **Answer.** Which words are used alike: of 20 words of four groups all have their nearest neighbor in their own group, and ρ on WordSim-353 rises to 0.4.

# %%
import numpy as np

from rnnlab.embeddings import corpus, evaluation, skipgram
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors, cosine
from rnnlab.plotting import plots
from rnnlab.text import corpora

# %matplotlib inline

speeches = corpora.speeches()
text = corpus.of_documents(speeches[::2], min_count=10)
print(len(speeches[::2]), "speeches:", text)

# %% [markdown]
# ## 1. Training
#
# $L = -\sum_{(c, o)} \big[\log \sigma(u_o \cdot v_c) + \sum_k \log \sigma(-u_k \cdot v_c)\big]$
# over all pairs of a word and its neighbor, with five words drawn from the noise for each.
# `watch` looks in while it trains.

# %%
seen = []
vectors = Vectors.of(
    skipgram.train(
        text,
        Settings(size=48, window=5, epochs=3, learning_rate=0.05),
        watch=lambda p: seen.append((p.tokens, Vectors.of(p.snapshot()))),
        looks=5,
    )
)
print(vectors)

# %% [markdown]
# ## 2. Neighbors

# %%
for word in ("war", "dollars", "children", "president", "three"):
    print(f"{word:10}", ", ".join(f"{w} {c:.2f}" for w, c in vectors.neighbors(word, top=6)))

# %% [markdown]
# ## 3. A map
#
# Four groups of words that mean something alike. Nobody told the vectors which word belongs
# where. Left, a dot a word, in the two directions in which they differ most; right, every cosine.

# %%
groups = {
    "numbers": ["two", "three", "four", "five", "six"],
    "months": ["january", "april", "june", "july", "december"],
    "nations": ["spain", "france", "mexico", "britain", "russia"],
    "arms": ["army", "navy", "troops", "forces", "military"],
}
words = [w for own in groups.values() for w in own]
rows = vectors.rows(words)
centered = rows - rows.mean(axis=0)
place = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T
likeness = cosine(rows, rows)
figure, axes = plots.new_figure(1, 2, size=(11, 4.8))
ax, grid = axes[0]
for index, own in enumerate(groups):
    where = slice(5 * index, 5 * index + 5)
    ax.plot(*place[where].T, "o", color=plots.COLORS[index], markersize=4)
    x, y = place[where].mean(axis=0)
    ax.annotate(own, (x, y + 0.22), ha="center", fontsize=10, color=plots.COLORS[index],
                in_layout=False)  # fmt: skip
ax.margins(0.2)
plots.title(ax, "Two directions of %d" % vectors.dimension)
picture = grid.imshow(likeness, cmap="RdBu_r", vmin=-1, vmax=1)
grid.grid(False)
grid.set_xticks(range(len(words)), words, rotation=90, fontsize=8)
grid.set_yticks(range(len(words)), words, fontsize=8)
figure.colorbar(picture, ax=grid).set_label("cosine")
plots.title(grid, "Every word with every other")
figure

# %%
kind = np.repeat(np.arange(len(groups)), 5)
apart = ~np.eye(len(words), dtype=bool)
inside = likeness[(kind[:, None] == kind) & apart].mean()
outside = likeness[kind[:, None] != kind].mean()
print(f"mean cosine inside a group {inside:.2f}, between groups {outside:.2f}")
nearest = np.where(apart, likeness, -1).argmax(axis=1)
print("the nearest of the others is of the same group for", int((kind[nearest] == kind).sum()),
      "of", len(words))  # fmt: skip
assert inside > outside + 0.1

# %% [markdown]
# ## 4. Against people's judgment
#
# WordSim-353 holds how alike people find two words; Spearman's $\rho$ says how well the cosines
# agree. It rises while the vectors learn. (A small text: many of its words are not here.)

# %%
found = [(tokens, evaluation.word_similarity(own)) for tokens, own in seen]
for tokens, own in found:
    print(f"after {tokens / 1e6:.1f}M words: ρ = {own.spearman:.3f} over {own.scored} pairs")

# %% [markdown]
# ## 5. What a word vector can't do
#
# One vector a word, whatever the sentence; none for a word that was not there.

# %%
try:
    vectors["smartphone"]
except KeyError as unseen:
    print(unseen.args[0])

# %% [markdown]
# FastText answers the second ([text_features](text_features.ipynb)), BERT the first.
# `experiments/text_features/word_vectors.py` compares skip-gram, CBOW, hierarchical softmax and FastText;
# `experiments/text_features/fasttext_oov.py` misspells words on purpose.

# %% [markdown]
# ## What to try
#
# - All speeches instead of every second: how much does ρ gain?
# - `window=2` and `window=10`: which neighbors are of the same topic, which of the same kind?
# - `vectors.most_similar(positive=[…], negative=[…])` for an analogy.
