"""bert/contextual.py: a word's vector against Hugging Face's model and a search by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.bert import contextual, encoder, heads, huggingface, wordpiece

pytest.importorskip("tokenizers")
TEXTS = ["The river bank, wet!", "A BANK lends money to the bank", "bank", "Über the bankers bank."]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "river",
    "ban",
    "##k",
    ",",
    "wet",
    "!",
    "a",
    "lends",
    "money",
    "to",
    "uber",
    "##ers",
    ".",
]
TOKENIZER = wordpiece.of_vocabulary(PIECES)
# by hand: [CLS] the river ban ##k …, [CLS] a ban ##k …, [CLS] uber the ban ##k ##ers ban ##k .
PLACES = [(3, 4), (2, 3), (1, 2), (6, 7)]
CONFIG = encoder.Config.named("tiny", vocab_size=len(PIECES), max_length=16)


def params_of(scale=0.3):
    model = heads.Pretraining(CONFIG, encoder.Init(*[f"normal(std={scale})"] * 5))
    return model.init(jax.random.key(3), jnp.zeros((1, 1), jnp.int32))


def test_places_of_a_word():
    assert [contextual.pieces(TOKENIZER, text, "bank") for text in TEXTS] == PLACES
    assert contextual.pieces(TOKENIZER, TEXTS[1], "bank", occurrence=1) == (8, 9)
    with pytest.raises(ValueError, match=r"occurrence 0 of 'rive' expected, there are 0"):
        contextual.find(TEXTS[0], "rive")
    with pytest.raises(ValueError, match=r"occurrence 2 of 'bank' expected, there are 2"):
        contextual.find(TEXTS[1], "bank", 2)


@pytest.mark.parametrize(
    ("text", "word", "places"),
    [
        ("我在银行里，银行在河边", "银行", [(2, 4), (6, 8)]),
        ("去bank取钱", "bank", [(1, 5)]),  # as in Chinese text
        ("銀行へ行く。バンク", "銀行", [(0, 2)]),
        ("ฉันไปธนาคารวันนี้", "ธนาคาร", [(5, 11)]),
        ("ขา ขาว", "ขา", [(0, 2), (3, 5)]),
        ("คี ค", "ค", [(3, 4)]),  # not a consonant without its vowel sign
        ("cafe\u0301 cafe", "cafe", [(6, 10)]),
        ("bankers bank_ bank", "bank", [(14, 18)]),
        ("은행에서 은행", "은행", [(5, 7)]),  # Korean has spaces
        ("人人人", "人人", [(0, 2)]),
        ("the [MASK] sat", "[MASK]", [(4, 10)]),
    ],
)
def test_words_of_scripts_without_spaces(text, word, places):
    assert [contextual.find(text, word, k) for k in range(len(places))] == places
    with pytest.raises(ValueError, match=f"there are {len(places)} in"):
        contextual.find(text, word, len(places))


def test_places_of_a_chinese_word():
    tokenizer = wordpiece.of_vocabulary([*PIECES[:5], *"我在银行里"])
    assert contextual.pieces(tokenizer, "我在银行里", "银行") == (3, 4)
    with pytest.raises(ValueError, match="has no token"):
        contextual.pieces(tokenizer, "我 \u200b", "\u200b")
    assert contextual.pieces(TOKENIZER, "the [MASK] bank", "[MASK]") == (2,)


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_vectors_equal_hugging_face(layer):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    params = params_of()
    module = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(PIECES),
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=512,
            max_position_embeddings=16,
        ),
        add_pooling_layer=False,
    ).eval()
    theirs = {
        name.removeprefix("bert."): torch.tensor(a)
        for name, a in huggingface.to_arrays(params).items()
        if name.startswith("bert.") and "pooler" not in name
    }
    module.load_state_dict(theirs)
    ours = contextual.word_vectors(
        CONFIG, params["params"]["encoder"], TOKENIZER, TEXTS, "bank", layer
    )
    for row, (text, own) in enumerate(zip(TEXTS, PLACES, strict=True)):
        ids = torch.tensor([TOKENIZER.encode(text).ids])
        with torch.inference_mode():
            said = module(ids, output_hidden_states=True).hidden_states[layer][0]
        expected = np.mean([said[k].numpy() for k in own], axis=0)
        assert np.abs(ours[row] - expected).max() < 1e-5 * np.abs(expected).max()


def test_the_others_hidden():
    params = params_of()["params"]["encoder"]
    hidden = contextual.word_vectors(CONFIG, params, TOKENIZER, TEXTS[:2], "bank", others=4)
    masked = [["[MASK]"] * 2 + ["ban", "##k"] + ["[MASK]"] * 3]
    masked += [["[MASK]"] + ["ban", "##k"] + ["[MASK]"] * 6]
    for row, own, (a, b) in zip(hidden, masked, PLACES, strict=False):
        ids = [PIECES.index(piece) for piece in ("[CLS]", *own, "[SEP]")]
        said = encoder.encode(CONFIG, params, encoder.Tokens(jnp.array([ids]))).last[0]
        expected = np.asarray((said[a] + said[b]) / 2)
        assert np.abs(row - expected).max() < 1e-5 * np.abs(expected).max()


def test_bad_calls_are_refused():
    own = CONFIG, params_of()["params"]["encoder"], TOKENIZER
    with pytest.raises(ValueError, match="4 texts need as many words, got 1"):
        contextual.word_vectors(*own, TEXTS, ["bank"])
    with pytest.raises(ValueError, match="layer must be 0 to 2, or counted from the end, got 3"):
        contextual.word_vectors(*own, TEXTS, "bank", layer=3)
    with pytest.raises(ValueError, match=r"layer must be a whole number, got 0\.5"):
        contextual.word_vectors(*own, TEXTS, "bank", layer=0.5)
    for others in (-1, len(PIECES), 0.5):  # the encoder's vector of such a token is NaN
        with pytest.raises(ValueError, match="others must be a whole number from 0 to 18"):
            contextual.word_vectors(*own, TEXTS, "bank", others=others)
    larger = wordpiece.of_vocabulary([*PIECES, "zebra"])
    with pytest.raises(ValueError, match="the tokenizer gives token 19, the encoder has 19"):
        contextual.word_vectors(*own[:2], larger, ["zebra bank"], "bank")
    with pytest.raises(ValueError, match="a text of 32 tokens, but max_length=16"):
        contextual.word_vectors(*own, ["the " * 28 + "bank"], "bank")
