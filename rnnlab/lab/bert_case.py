"""An update and a reading of BERT, and the batch that the sides of a benchmark are given."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import encoder, heads, huggingface, masking, pretraining
from rnnlab.bert.encoder import Tokens
from rnnlab.lab.config import Config
from rnnlab.training.optimizers import Hyper, Optimizer

PyTree = Any
Outputs = dict[str, np.ndarray]  # logits of both heads, last hidden states


class Batch(NamedTuple):
    """Pairs of sentences, and the words and classes to predict."""

    tokens: Tokens
    targets: pretraining.Targets
    counts: jax.Array  # (B, P) bool, which positions count


def draw_batch(config: Config, key: jax.Array) -> Batch:
    """Draw random pairs, a seventh of their words hidden."""
    B, T, V = config.batch_size, config.length, config.vocab_size
    key_ids, key_mask, key_class = jax.random.split(key, 3)
    ids = jax.random.randint(key_ids, (B, T), 5, V, jnp.int32)
    words = jnp.ones((B, T), bool).at[:, 0].set(False)
    hidden = masking.hide(key_mask, ids, words, 4, (5, V))
    segments = jnp.broadcast_to((jnp.arange(T) >= T // 2).astype(jnp.int32), (B, T))
    answer = jax.random.bernoulli(key_class, 0.5, (B,)).astype(jnp.int32)
    tokens = Tokens(hidden.ids, segments, jnp.ones((B, T), bool), hidden.positions)
    return Batch(tokens, pretraining.Targets(hidden.targets, answer), hidden.counts)


def sizes_of(config: Config) -> encoder.Config:
    """Return the encoder's sizes."""
    return encoder.from_config(config.encoder, config.vocab_size, config.length)


def batch_of(config: Config) -> Batch:
    """Draw the batch by the config's seed, as NumPy arrays."""
    # one program: outside of jit every operation would be compiled separately
    drawn = jax.jit(lambda key: draw_batch(config, key))(jax.random.key(config.seed))
    return jax.tree.map(np.asarray, drawn)


def params_of(config: Config) -> PyTree:
    """Draw the weights by the config's seed."""
    init = jax.jit(heads.Pretraining(sizes_of(config)).init)
    return init(jax.random.key(config.seed), jnp.zeros((1, 1), jnp.int32))


def prepare(config: Config, folder: Path) -> None:
    """Write the sizes, the weights and the batch for sides without JAX."""
    (folder / "sizes.json").write_text(json.dumps(asdict(sizes_of(config))), encoding="utf-8")
    weights: dict[str, Any] = dict(huggingface.to_arrays(params_of(config)))
    np.savez(folder / "weights.npz", **weights)
    batch = batch_of(config)
    np.savez(
        folder / "batch.npz",
        ids=batch.tokens.ids,
        segments=np.asarray(batch.tokens.segments),
        mask=np.asarray(batch.tokens.mask),
        positions=np.asarray(batch.tokens.positions),
        counts=batch.counts,
        words=batch.targets.words,
        next_sentence=batch.targets.next_sentence,
    )


class Updates:
    """Updates by AdamW without dropout, and the reading of the batch's first row.

    Args:
        rate: the learning rate.
        chunk: updates of a program that makes several, as training does.
    """

    def __init__(self, config: Config, *, rate: float, chunk: int) -> None:
        sizes, params = sizes_of(config), params_of(config)
        self.sizes, model = sizes, heads.Pretraining(sizes)
        tokens, targets, counts = self.batch = jax.tree.map(jnp.asarray, batch_of(config))
        hyper = Hyper(*(jnp.float32(v) for v in (rate, np.inf, 0.01, 0.0)))
        optimizer = Optimizer("adamw").transform(hyper)
        self.state = optimizer.init(params)

        def update(params: PyTree, state: PyTree) -> tuple[jax.Array, PyTree, PyTree]:
            def loss(params: PyTree) -> jax.Array:
                return pretraining.loss(model.apply(params, tokens)[0], targets, counts)

            value, grads = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(grads, state, params)
            return value, jax.tree.map(jnp.add, params, updates), state

        self._update = jax.jit(update, donate_argnums=(0, 1))
        # as in training: many updates in one program, which allocates its memory once
        self._chunk = jax.jit(
            lambda params, state: jax.lax.fori_loop(
                0, chunk, lambda _, carry: update(*carry)[1:], (params, state)
            ),
            donate_argnums=(0, 1),
        )
        self._read = jax.jit(
            lambda params, ids: encoder.encode(sizes, params["params"]["encoder"], Tokens(ids)).last
        )
        self.ids = np.asarray(tokens.ids[:1])
        # a copy, since an update donates its buffers
        self.params = jax.tree.map(jnp.array, params)
        self.initial_params = params

    def update(self) -> float:
        """Make an update and return the loss before it."""
        loss, self.params, self.state = self._update(self.params, self.state)
        jax.block_until_ready(self.params)
        return float(loss)

    def chunk(self) -> None:
        """Make several updates in one program."""
        self.params, self.state = self._chunk(self.params, self.state)
        jax.block_until_ready(self.params)

    def read(self) -> jax.Array:
        """Return contextual vectors of one sentence."""
        return self._read(self.initial_params, self.ids).block_until_ready()

    def outputs(self) -> Outputs:
        """Return logits of hidden words and of the next sentence, and states of the first row."""
        tokens, _, counts = self.batch
        logits = jax.jit(heads.Pretraining(self.sizes).apply)(self.initial_params, tokens)[0]
        return {
            "words": np.asarray(logits.words)[np.asarray(counts)],
            "next_sentence": np.asarray(logits.next_sentence),
            "states": np.asarray(self.read()),
        }
