"""bert/text_model.py against transformers: hidden words, vectors, pairs, and files both ways."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab.bert
from rnnlab.bert import encoder, heads, huggingface, wordpiece
from rnnlab.bert.text_model import TextModel, load
from rnnlab.core.errors import UserError
from rnnlab.core.notices import LeftOut

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

WORDS = "the a river bank ##s wet , ! . dog runs ##ning 银 行 钱 在"
PIECES = [*wordpiece.SPECIALS, *WORDS.split(" ")]
TEXTS = ["The river banks, wet!", "a dog runs", "bank", "The dog runs . a dog runs in 银行", ""]
SIZES = {
    "vocab_size": len(PIECES),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 20,
}


def theirs(kind, folder, **changes):
    """A random model of transformers and its tokenizer, saved into a folder."""
    torch.manual_seed(0)
    config = transformers.BertConfig(initializer_range=0.5, **{**SIZES, **changes})
    module = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in module.parameters():  # biases are drawn as well
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    module.save_pretrained(folder)
    tokenizer = transformers.BertTokenizerFast(vocab={piece: i for i, piece in enumerate(PIECES)})
    tokenizer.save_pretrained(folder)
    return module, tokenizer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, their model, their tokenizer, ours) of a BERT with all heads."""
    folder = tmp_path_factory.mktemp("bert")
    module, tokenizer = theirs("BertForPreTraining", folder)
    return folder, module, tokenizer, rnnlab.bert.load(folder)


@pytest.fixture(scope="module")
def pipeline(whole):
    folder, _, tokenizer, _ = whole
    module = transformers.BertForMaskedLM.from_pretrained(folder).eval()
    return transformers.pipeline("fill-mask", model=module, tokenizer=tokenizer, device="cpu")


def states(module, tokenizer, text, pair=None):
    with torch.no_grad():
        inputs = tokenizer(text, pair, return_tensors="pt")
        return module.bert(**inputs, output_hidden_states=True), inputs


# ---- hidden words ------------------------------------------------------------------------------


def same_answers(ours, expected):
    assert [a.id for a in ours] == [b["token"] for b in expected]
    assert [a.text for a in ours] == [b["sequence"] for b in expected]
    assert [a.token for a in ours] == [b["token_str"] for b in expected]
    np.testing.assert_allclose(
        [a.probability for a in ours], [b["score"] for b in expected], rtol=1e-4
    )


def test_fill_mask_is_the_pipeline(whole, pipeline):
    *_, model = whole
    texts = ["The [MASK] banks, wet!", "a dog [MASK].", "[MASK] 银行 在 the river bank, wet wet!"]
    expected = pipeline(texts, top_k=4)
    for ours, each in zip(model.fill_mask(texts, top_k=4), expected, strict=True):
        same_answers(ours, each)  # padded
    same_answers(model.fill_mask(texts[1]), pipeline(texts[1]))
    several = "The [MASK] runs [MASK] [MASK]!"
    for ours, each in zip(model.fill_mask(several, 3), pipeline(several, top_k=3), strict=True):
        same_answers(ours, each)
    mixed = model.fill_mask([several, texts[0]], len(PIECES))
    same_answers(mixed[0][2], pipeline(several, top_k=len(PIECES))[2])
    same_answers(mixed[1], pipeline(texts[0], top_k=len(PIECES)))
    assert sum(a.probability for a in mixed[1]) == pytest.approx(1, abs=1e-5)
    targets = ["dog", "river", "wet"]
    same_answers(model.fill_mask(texts[0], targets=targets), pipeline(texts[0], targets=targets))


