"""A BERT with its tokenizer, asked in texts: hidden words, sentence vectors, the next sentence.

Shapes: N texts, B rows of a batch, T tokens, P places, V vocabulary, H hidden.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import contextual, heads, huggingface, pretrained, wordpiece
from rnnlab.bert.encoder import Config, EncoderParams, Tokens, encode, pool
from rnnlab.core import validate
from rnnlab.core.errors import UserError, shown
from rnnlab.core.notices import left_out
from rnnlab.core.run_files import read_members
from rnnlab.training.params import load_params
from rnnlab.training.predict import best_member

Array = jax.Array
PyTree = Any

POOLINGS = ("mean", "cls", "max", "pooler")
_HEADS = {
    "masked_words": "fill_mask needs the head of masked words",
    "next_sentence": "next_sentence_score needs the head of the next sentence",
    "pooler": "pooling='pooler' needs the pooler",
}
_AT_ONCE = 32  # rows of a batch
_STEP = 16  # T is a multiple of it, so that few lengths are compiled


class Filled(NamedTuple):
    """A piece in the place of a [MASK]."""

    token: str
    probability: float
    id: int
    text: str  # with the piece in its place; with special tokens if there are several [MASK]s


Answer = list[Filled] | list[list[Filled]]  # of one [MASK], or of several


@dataclass(frozen=True, eq=False)
class TextModel:
    """A BERT that reads texts; see :func:`load`.

    Args:
        config: of the encoder.
        params: {"params": {part: …}} of a model in :mod:`rnnlab.bert.heads`.
        tokenizer: its pieces (:mod:`rnnlab.bert.wordpiece`).
    """

    config: Config
    params: Mapping[str, PyTree]
    tokenizer: wordpiece.Tokenizer

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it has: "encoder", and heads."""
        known = (*huggingface.PARTS, "classifier")
        return tuple(part for part in known if part in self.params["params"])

    def __repr__(self) -> str:
        c = self.config
        return (
            f"TextModel({c.layers} layers, {c.hidden_size} dimensions, {c.vocab_size} pieces, "
            f"parts: {', '.join(self.parts)})"
        )

    # ---- hidden words

    def fill_mask(
        self, texts: str | Sequence[str], top_k: int = 5, *, targets: Sequence[str] | None = None
    ) -> Answer | list[Answer]:
        """Return the likeliest pieces for [MASK], p = softmax(z) at its place, best first.

        Args:
            texts: one with a [MASK], or several. Of several [MASK]s in a text each is filled with
                the others hidden.
            top_k: number of pieces per [MASK].
            targets: the only pieces to compare; their probabilities are those among all pieces.
        Returns:
            of a text a list of :class:`Filled`, or with several [MASK]s a list of such lists; of
            several texts a list of these: Hugging Face's ``fill-mask``.
        Raises:
            UserError: no head of masked words. ValueError: a text without [MASK], or longer than
                the encoder reads; top_k outside 1 … V; a target that is not one piece of the
                vocabulary. TypeError: no text.
        """
        head = self._part("masked_words")
        top_k = validate.whole("top_k", top_k, 1, self.config.vocab_size)
        candidates = np.arange(self.config.vocab_size)
        if targets is not None:
            candidates = np.array([self._piece(target) for target in targets])
        tokens = self._tokens(_texts(texts))
        (mask_id,) = wordpiece.special_ids(self.tokenizer, wordpiece.MASK)
        hidden = tokens.ids == mask_id
        counts = hidden.sum(axis=1)
        if not counts.all():
            without = _texts(texts)[int(np.argmin(counts))]
            raise ValueError(f"the text {shown(without, 60)} has no [MASK] to fill")
        P = 1 << (int(counts.max()) - 1).bit_length()
        places = np.zeros((len(counts), P), np.int32)  # 0 where there are fewer
        for row, inside in enumerate(hidden):
            places[row, : counts[row]] = np.flatnonzero(inside)
        p = self._batches(partial(_masked, self.config), tokens, head, places)
        answers: list[Answer] = []
        for row, count in enumerate(counts):
            ids = np.asarray(tokens.ids)[row][np.asarray(tokens.mask)[row]]
            filled = []
            for k in range(count):
                of_candidates = p[row, k, candidates]
                best = np.argsort(-of_candidates, kind="stable")[:top_k]
                pieces = [(int(candidates[c]), float(of_candidates[c])) for c in best]
                filled.append([self._filled(ids, places[row, k], *q, count == 1) for q in pieces])
            answers.append(filled[0] if count == 1 else filled)
        return answers[0] if isinstance(texts, str) else answers

    def _filled(self, ids: np.ndarray, place: int, piece: int, p: float, alone: bool) -> Filled:
        ids = ids.copy()
        ids[place] = piece
        (pad,) = wordpiece.special_ids(self.tokenizer, wordpiece.PAD)
        kept = ids[ids != pad].tolist()  # also where it is the answer, as in Hugging Face's
        text = self.tokenizer.decode(kept, skip_special_tokens=alone)
        return Filled(self.tokenizer.id_to_token(piece) or "", p, piece, text)

    def _piece(self, target: str) -> int:
        encoding = self.tokenizer.encode(target, add_special_tokens=False)
        if len(encoding.ids) != 1:
            raise ValueError(
                f"the target {shown(target)} is {len(encoding.ids)} pieces "
                f"({' '.join(encoding.tokens)}), and a [MASK] is one"
            )
        (unknown,) = wordpiece.special_ids(self.tokenizer, wordpiece.UNKNOWN)
        if encoding.ids[0] == unknown and target.strip() != wordpiece.UNKNOWN:
            raise ValueError(f"the target {shown(target)} is not in the vocabulary")
        return encoding.ids[0]

    # ---- vectors

    def sentence_vectors(
        self,
        texts: str | Sequence[str],
        pooling: str = "mean",
        *,
        layer: int = -1,
        windows: bool = False,
    ) -> np.ndarray:
        """Return a vector per text from h^l, the states of a layer: (N, H) float32; one text: (H,).

        ======  ==========================================================
        mean    the mean over all tokens, [CLS] and [SEP] included
        cls     the state of [CLS]
        max     the largest of each dimension over all tokens
        pooler  tanh(W h_[CLS] + b), as trained with the next sentence
        ======  ==========================================================

        Args:
            pooling: see above; mean, cls and max are those of sentence-transformers.
            layer: l, 0 (embeddings) … L; −1 is the last, the only one for the pooler.
            windows: cut a longer text than the encoder reads into parts, and return the mean of
                their vectors, by their numbers of tokens, with a notice; False: refuse it.
        Raises:
            UserError: no pooler. ValueError: no texts, one that is too long, an unknown pooling or
                layer. TypeError: no text.
        """
        validate.choice("pooling", pooling, POOLINGS)
        L = self.config.layers
        if not -L - 1 <= validate.whole("layer", layer, None) <= L:
            raise ValueError(f"layer must be 0 to {L}, or counted from the end, got {layer}")
        head = None
        if pooling == "pooler":
            head = self._part("pooler")
            if layer not in (-1, L):
                raise ValueError(f"the pooler reads the last layer, got layer={layer}")
        given = _texts(texts)
        parts = self._windows(given) if windows else [[text] for text in given]
        flat = [part for of_text in parts for part in of_text]
        owners = [at for at, of_text in enumerate(parts) for _ in of_text]
        advice = "shorten it (windows=True reads it in parts)"
        if windows:
            advice = "a word in it is longer than a part, shorten that"
        tokens = self._tokens(flat, advice=advice, owners=owners)
        vectors = self._batches(partial(_pooled, self.config, pooling, layer), tokens, head)
        sizes = np.asarray(tokens.mask).sum(axis=1)
        starts = np.cumsum([0, *map(len, parts)])[:-1]
        totals = np.add.reduceat(sizes, starts)[:, None].astype(np.float32)
        weighted = vectors * sizes[:, None].astype(np.float32)
        single = np.array([len(of_text) == 1 for of_text in parts])[:, None]
        means = np.where(single, vectors[starts], np.add.reduceat(weighted, starts) / totals)
        return means[0] if isinstance(texts, str) else means

    def _windows(self, texts: Sequence[str]) -> list[list[str]]:
        """Cut each text between words into parts of at most max_length tokens."""
        room = self.config.max_length - 2
        parts, cut = [], 0
        for text in texts:
            encoding = self.tokenizer.encode(text, add_special_tokens=False)
            words, bounds, start = encoding.word_ids, [0], 0
            while len(words) - start > room:
                end = start + room
                while end > start and words[end] is not None and words[end] == words[end - 1]:
                    end -= 1
                start = end if end > start else start + room
                bounds.append(encoding.offsets[start][0])
            cut += len(bounds) > 1
            parts.append([text[i:j] for i, j in itertools.pairwise([*bounds, len(text)])])
        if cut:
            left_out(f"{cut} of {len(texts)} texts are longer than {room} pieces: read in parts")
        return parts

    def word_vectors(
        self, texts: Sequence[str], word: str | Sequence[str], layer: int = -1
    ) -> np.ndarray:
        """Return the vector of a word in each text: :func:`rnnlab.bert.contextual.word_vectors`."""
        encoder = self.params["params"]["encoder"]
        return contextual.word_vectors(self.config, encoder, self.tokenizer, texts, word, layer)

    # ---- pairs of sentences

    def next_sentence_score(
        self, a: str | Sequence[str], b: str | Sequence[str]
    ) -> float | np.ndarray:
        """Return the probability that text b follows text a; of lists (N,) float32, pair by pair.

        Raises:
            UserError: no head of the next sentence. ValueError: a pair that is too long, another
                number of b. TypeError: no text, or a text and a list.
        """
        pooler, head = self._part("pooler", "next_sentence"), self._part("next_sentence")
        if isinstance(a, str) != isinstance(b, str):
            raise TypeError("a and b must both be a text, or both lists of texts")
        tokens = self._tokens(_texts(a), _texts(b))
        p = self._batches(partial(_follows, self.config), tokens, (pooler, head))
        return float(p[0]) if isinstance(a, str) else p

    # ---- files

    def save(self, path: str | os.PathLike[str], *, labels: Sequence[str] | None = None) -> None:
        """Write weights, config and tokenizer into a folder, as Hugging Face's libraries read it.

        See :func:`rnnlab.bert.huggingface.save`, also for the names of a classifier's classes.
        """
        huggingface.save(path, self.params, self.config, self.tokenizer, labels)

    # ---- parts

    def _part(self, name: str, needed_by: str = "") -> PyTree:
        if name not in self.params["params"]:
            raise UserError(
                f"{_HEADS[needed_by or name]}, and this BERT has {', '.join(self.parts)} only: a "
                "pre-trained one (BertForPreTraining, a run of bert_pretraining) has all heads"
            )
        return self.params["params"][name]

    def _tokens(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        advice: str = "shorten it",
        owners: Sequence[int] | None = None,  # the text that each belongs to
    ) -> Tokens:
        tokens = wordpiece.tokens(self.tokenizer, texts, pairs)
        longest, most = np.asarray(tokens.mask).sum(axis=1), self.config.max_length
        if longest.max() > most:
            row = int(np.argmax(longest))
            text = f"text {row}"
            if owners is not None:
                part = "a part of " if owners.count(owners[row]) > 1 else ""
                text = f"{part}text {owners[row]}"
            raise ValueError(
                f"{text} has {longest[row]} tokens, and the encoder reads {most}: {advice}"
            )
        if np.max(tokens.ids) >= self.config.vocab_size:
            raise ValueError(
                f"the tokenizer gives token {np.max(tokens.ids)}, the encoder has "
                f"{self.config.vocab_size}: they belong to different models"
            )
        return tokens

    def _batches(
        self,
        function: Callable[..., Array],
        tokens: Tokens,
        head: PyTree,
        places: np.ndarray | None = None,
    ) -> np.ndarray:
        """Apply a compiled function to the rows, batch by batch of about equal lengths."""
        columns = [np.asarray(part) for part in tokens[:3]]
        columns += [] if places is None else [places]
        encoder, lengths = self.params["params"]["encoder"], columns[2].sum(axis=1)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for rows in _equal_lengths(lengths):
            T = min(-(-int(lengths[rows].max()) // _STEP) * _STEP, self.config.max_length)
            B = 1 << (len(rows) - 1).bit_length()  # rows beyond are those of the first, again
            filled = np.concatenate([rows, np.repeat(rows[:1], B - len(rows))])
            batch = [_of_length(column[filled], T) for column in columns[:3]]
            batch += [column[filled] for column in columns[3:]]
            values = function(encoder, head, *map(jnp.asarray, batch))
            found.append((rows, np.asarray(values)[: len(rows)]))
        out = np.empty((len(lengths), *found[0][1].shape[1:]), np.float32)
        for rows, values in found:
            out[rows] = values
        return out


def _texts(texts: str | Sequence[str]) -> list[str]:
    given = [texts] if isinstance(texts, str) else list(texts)
    for k, text in enumerate(given):
        if not isinstance(text, str):
            raise TypeError(f"texts must be str; text {k} is {shown(text, 40)}")
    return given


def _equal_lengths(lengths: np.ndarray) -> Iterator[np.ndarray]:
    order = np.argsort(lengths, kind="stable")
    for k in range(0, len(order), _AT_ONCE):
        yield order[k : k + _AT_ONCE]


def _of_length(column: np.ndarray, T: int) -> np.ndarray:
    """Cut (B, T′) to T columns, or fill it up with zeros, which the mask hides."""
    return np.pad(column[:, :T], ((0, 0), (0, max(0, T - column.shape[1]))))


# ---- compiled ----------------------------------------------------------------------------------


@partial(jax.jit, static_argnums=0)
def _masked(
    config: Config,
    encoder: EncoderParams,
    head: heads.MaskedWords,
    ids: Array,
    segments: Array,
    mask: Array,
    places: Array,
) -> Array:
    """Return p (B, P, V) at the places."""
    h = encode(config, encoder, Tokens(ids, segments, mask)).last
    h = jnp.take_along_axis(h, places[..., None], axis=1)
    word = encoder.embeddings.word
    z = heads.masked_word_logits(head, word, h, config.activation, config.norm_eps)
    return jax.nn.softmax(z.astype(jnp.float32), axis=-1)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _pooled(
    config: Config,
    pooling: str,
    layer: int,
    encoder: EncoderParams,
    pooler: PyTree,
    ids: Array,
    segments: Array,
    mask: Array,
) -> Array:
    """Return the vectors (B, H)."""
    states = encode(config, encoder, Tokens(ids, segments, mask), hidden=True).hidden
    h = states[layer].astype(jnp.float32)
    match pooling:
        case "pooler":
            return pool(pooler, states[-1]).astype(jnp.float32)
        case "cls":
            return h[:, 0]
        case "max":
            return jnp.where(mask[..., None], h, -jnp.inf).max(axis=1)
    inside = mask[..., None].astype(jnp.float32)
    return (h * inside).sum(axis=1) / inside.sum(axis=1)


@partial(jax.jit, static_argnums=0)
def _follows(
    config: Config,
    encoder: EncoderParams,
    head: tuple[PyTree, PyTree],
    ids: Array,
    segments: Array,
    mask: Array,
) -> Array:
    """Return p(the second sentence follows) (B,)."""
    pooler, following = head
    last = encode(config, encoder, Tokens(ids, segments, mask)).last
    z = heads.next_sentence_logits(following, pool(pooler, last)).astype(jnp.float32)
    return jax.nn.softmax(z, axis=-1)[:, 0]


# ---- from files --------------------------------------------------------------------------------


def load(path: str | os.PathLike[str], member: int | None = None) -> TextModel:
    """Read a BERT with all the parts that there are: encoder, heads and tokenizer.

    Args:
        path: a run directory of bert_pretraining.py or of another experiment whose members are
            BERTs; or a folder in Hugging Face's layout: config.json, model.safetensors (or another
            file that :func:`rnnlab.bert.huggingface.load` reads), and tokenizer.json or vocab.txt.
        member: of a run; None: the best of those that have not diverged.
    Raises:
        UserError: nothing there, a run without a BERT or a tokenizer, another model. ValueError:
            weights that do not fit, by name.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"no BERT at {path}: there is no such folder")
    if not pretrained.is_run(str(path)):
        if member is not None:
            raise UserError(f"{path} is no run directory, which member={member} belongs to")
        others = (*huggingface.PARTS[1:], "classifier")
        config, params = huggingface.load(path, ("encoder",), optional=others)
        folder = path if path.is_dir() else path.parent
        return TextModel(config, params, huggingface.load_tokenizer(folder))
    if member is None:
        members = read_members(path)
        member = int(members[0]["index"]) if len(members) == 1 else best_member(path)
    setup, params = load_params(path, int(member))
    if not isinstance(setup.model, heads.Bert):
        raise UserError(f"{path} learned {setup.task}: it holds no BERT")
    if not isinstance(setup.task, pretrained.HasTokenizer):
        raise UserError(f"{path} learned {setup.task}, which has no pieces of words")
    return TextModel(setup.model.config, params, setup.task.tokenizer)
