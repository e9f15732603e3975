"""WordPiece: words cut into pieces that are learned from a corpus; needs rnnlab[bert].

The `tokenizers` library does the work. This module sets it up as BERT does, with BERT's special
tokens and normalization, and returns pieces as arrays.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from rnnlab.bert.encoder import Tokens
from rnnlab.core import validate
from rnnlab.core.errors import UserError, install
from rnnlab.core.notices import left_out

if TYPE_CHECKING:
    from tokenizers import Tokenizer
else:
    Tokenizer = object

PAD, UNKNOWN, CLS, SEP, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_KINDS = ("pad", "unk", "cls", "sep", "mask")
# settings of a tokenizer_config.json: their names in BERT's normalizer
NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}

_SPECIAL = re.compile("|".join(map(re.escape, SPECIALS)))

CONTINUES = "##"  # prefix of a piece that continues a word


def tokenizers_package() -> ModuleType:
    """Import the `tokenizers` package.

    Raises:
        UserError: it is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise UserError(f"BERT's tokens need tokenizers: {install('bert')}") from None
    return tokenizers


def train(
    texts: Iterable[str], vocab_size: int = 8192, lowercase: bool = True, min_count: int = 2
) -> Tokenizer:
    """Learn pieces from texts.

    Special tokens in the texts are no part of what is learned from.

    Args:
        texts: read once.
        vocab_size: largest V, including :data:`SPECIALS` (ids 0 … 4) and single characters.
        lowercase: also strips accents, as BERT's uncased vocabularies do.
        min_count: least number of occurrences of a piece.
    Raises:
        ValueError: a vocabulary with no room beyond the special tokens.
    Source: Schuster & Nakajima 2012; Wu et al. 2016 (arXiv 1609.08144), §4.1.

    >>> pieces = train(["low lower lowest"] * 9, vocab_size=30)
    >>> pieces.encode("lowest").tokens
    ['[CLS]', 'lowest', '[SEP]']
    """
    if vocab_size <= len(SPECIALS):
        raise ValueError(
            f"vocab_size must be above {len(SPECIALS)}, the special tokens, got {vocab_size}"
        )
    tokenizers = tokenizers_package()
    tokenizer = _empty(tokenizers, {token: i for i, token in enumerate(SPECIALS)}, lowercase)
    texts = [_SPECIAL.sub(" ", text) for text in texts]
    # BERT's normalization works character by character, so those of the texts suffice
    characters = set[str]().union(*texts)
    normalized = set("".join(tokenizer.normalizer.normalize_str(c) for c in characters))
    # The trainer numbers single pieces in the order of a hash table, which differs between
    # processes, and breaks ties between pairs by these numbers. Special tokens are numbered first,
    # so passing the single pieces as special tokens fixes their numbers.
    continuing = sorted(c for c in normalized if not _is_split_off(c))
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        special_tokens=[*SPECIALS, *(CONTINUES + c for c in continuing)],
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return of_vocabulary(_in_order(tokenizer.get_vocab()), lowercase)


_IDEOGRAPHS = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")


def _is_split_off(character: str) -> bool:
    """Whether no word continues with it: BERT splits at spaces, around punctuation and 漢字."""
    return (
        character.isspace()
        or unicodedata.category(character).startswith("P")
        or unicodedata.name(character, "").startswith(_IDEOGRAPHS)
    )


def of_vocabulary(
    pieces: Sequence[str],
    lowercase: bool = True,
    strip_accents: bool | None = None,
    split_ideographs: bool = True,
) -> Tokenizer:
    """Make a tokenizer of these pieces, the lines of a vocab.txt; a piece's id is its index.

    A special token in a text is that token, as in Hugging Face's BertTokenizer.

    Args:
        lowercase: whether texts are put in lower case.
        strip_accents: whether accents are removed; None: as ``lowercase``.
        split_ideographs: whether each Chinese character is a word.
    Raises:
        ValueError: a missing special token, or a repeated piece.
    """
    vocab = {piece: i for i, piece in enumerate(pieces)}
    if len(vocab) < len(pieces):
        repeated = next(p for i, p in enumerate(pieces) if vocab[p] != i)
        raise ValueError(f"the vocabulary has {repeated!r} twice")
    missing = [token for token in SPECIALS if token not in vocab]
    if missing:
        raise ValueError(f"the vocabulary lacks {', '.join(missing)}")
    return _empty(tokenizers_package(), vocab, lowercase, strip_accents, split_ideographs)


@lru_cache(maxsize=4)  # a task asks for its tokenizer often
def from_text(text: str) -> Tokenizer:
    """Return the tokenizer of a tokenizer.json's text, as ``Tokenizer.to_str()`` writes it."""
    return tokenizers_package().Tokenizer.from_str(text)