def test_questions_without_an_answer(whole):
    *_, model = whole
    for texts, options, words in (
        ("a dog", {}, r"'a dog' has no \[MASK\] to fill"),
        (["a [MASK]", "the"], {}, r"'the' has no \[MASK\]"),
        ("[MASK]", {"top_k": 0}, "top_k must be a whole number from 1 to 21, got 0"),
        ("[MASK]", {"top_k": 22}, "from 1 to 21"),
        ("[MASK]", {"targets": ["dogs"]}, r"target 'dogs' is 2 pieces \(dog ##s\)"),
        ("[MASK]", {"targets": ["dog", "cat"]}, "target 'cat' is not in the vocabulary"),
        ("[MASK] " * 19, {}, "text 0 has 21 tokens, and the encoder reads 20: shorten it"),
        ([], {}, "no texts"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fill_mask(texts, **options)
    with pytest.raises(TypeError, match="texts must be str; text 1 is None"):
        model.fill_mask(["[MASK]", None])


# ---- vectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pooling", "layer"), [("mean", -1), ("mean", 1), ("cls", 0), ("max", -2), ("pooler", -1)]
)
def test_sentence_vectors_are_theirs_one_by_one(pooling, layer, whole):
    _, module, tokenizer, model = whole
    texts = TEXTS * 8  # more than a batch
    vectors = model.sentence_vectors(texts, pooling, layer=layer)
    assert vectors.shape == (40, 8)
    for row, text in zip(vectors, TEXTS, strict=False):
        said, _ = states(module, tokenizer, text)
        h = said.hidden_states[layer][0].numpy()
        expected = {
            "mean": h.mean(axis=0),
            "cls": h[0],
            "max": h.max(axis=0),
            "pooler": said.pooler_output[0].numpy(),
        }[pooling]
        np.testing.assert_allclose(row, expected, atol=1e-5)
    np.testing.assert_allclose(vectors[:5], vectors[-5:], atol=1e-6)
    one = model.sentence_vectors(TEXTS[0], pooling, layer=layer)
    assert one.shape == (8,)
    np.testing.assert_allclose(one, vectors[0], atol=1e-6)


def test_long_texts_are_refused_or_read_in_parts(whole):
    *_, model = whole
    long = "the river banks , " * 5  # 25 pieces; a part holds 18, and no word is cut
    with pytest.raises(ValueError, match=r"text 1 has 27 tokens.*\(windows=True reads it in parts"):
        model.sentence_vectors(["a", long])
    with pytest.warns(LeftOut, match="1 of 2 texts are longer than 18 pieces"):
        vectors = model.sentence_vectors(["a dog", long], "cls", windows=True)
    first = "the river banks , " * 3 + "the river "
    rest = "banks , the river banks ,"
    sizes = [len(model.tokenizer.encode(part).ids) for part in (first, rest)]
    assert sizes == [19, 10]
    parts = model.sentence_vectors([first, rest], "cls")
    np.testing.assert_allclose(vectors[1], np.average(parts, axis=0, weights=sizes), atol=1e-5)
    np.testing.assert_array_equal(vectors[0], model.sentence_vectors(["a dog"], "cls")[0])


def test_a_word_longer_than_a_part_is_named(whole):
    *_, model = whole
    pieces = [*wordpiece.SPECIALS, "a", "##a", "##aa"]
    model = replace(model, tokenizer=wordpiece.of_vocabulary(pieces))
    word = "a" * 71  # 36 pieces; the second part, 18 of them, is 19 once it is a word
    with (
        pytest.warns(LeftOut, match="2 of 3 texts"),
        pytest.raises(ValueError, match=r"a part of text 2 has 21 tokens.* a word in it is lon"),
    ):
        model.sentence_vectors(["a " * 30, "a", word], windows=True)
    with pytest.raises(ValueError, match=r"^text 2 has 38 tokens.*\(windows=True"):
        model.sentence_vectors(["a", "a", word])


def test_vectors_of_words(whole):
    _, module, tokenizer, model = whole
    h = states(module, tokenizer, "The river banks")[0].hidden_states[-1][0].numpy()
    own = model.word_vectors(["The river banks"], "banks")
    np.testing.assert_allclose(own[0], h[3:5].mean(axis=0), atol=1e-5)


def test_options_of_vectors_are_checked(whole):
    *_, model = whole
    for options, words in (
        ({"pooling": "means"}, "did you mean 'mean'"),
        ({"layer": 3}, "layer must be 0 to 2, or counted from the end, got 3"),
        ({"pooling": "pooler", "layer": 0}, "the pooler reads the last layer"),
    ):
        with pytest.raises(ValueError, match=words):
            model.sentence_vectors(["a"], **options)


# ---- pairs -------------------------------------------------------------------------------------


def test_next_sentences_are_theirs(whole):
    folder, _, tokenizer, model = whole
    module = transformers.BertForNextSentencePrediction.from_pretrained(folder).eval()
    a, b = ["The river", "a dog runs, wet!", "bank"], ["a dog runs.", "the", "在 银行"]
    scores = model.next_sentence_score(a, b)
    for score, one, other in zip(scores, a, b, strict=True):
        with torch.no_grad():
            logits = module(**tokenizer(one, other, return_tensors="pt")).logits
        assert score == pytest.approx(float(logits.softmax(-1)[0, 0]), abs=1e-5)
    single = model.next_sentence_score(a[1], b[1])
    assert isinstance(single, float)
    assert single == pytest.approx(scores[1], abs=1e-6)
    with pytest.raises(TypeError, match="both be a text"):
        model.next_sentence_score("a", ["b"])
    with pytest.raises(ValueError, match="3 texts need as many pairs, got 2"):
        model.next_sentence_score(a, b[:2])


# ---- files -------------------------------------------------------------------------------------


def test_missing_heads_are_named(tmp_path, whole):
    *_, full = whole
    theirs("BertForMaskedLM", tmp_path / "words")
    words = load(tmp_path / "words")
    assert words.parts == ("encoder", "masked_words")
    assert full.parts == ("encoder", "pooler", "masked_words", "next_sentence")
    assert "parts: encoder, masked_words" in repr(words)
    assert len(words.fill_mask("[MASK]")) == 5
    with pytest.raises(UserError, match=r"next_sentence_score needs .* has encoder, masked_words"):
        words.next_sentence_score("a", "the")
    with pytest.raises(UserError, match="pooling='pooler' needs the pooler"):
        words.sentence_vectors(["a"], "pooler")
    theirs("BertModel", tmp_path / "bare", tie_word_embeddings=False)
    with pytest.raises(UserError, match="fill_mask needs the head of masked words"):
        load(tmp_path / "bare").fill_mask("[MASK]")


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("BertForPreTraining", None),
        ("BertForMaskedLM", None),
        ("BertForNextSentencePrediction", None),
        ("BertForSequenceClassification", 3),
        ("BertForTokenClassification", 5),
        ("BertModel", None),
    ],
)
def test_transformers_reads_what_is_saved(kind, labels, tmp_path):
    changes = {} if labels is None else {"num_labels": labels}
    module, tokenizer = theirs(kind, tmp_path / "a", **changes)
    load(tmp_path / "a").save(tmp_path / "b")
    described = json.loads((tmp_path / "b/config.json").read_text())
    assert described["architectures"] == [kind]
    auto = transformers.BertTokenizerFast.from_pretrained(tmp_path / "b")
    inputs = auto(TEXTS, padding=True, return_tensors="pt")
    for name, value in tokenizer(TEXTS, padding=True, return_tensors="pt").items():
        np.testing.assert_array_equal(inputs[name], value)
    assert auto.model_max_length == 20
    back = getattr(transformers, kind).from_pretrained(tmp_path / "b").eval()
    with torch.no_grad():
        for ours, expected in zip(
            back(**inputs).to_tuple(), module(**inputs).to_tuple(), strict=True
        ):
            np.testing.assert_array_equal(ours, expected)


