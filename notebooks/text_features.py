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
# # Text features, from bag of words to BERT
#
# How does a sentence become numbers? Seven answers, each on the same few sentences, each with
# what it sees that the one before it did not, and what it still does not see.

# %% [markdown]
# **Question.** How does a sentence become numbers, and what does each way not see?
#
# **Answer.** Each of the seven ways sees one thing more than the one before it: counts, rarity, saturation, order nearby, likeness, word form, context.

# %%
import jax
import numpy as np

from rnnlab.bert import contextual, encoder, wordpiece
from rnnlab.embeddings import corpus, fasttext, skipgram, subwords
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors, cosine
from rnnlab.plotting import plots
from rnnlab.sparse import bm25
from rnnlab.sparse.analysis import Analysis
from rnnlab.sparse.bag_of_words import bag_of_words
from rnnlab.sparse.ngram import ngrams
from rnnlab.sparse.tfidf import inverse_document_frequency, tf_idf
from rnnlab.text.tokenizers import Whitespace

# %matplotlib inline

sentences = ["猫 喜欢 鱼", "狗 不 喜欢 鱼"]  # the cat likes fish; the dog does not like fish
vocabulary = ["猫", "狗", "喜欢", "不", "鱼"]
words = Analysis(token_pattern=r"\w+")  # words of one character count


def show(rows, names=vocabulary):
    for sentence, row in zip(sentences, rows, strict=True):
        print(sentence.ljust(10), {n: round(float(x), 3) for n, x in zip(names, row, strict=True)})


# %% [markdown]
# ## 1. Bag of words: how often each word occurs

# %%
counts = bag_of_words(sentences, vocabulary, words).matrix
show(counts.toarray())
turned = bag_of_words(["鱼 喜欢 猫"], vocabulary, words).matrix  # the fish likes the cat
print("鱼 喜欢 猫 has the vector of 猫 喜欢 鱼:", bool((turned.toarray() == counts[[0]].toarray()).all()))
assert (turned.toarray() == counts[[0]].toarray()).all()

# %% [markdown]
# The order is lost, and who eats whom with it. And every word counts alike.
#
# ## 2. TF-IDF: rare words count more
#
# $\mathrm{tf}\cdot\log\frac{N}{1 + \mathrm{df}}$, the notes' formula:

# %%
df = (counts.toarray() > 0).sum(axis=0)
notes = inverse_document_frequency(df, len(sentences))
show(tf_idf(counts, notes).toarray())
print("idf of a word in 1 of 2 sentences: %.3f, in both: %.3f" % (notes[0], notes[2]))

# %% [markdown]
# With two sentences that formula is at its limit: a word of one sentence weighs exactly
# $\log\frac{2}{2} = 0$ and one of both is negative. Its order is right, its zero is not. The
# smoothed one of scikit-learn keeps all weights above zero; over many documents the two differ by
# about 1 and put words in the same order:

# %%
show(tf_idf(counts, inverse_document_frequency(df, 2, "smooth")).toarray())
for df_of_100 in (1, 10, 50, 99):
    both = [float(inverse_document_frequency(df_of_100, 100, kind)) for kind in ("notes", "smooth")]
    print(f"in {df_of_100:2d} of 100 documents: the notes' {both[0]:.2f}, smooth {both[1]:.2f}")

# %% [markdown]
# ## 3. BM25: a word's tenth occurrence says less than its first
#
# Term frequency saturates by $k_1$, length is normalized by $b$, and idf is
# $\log\frac{N - \mathrm{df} + .5}{\mathrm{df} + .5}$.

# %%
figure, axes = plots.new_figure(1, 2, size=(10, 3.6))
tf, ends = np.arange(0, 21), []
for index, k1 in enumerate((0.5, 1.5, 3.0)):
    part = bm25.frequency_part(tf, 10, 10, k1=k1, variant="robertson")
    axes[0, 0].plot(tf, part, **plots.look(index))
    ends.append(plots.End(20, float(part[-1]), f"k₁ = {k1}", plots.COLORS[index]))
axes[0, 0].set(xlabel="occurrences of the word", ylabel="weight", ylim=(0, 4), xlim=(0, 20))
plots.title(axes[0, 0], "Saturation")
plots.direct_labels(axes[0, 0], ends)
found, ends = np.arange(0, 101), []
for index, (name, idf) in enumerate({
    "TF-IDF, the notes'": inverse_document_frequency(found, 100),
    "BM25, the notes'": bm25.idf(found, 100, "robertson"),
    "BM25, Lucene's": bm25.idf(found, 100),
}.items()):  # fmt: skip
    axes[0, 1].plot(found, idf, **plots.look(index))
    ends.append(plots.End(100, float(idf[-1]), name, plots.COLORS[index]))
axes[0, 1].axhline(0, color="#777777", linewidth=0.8)
axes[0, 1].set(xlabel="documents of 100 that have the word", ylabel="idf", xlim=(0, 100))
plots.title(axes[0, 1], "What a word is worth")
plots.direct_labels(axes[0, 1], ends)
figure

# %% [markdown]
# The notes' BM25 idf is finite at both ends, and negative beyond one half.
#
# ## 4. n-grams: some order, at a price