def _empty(
    tokenizers: ModuleType,
    vocab: dict[str, int],
    lowercase: bool,
    strip_accents: bool | None = None,
    split_ideographs: bool = True,
) -> Tokenizer:
    model = tokenizers.models.WordPiece(
        vocab=vocab, unk_token=UNKNOWN, continuing_subword_prefix=CONTINUES
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=split_ideographs
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix=CONTINUES)
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        (SEP, vocab[SEP]), (CLS, vocab[CLS])
    )
    tokenizer.add_special_tokens(list(SPECIALS))  # which a text's words are not
    return tokenizer


def pieces_of(tokenizer: Tokenizer) -> list[str]:
    """List the pieces by id, as the lines of a vocab.txt."""
    return _in_order(tokenizer.get_vocab())


def _in_order(vocab: dict[str, int]) -> list[str]:
    return sorted(vocab, key=vocab.__getitem__)


def save(tokenizer: Tokenizer, path: str | os.PathLike[str], max_length: int) -> None:
    """Write tokenizer.json, vocab.txt and tokenizer_config.json, as Hugging Face's libraries do.

    Args:
        path: of the folder.
        max_length: tokens that the model reads.
    """
    folder = Path(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = "".join(f"{piece}\n" for piece in pieces_of(tokenizer))
    (folder / "vocab.txt").write_text(lines, encoding="utf-8")
    normalizer = json.loads(tokenizer.to_str())["normalizer"] or {}
    settings = {theirs: normalizer.get(ours) for theirs, ours in NORMALIZER.items()}
    settings |= {f"{kind}_token": token for kind, token in zip(_KINDS, SPECIALS, strict=True)}
    settings |= {"model_max_length": max_length, "tokenizer_class": "BertTokenizer"}
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def continues(pieces: Sequence[str]) -> np.ndarray:
    """Return (V,) bool, true for a piece that continues a word.

    >>> continues(["low", "##er"]).tolist()
    [False, True]
    """
    return np.array([piece.startswith(CONTINUES) for piece in pieces])


def piece_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of the pieces of each text, without special tokens.

    >>> tokenizer = train(["low lower lowest"] * 9, vocab_size=30)
    >>> [len(ids) for ids in piece_ids(tokenizer, ["low lower", ""])]
    [2, 0]
    """
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def special_ids(tokenizer: Tokenizer, *specials: str) -> list[int]:
    """Return the ids of special tokens.

    Raises:
        ValueError: a token that the tokenizer does not have.

    >>> special_ids(train(["low lower lowest"] * 9, vocab_size=30), CLS, SEP)
    [2, 3]
    """
    ids = []
    for token in specials:
        number = tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"the vocabulary lacks {token}")
        ids.append(number)
    return ids


def tokens(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    length: int | None = None,
) -> Tokens:
    """Encode texts as a model reads them: [CLS] text [SEP] or [CLS] text [SEP] pair [SEP], padded.

    Args:
        texts: B of them. pairs: the second sentences.
        length: T; None: that of the longest text. Longer texts are truncated at the end,
            and their number is said.
    Returns:
        ids, segments and mask, (B, T) NumPy arrays.
    Raises:
        ValueError: no texts, another number of pairs, or a length without room for a piece.

    >>> read = tokens(train(["low lower"] * 9, 30), ["lower", "low lower"])
    >>> read.mask.sum(axis=1).tolist()
    [3, 4]
    """
    if not len(texts):
        raise ValueError("no texts to read")
    if pairs is not None and len(pairs) != len(texts):
        raise ValueError(f"{len(texts)} texts need as many pairs, got {len(pairs)}")
    if length is not None:
        length = validate.whole("length", length, least=None)
        if length < 3 + 2 * (pairs is not None):
            raise ValueError(f"length={length} has no room for a piece between special tokens")
    inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    if length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(length)
    try:
        encodings = tokenizer.encode_batch_fast(inputs)
    finally:
        tokenizer.no_truncation()
    cut = sum(bool(encoding.overflowing) for encoding in encodings)
    if cut:
        left_out(
            f"{cut} of {len(inputs)} texts are cut to {length} tokens: their ends are left out"
        )
    T = length or max(len(encoding.ids) for encoding in encodings)
    (pad,) = special_ids(tokenizer, PAD)
    ids = np.full((len(encodings), T), pad, np.int32)
    segments, mask = np.zeros_like(ids), np.zeros(ids.shape, bool)
    for row, encoding in enumerate(encodings):
        n = len(encoding.ids)
        ids[row, :n], segments[row, :n], mask[row, :n] = encoding.ids, encoding.type_ids, True
    return Tokens(ids, segments, mask)