def test_classes_have_their_names_in_transformers(tmp_path):
    theirs("BertForSequenceClassification", tmp_path / "a", num_labels=2)
    model = load(tmp_path / "a")
    model.save(tmp_path / "b", labels=["bad", "good"])
    answers = transformers.pipeline("text-classification", str(tmp_path / "b"), device="cpu")
    assert {answer["label"] for answer in answers("a dog", top_k=None)} == {"bad", "good"}
    back = transformers.AutoConfig.from_pretrained(tmp_path / "b")
    assert (back.id2label, back.label2id) == ({0: "bad", 1: "good"}, {"bad": 0, "good": 1})
    model.save(tmp_path / "b")
    back = transformers.AutoConfig.from_pretrained(tmp_path / "b")
    assert back.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    for labels in (["bad"], ["bad", "bad"], ["bad", "good", "bad"]):
        with pytest.raises(ValueError, match=r"2 different labels expected, got \['bad'"):
            model.save(tmp_path / "c", labels=labels)
    assert not (tmp_path / "c").exists()


def test_a_tokenizer_of_ours_is_read_by_transformers(tmp_path):
    """Learned here, in Chinese and with accents; a model that was drawn here."""
    texts = ["Die Bank am Flüßchen, nass!", "我在银行存钱", "The Café's dogs run."] * 3
    (tmp_path / "lower").mkdir()
    for lowercase, folder in ((True, tmp_path / "lower"), (False, tmp_path)):
        tokenizer = wordpiece.train(texts, 80, lowercase=lowercase)
        wordpiece.save(tokenizer, folder, 32)
        auto = transformers.BertTokenizerFast.from_pretrained(folder)
        for text in texts[:3]:
            assert auto(text)["input_ids"] == tokenizer.encode(text).ids
    config = encoder.Config(tokenizer.get_vocab_size(), 8, 1, 2, 12, 32)
    init = encoder.Init(*["normal(std=0.5)"] * 5)
    one = jnp.zeros((1, 1), jnp.int32)
    params = jax.jit(heads.Pretraining(config, init).init)(jax.random.key(0), one)
    model = TextModel(config, params, tokenizer)
    model.save(tmp_path)
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path)
    module = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    pipe = transformers.pipeline("fill-mask", model=module, tokenizer=auto, device="cpu")
    same_answers(model.fill_mask("我在银[MASK]存钱"), pipe("我在银[MASK]存钱"))
    same_answers(load(tmp_path).fill_mask("我在银[MASK]存钱"), pipe("我在银[MASK]存钱"))
    (tmp_path / "tokenizer.json").unlink()  # vocab.txt and the settings say the same
    again = huggingface.load_tokenizer(tmp_path)
    assert [again.encode(t).ids for t in texts] == [tokenizer.encode(t).ids for t in texts]


def test_what_is_no_bert_is_refused(tmp_path, whole):
    folder, *_, model = whole
    with pytest.raises(UserError, match="there is no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no weights at"):
        load(tmp_path)
    with pytest.raises(UserError, match="is no run directory, which member=1 belongs to"):
        load(folder, member=1)
    small = encoder.Config(11, 8, 1, 2, 12, 20)
    one = jnp.zeros((1, 1), jnp.int32)
    params = jax.eval_shape(heads.Pretraining(small).init, jax.random.key(0), one)
    other = TextModel(small, params, model.tokenizer)
    with pytest.raises(ValueError, match="token 17, the encoder has 11: they belong to different"):
        other.sentence_vectors(["runs银"])
    with pytest.raises(AttributeError, match="no attribute 'loads'"):
        rnnlab.bert.loads  # noqa: B018
