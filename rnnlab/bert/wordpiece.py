"""WordPiece: words cut into pieces that are learned from a corpus; needs rnnlab[bert].

The `tokenizers` library does the work; what is here is BERT's way to use it: its special tokens
in their usual places, its normalization, and pieces as arrays.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlab.bert.encoder import Tokens
from rnnlab.core.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
else:
    Tokenizer = Any

PAD, UNKNOWN, CLS, SEP, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUES = "##"  # what a piece that goes on with a word begins with


def tokenizers_package() -> Any:
    """The `tokenizers` package.

    Raises:
        UserError: it is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise UserError("BERT's tokens need tokenizers: pip install 'rnnlab[bert]'") from None
    return tokenizers


def train(
    texts: Iterable[str], vocab_size: int = 8192, lowercase: bool = True, min_count: int = 2
) -> Tokenizer:
    """Learn pieces from texts.

    Args:
        texts: read once.
        vocab_size: V at most, :data:`SPECIALS` (ids 0 … 4) and single characters included.
        lowercase: also strips accents, as BERT's uncased vocabularies do.
        min_count: how often a piece must occur.
    Raises:
        ValueError: no room for the special tokens.
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
    texts = [tokenizer.normalizer.normalize_str(text) for text in texts]
    # The trainer numbers single pieces in the order of a hash table, another one every time, and
    # breaks ties between pairs by these numbers; those that it is given as special tokens are
    # numbered already.
    inside = sorted(c for c in set().union(*texts) if not _apart(c))
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        special_tokens=[*SPECIALS, *(CONTINUES + c for c in inside)],
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return of_vocabulary(_in_order(tokenizer.get_vocab()), lowercase)


_IDEOGRAPHS = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")


def _apart(character: str) -> bool:
    """Whether it never goes on with a word: BERT splits at spaces, around punctuation and 漢字."""
    return (
        character.isspace()
        or unicodedata.category(character).startswith("P")
        or unicodedata.name(character, "").startswith(_IDEOGRAPHS)
    )


def of_vocabulary(pieces: Sequence[str], lowercase: bool = True) -> Tokenizer:
    """A tokenizer of these pieces, ids by their place: what a vocab.txt holds.

    Raises:
        ValueError: a special token is missing, or a piece is there twice.
    """
    vocab = {piece: i for i, piece in enumerate(pieces)}
    if len(vocab) < len(pieces):
        twice = next(p for i, p in enumerate(pieces) if vocab[p] != i)
        raise ValueError(f"the vocabulary has {twice!r} twice")
    missing = [token for token in SPECIALS if token not in vocab]
    if missing:
        raise ValueError(f"the vocabulary lacks {', '.join(missing)}")
    return _empty(tokenizers_package(), vocab, lowercase)


def _empty(tokenizers: Any, vocab: dict[str, int], lowercase: bool) -> Tokenizer:
    model = tokenizers.models.WordPiece(
        vocab=vocab, unk_token=UNKNOWN, continuing_subword_prefix=CONTINUES
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix=CONTINUES)
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        (SEP, vocab[SEP]), (CLS, vocab[CLS])
    )
    return tokenizer


def pieces_of(tokenizer: Tokenizer) -> list[str]:
    """Every piece, by id: the lines of a vocab.txt."""
    return _in_order(tokenizer.get_vocab())


def _in_order(vocab: dict[str, int]) -> list[str]:
    return sorted(vocab, key=vocab.__getitem__)


def continues(pieces: Sequence[str]) -> np.ndarray:
    """(V,) bool: whether a piece goes on with the word before it.

    >>> continues(["low", "##er"]).tolist()
    [False, True]
    """
    return np.array([piece.startswith(CONTINUES) for piece in pieces])


def tokens(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    length: int | None = None,
) -> Tokens:
    """Texts as a model reads them: [CLS] text [SEP], or [CLS] text [SEP] pair [SEP], padded.

    Args:
        texts: B of them. pairs: the second sentences.
        length: T; None: the longest text's. A text that is longer loses its end.
    Returns:
        ids, segments and mask, (B, T) NumPy arrays.
    Raises:
        ValueError: no text, or pairs that are not as many; a length without room for a piece.

    >>> said = tokens(train(["low lower"] * 9, 30), ["lower", "low lower"])
    >>> said.mask.sum(axis=1).tolist()
    [3, 4]
    """
    if not len(texts):
        raise ValueError("no texts to read")
    if pairs is not None and len(pairs) != len(texts):
        raise ValueError(f"{len(texts)} texts need as many pairs, got {len(pairs)}")
    if length is not None and length < 3 + 2 * (pairs is not None):
        raise ValueError(f"length={length} has no room for a piece between special tokens")
    given = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    if length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(length)
    try:
        read = tokenizer.encode_batch(given)
    finally:
        tokenizer.no_truncation()
    T = length or max(len(one.ids) for one in read)
    pad = tokenizer.token_to_id(PAD)
    ids = np.full((len(read), T), pad, np.int32)
    segments, mask = np.zeros_like(ids), np.zeros(ids.shape, bool)
    for row, one in enumerate(read):
        n = len(one.ids)
        ids[row, :n], segments[row, :n], mask[row, :n] = one.ids, one.type_ids, True
    return Tokens(ids, segments, mask)  # type: ignore[arg-type]
