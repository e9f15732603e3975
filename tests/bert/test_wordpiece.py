"""bert/wordpiece.py: BERT's tokens as Hugging Face's own tokenizer gives them."""

import numpy as np
import pytest

from rnnlab.bert import wordpiece
from rnnlab.core.notices import LeftOut

pytest.importorskip("tokenizers")

TEXTS = ["The lower, the better: banks lend.", "Bankers lent to the lowest bank!", "É à"] * 5


@pytest.fixture(scope="module")
def trained():
    return wordpiece.train(TEXTS, vocab_size=80)


def test_pieces_put_together_give_the_words_back(trained):
    pieces = wordpiece.pieces_of(trained)
    assert tuple(pieces[:5]) == wordpiece.SPECIALS
    assert len(pieces) == len(set(pieces)) <= 80
    said = trained.encode("The lowest banks").tokens
    assert said[0] == "[CLS]"
    assert said[-1] == "[SEP]"
    assert " ".join(said[1:-1]).replace(" ##", "") == "the lowest banks"
    assert trained.encode("É à").tokens[1:-1] == ["e", "a"]


def test_training_again_gives_the_same_pieces(trained):
    for _ in range(5):  # of which one at most would agree by chance
        again = wordpiece.train(TEXTS, vocab_size=80)
        assert wordpiece.pieces_of(again) == wordpiece.pieces_of(trained)
    cased = wordpiece.pieces_of(wordpiece.train(TEXTS, vocab_size=80, lowercase=False))
    assert any(piece[0].isupper() for piece in cased[5:])


def test_chinese_is_read_character_by_character():
    pieces = wordpiece.train(["猫喜欢鱼。", "鱼喜欢水a猫"] * 3, vocab_size=80)
    assert pieces.encode("猫喜欢水，鱼").tokens[1:-1] == ["猫", "喜", "欢", "水", "[UNK]", "鱼"]
    assert [p for p in wordpiece.pieces_of(pieces) if p.startswith("##")] == ["##a"]


def test_tokens_equal_hugging_faces(trained, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        unk_token="[UNK]",
    )
    firsts, seconds = TEXTS[:3], ["banks", "to the lowest of all banks lent", "to"]
    for pairs in (None, seconds):
        said = theirs(
            firsts,
            pairs,
            padding="max_length",
            truncation=True,
            max_length=14,
            return_token_type_ids=True,
        )
        own = wordpiece.tokens(trained, firsts, pairs, length=14)
        assert (own.ids == np.array(said["input_ids"])).all()
        assert (own.segments == np.array(said["token_type_ids"])).all()
        assert (own.mask == np.array(said["attention_mask"])).all()
    shortest = wordpiece.tokens(trained, firsts)
    assert shortest.mask.any(axis=0).all()  # no column of nothing but padding


def test_special_tokens_in_a_text_are_kept_whole(trained):
    read = trained.encode("The [MASK] bank[SEP]lent [UNK] [mask]")
    assert read.tokens[1:7] == ["the", "[MASK]", "bank", "[SEP]", "lent", "[UNK]"]
    assert read.ids[2] == 4
    assert "[MASK]" not in read.tokens[7:]  # only as they are written
    with_specials = wordpiece.train([f"{text} [MASK] [SEP]" for text in TEXTS], vocab_size=80)
    assert wordpiece.pieces_of(with_specials) == wordpiece.pieces_of(trained)
    assert wordpiece.piece_ids(trained, ["[CLS][MASK]"]) == [[2, 4]]


def test_texts_that_are_cut_are_said(trained):
    with pytest.warns(LeftOut, match="1 of 2 texts are cut to 5 tokens"):
        wordpiece.tokens(trained, ["the bank", "the bank lent to the lowest bank"], length=5)


def test_continuing_pieces():
    assert wordpiece.continues(["a", "##b", "#", "##"]).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: wordpiece.train(TEXTS, vocab_size=5), "above 5, the special tokens, got 5"),
        (lambda t: wordpiece.tokens(t, []), "no texts"),
        (lambda t: wordpiece.tokens(t, ["a"], ["b", "c"]), "1 texts need as many pairs, got 2"),
        (lambda t: wordpiece.tokens(t, ["a"], ["b"], length=4), "length=4 has no room"),
        (lambda t: wordpiece.of_vocabulary([*wordpiece.SPECIALS, "a", "a"]), "'a' twice"),
        (lambda t: wordpiece.of_vocabulary(["a"]), r"lacks \[PAD\]"),
    ],
)
def test_what_is_refused(trained, call, said):
    with pytest.raises(ValueError, match=said):
        call(trained)