# %%
tokens = Whitespace()(["猫 喜欢 吃 鱼"])
for n in (1, 2, 3):
    print(n, ngrams(tokens, n, n).terms.to_pylist())
pairs = Analysis(token_pattern=r"\w+", ngram_range=(2, 2))
both = bag_of_words(["猫 喜欢 鱼", "鱼 喜欢 猫"], ["猫 喜欢", "喜欢 鱼", "鱼 喜欢", "喜欢 猫"], pairs)
print("pairs tell 猫 喜欢 鱼 from 鱼 喜欢 猫:", both.matrix.toarray().tolist())

# %% [markdown]
# ## 5. Word2Vec: a word is what stands around it
#
# CBOW guesses a word from its neighbors, skip-gram the neighbors from the word. In
# 猫 喜欢 吃 鱼 the pairs are:

# %%
sentence = "猫 喜欢 吃 鱼".split()
for center, word in enumerate(sentence):
    print("CBOW", [w for w in sentence if w != word], "→", word, "   skip-gram", word, "→",
          [w for place, w in enumerate(sentence) if place != center])  # fmt: skip

# %% [markdown]
# Four kinds of sentences, many times: 猫 and 狗 do the same things, 鱼 and 肉 are eaten, 书 and 报
# are read. No vector is told which words are alike.

# %%
rng = np.random.default_rng(0)
texts = []
for _ in range(600):
    who, what = rng.choice(["猫", "狗"]), rng.choice(["鱼", "肉"])
    texts.append(f"{who} {rng.choice(['喜欢', '想'])} 吃 {what}")
    who, what = rng.choice(["学生", "老师"]), rng.choice(["书", "报"])
    texts.append(f"{who} {rng.choice(['喜欢', '想'])} 读 {what}")
read = corpus.of_documents(texts, Whitespace())
settings = Settings(size=12, window=3, epochs=12, sample=0, learning_rate=0.05, engine="jax",
                    minn=1, maxn=2, buckets=500, bound=8.0)  # fmt: skip
vectors = Vectors.of(skipgram.train(read, settings))
like = {pair: vectors.similarity(*pair) for pair in
        (("猫", "狗"), ("学生", "老师"), ("猫", "老师"), ("鱼", "肉"), ("鱼", "书"))}  # fmt: skip
for (a, b), value in like.items():
    print(f"cos({a}, {b}) = {value:.2f}")
assert like["猫", "狗"] > like["猫", "老师"]
assert like["鱼", "肉"] > like["鱼", "书"]
try:
    vectors["小猫"]
except KeyError as unseen:
    print("小猫 (kitten):", unseen.args[0])

# %% [markdown]
# Dense vectors of 12 numbers in which alike is near; but no vector for a word that was not seen.
#
# ## 6. FastText: a word is also its parts
#
# Its vector is the mean over its character n-grams, so that a new word made of known parts has
# one.

# %%
print("n-grams of 小猫:", subwords.ngrams("小猫", 1, 2))
parts = Vectors.of(fasttext.train(read, settings))
print("小猫 is nearest to", ", ".join(f"{w} {c:.2f}" for w, c in parts.neighbors("小猫", 3)))
assert parts.has("小猫")
assert not vectors.has("小猫")

# %% [markdown]
# ## 7. BERT: a word in its sentence
#
# Word2Vec has one vector for "bank". In BERT every token looks at every other, so that its vector
# is of *this* sentence. That is already so with random weights:

# %%
banks = ["I went to the bank.", "The bank lends money.", "We sat on the river bank."]
tokenizer = wordpiece.train(banks * 2, vocab_size=80)
config = encoder.Config.named("tiny", vocab_size=tokenizer.get_vocab_size())
params = encoder.init_params(jax.random.key(0), config)
rows = contextual.word_vectors(config, params, tokenizer, banks, "bank")
likeness = cosine(rows, rows)
print("one word, three sentences, three vectors; cosines:\n", likeness.round(4))
assert (likeness[np.triu_indices(3, 1)] < 1).all()

# %% [markdown]
# What random weights do not give is a *sensible* difference: that money banks are nearer to each
# other than to river banks has to be learned, by guessing masked words and next sentences.
# `experiments/bert/bert_pretraining.py` does so on a small scale, and
# `experiments/bert/contextual_vectors.py` measures the difference against random weights and against
# Word2Vec.
#
# ## Side by side

# %%
rows = {
    "bag of words": ("occurrences", "order, weight, meaning", len(vocabulary)),
    "TF-IDF": ("+ what is rare", "order, meaning", len(vocabulary)),
    "BM25": ("+ saturation, length", "order, meaning", len(vocabulary)),
    "2-grams": ("+ order nearby", "meaning", len(both.matrix.toarray()[0])),
    "Word2Vec": ("+ likeness", "new words, context", vectors.dimension),
    "FastText": ("+ form, new words", "context", parts.dimension),
    "BERT": ("+ context", "is slow, needs much text", config.hidden_size),
}
for name, (sees, not_yet, size) in rows.items():
    print(f"{name:13} {size:4} numbers here   sees {sees:22} not yet: {not_yet}")

# %% [markdown]
# ## What to try
#
# - A sentence of your own in place of 猫 喜欢 鱼: which features tell it from its reversal?
# - `k1=0` and `b=0` in BM25: which part of the formula is left?
# - A misspelled word: who has a vector for it?
