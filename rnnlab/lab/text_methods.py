"""Methods that classify texts: sparse features, mean word vectors and recurrent networks.

A method is called as ``method(config, task, split, key)`` and returns ``(predict, costs)``: what
maps texts to classes, and the sizes and times of its training.
"""

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from sklearn.pipeline import make_pipeline

from rnnlab import training
from rnnlab.embeddings import corpus
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors
from rnnlab.lab.config import Config
from rnnlab.lab.text_features import PATTERN, common_share, mean_vectors, unlabeled
from rnnlab.lab.text_regressions import best_C, choice_of_C, first_fifths, regression
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.hashing import HashedNgrams
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.model import model_for_task
from rnnlab.tasks.reviews import MovieReviews, Split, padded
from rnnlab.text.tokenizers import Words
from rnnlab.training.optimizers import Optimizer

Predict = Callable[[list[str]], np.ndarray]
Costs = dict[str, Any]
Method = Callable[[Config, MovieReviews, Split, jax.Array], tuple[Predict, Costs]]
Transformer = BagOfWords | HashedNgrams | TfIdf
Step = Callable[[], Transformer]
Train = Callable[..., Any]  # of word vectors, as rnnlab.embeddings.skipgram.train


def bag(**options: Any) -> Step:
    """Return the constructor of a bag of words.

    Args:
        options: of :class:`rnnlab.sparse.bag_of_words.BagOfWords`.
    """
    return lambda: BagOfWords(token_pattern=PATTERN, **options)


def counted(*steps: Step, common: bool = False) -> Method:
    """Return the method of sparse features and a logistic regression.

    Args:
        steps: make the features, one after the other.
        common: whether the share of common words is measured.
    """

    def method(config, task, split, key):
        C = choice_of_C(lambda: [step() for step in steps], split.texts, split.labels)
        transformers = [step() for step in steps]
        decides = regression(C, split.labels)
        pipeline = make_pipeline(*transformers, decides)
        start = time.perf_counter()
        pipeline.fit(split.texts, split.labels)
        seconds = time.perf_counter() - start
        features = pipeline[:-1].transform(split.texts)
        first = transformers[0]
        vocabulary = first.terms_.nbytes if isinstance(first, BagOfWords) else 0
        learned = np.size(decides.coef_) + np.size(decides.intercept_)
        costs = {
            "fit_s": seconds,
            "C": C,
            "dimension": features.shape[1],
            "per_review": float(features.nnz / features.shape[0]),
            "density": float(features.nnz / (features.shape[0] * features.shape[1])),
            "parameters": learned,
            "mib": (4 * learned + vocabulary) / 2**20,
        }
        if common:
            costs["common_share"] = common_share(first.transform(split.texts), features)
        return pipeline.predict, costs

    return method


def vector_settings(config: Config) -> Settings:
    """Return the training settings of word vectors, of the group ``vectors``."""
    names = ("size", "epochs", "learning_rate", "buckets")
    return Settings(**{name: config.vectors[name] for name in names})


def averaged(train: Train) -> Method:
    """Return the method of mean word vectors and a logistic regression.

    Args:
        train: trains the vectors.
    """

    def method(config, task, split, key):
        del key
        settings = vector_settings(config)
        start = time.perf_counter()
        more = [] if task.path else unlabeled(config.vectors.unlabeled)
        words = corpus.of_documents([*split.texts, *more])
        vectors = Vectors.of(train(words, settings, seed=config.seed))
        features = mean_vectors(vectors, split.texts)
        seconds = time.perf_counter() - start
        cut = first_fifths(len(split.texts))  # as choice_of_C; the vectors saw no labels
        C = best_C(features[:cut], features[cut:], split.labels)
        start = time.perf_counter()
        learned = regression(C, split.labels).fit(features, split.labels)
        seconds += time.perf_counter() - start
        rows = len(vectors) + (0 if vectors.subwords is None else len(vectors.subwords.rows))
        parameters = rows * vectors.dimension + np.size(learned.coef_) + np.size(learned.intercept_)
        return lambda texts: np.asarray(learned.predict(mean_vectors(vectors, texts))), {
            "fit_s": seconds,
            "C": C,
            "dimension": vectors.dimension,
            "per_review": float(vectors.dimension),
            "density": float((features != 0).mean()),
            "parameters": parameters,
            "mib": (4 * parameters + sum(len(w.encode()) for w in vectors.words)) / 2**20,
        }

    return method


def network(cell: str) -> Method:
    """Return the method of a recurrent network over learned word vectors, read at the end.

    Args:
        cell: its name, as ``cell.name`` of a config.
    """

    def method(config, task, split, key):
        data, size = task.load(), min(config.training.batch_size, len(split.texts))
        updates = len(split.texts) // size * config.training.epochs
        init = InitScheme(w_h="orthogonal", forget_bias="1.0" if "rnn" not in cell else None)
        layer = layers.by_name(cell, config.cell.hidden_size, init)
        model = model_for_task(task, layer, init, config.cell.embedding_size)
        settings = training.Settings(
            Optimizer(schedule="linear", steps=updates),
            batch_size=config.training.batch_size,
            eval_every=updates,
            eval_batch_size=1,
            eval_sample=1,  # all texts are scored once it is trained
            stop_when_solved=False,
        )
        setup = training.Setup(task, models.without_init(model), settings)
        train = program(setup)
        key_params, key_train = jax.random.split(key)
        params = training.draw_params(model, key_params, task)
        hyper = training.hyper_of(config.training.to_dict() | {"weight_decay": 0.0, "omega": 0.0})
        start = time.perf_counter()
        state, progress = jax.block_until_ready(train(key_train, hyper, params, data))
        seconds = time.perf_counter() - start

        def predict(texts: list[str]) -> np.ndarray:
            tokens = Words()(texts)
            ids = task.vocabulary.encode(tokens, unknown=0)
            arrays = padded(ids, tokens.offsets, task.max_length)
            return np.asarray(classes(setup.model, state.params, *arrays))

        predict(split.test_texts)  # compile before timing
        return predict, {
            "fit_s": seconds,
            "dimension": model.layer.output_size,
            "per_review": float(model.layer.output_size),
            "density": 1.0,
            "parameters": models.count_params(params),
            "mib": (4 * models.count_params(params) + task.vocabulary.terms.nbytes) / 2**20,
            "train_loss": float(progress.train_loss[-1]),
            "status": training.STATUS[int(state.status)],  # a member that diverged is worst
        }

    return method


@lru_cache(maxsize=8)
def program(setup: training.Setup) -> Callable[..., Any]:
    """Return the training of a network, compiled once for all seeds and rates."""
    return jax.jit(training.make_train(setup))


@partial(jax.jit, static_argnames="model")
def classes(model: Any, params: Any, words: jax.Array, lengths: jax.Array) -> jax.Array:
    """Return the most probable class of each review: (B,)."""
    return model.apply(params, words, lengths=lengths)[0].argmax(axis=-1)
