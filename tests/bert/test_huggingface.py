"""convert/huggingface.py: every layout of names, bit for bit; what does not fit is named."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.bert import heads, huggingface, wordpiece
from rnnlab.bert.encoder import Config, Tokens, encode
from rnnlab.core.errors import UserError
from rnnlab.interop import array_files

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

CONFIG = Config(
    vocab_size=19,
    hidden_size=6,
    layers=2,
    heads=2,
    feed_forward_size=10,
    max_length=8,
    activation="gelu_tanh",
)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def arrays():
    """PyTorch's names and shapes, written out here; every number drawn."""
    V, H, F = 19, 6, 10
    shapes = {
        "bert.embeddings.word_embeddings.weight": (V, H),
        "bert.embeddings.position_embeddings.weight": (8, H),
        "bert.embeddings.token_type_embeddings.weight": (2, H),
        "bert.embeddings.LayerNorm.weight": (H,),
        "bert.embeddings.LayerNorm.bias": (H,),
        "bert.pooler.dense.weight": (H, H),
        "bert.pooler.dense.bias": (H,),
        "cls.predictions.bias": (V,),
        "cls.predictions.transform.dense.weight": (H, H),
        "cls.predictions.transform.dense.bias": (H,),
        "cls.predictions.transform.LayerNorm.weight": (H,),
        "cls.predictions.transform.LayerNorm.bias": (H,),
        "cls.seq_relationship.weight": (2, H),
        "cls.seq_relationship.bias": (2,),
    }
    for k in range(2):
        own = f"bert.encoder.layer.{k}"
        for name, (outs, ins) in {
            "attention.self.query": (H, H),
            "attention.self.key": (H, H),
            "attention.self.value": (H, H),
            "attention.output.dense": (H, H),
            "intermediate.dense": (F, H),
            "output.dense": (H, F),
        }.items():
            shapes |= {f"{own}.{name}.weight": (outs, ins), f"{own}.{name}.bias": (outs,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{own}.{name}.weight": (H,), f"{own}.{name}.bias": (H,)}
    return {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def renamed(arrays, layout):
    """The arrays as another layout has them."""
    out = {}
    for name, a in arrays.items():
        dense = name.endswith(".weight") and "LayerNorm" not in name and "_embeddings" not in name
        if layout == "legacy":
            if "LayerNorm" in name:
                name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        elif layout == "tensorflow":
            name = re.sub(r"layer\.(\d+)", r"layer_\1", name)
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
            name = name.replace("_embeddings.weight", "_embeddings")
            name = name.replace("cls.predictions.bias", "cls.predictions.output_bias")
            name = name.replace("seq_relationship.bias", "seq_relationship.output_bias")
            if "seq_relationship.weight" in name:  # not turned
                name = name.replace("weight", "output_weights")
            elif dense:
                name, a = name.replace(".weight", ".kernel"), a.T
            name = name.replace(".", "/")
        elif layout == "tensorflow 2":
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
            if dense:
                name, a = name.replace(".weight", ".kernel"), a.T
            name = name.replace(".", "/")
            name = re.sub(r"layer/(\d+)", r"layer_._\1", name) + ":0"
            name = name.replace("cls/pred", "mlm___cls/pred").replace("cls/seq", "nsp___cls/seq")
            name = "tf_bert_for_pre_training/" + name
        elif layout == "flax":
            name = name.replace("LayerNorm.weight", "LayerNorm.scale")
            name = name.replace("_embeddings.weight", "_embeddings.embedding")
            if dense:
                name, a = name.replace(".weight", ".kernel"), a.T
            name = "params/" + name.replace(".", "/")
        out[name] = a
    return out


LAYOUTS = ("pytorch", "legacy", "tensorflow", "tensorflow 2", "flax")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_and_exported_bit_for_bit(arrays, layout):
    given = renamed(arrays, layout)
    assert (given.keys() == arrays.keys()) == (layout == "pytorch")
    out = huggingface.to_arrays(huggingface.from_arrays(given, CONFIG))
    assert out.keys() == arrays.keys()
    for name, a in arrays.items():
        assert out[name].dtype == a.dtype
        assert out[name].tobytes() == a.tobytes(), name
    words = {name.split(".")[-1].split("/")[-1].removesuffix(":0") for name in given}
    telling = {
        "legacy": "gamma",
        "tensorflow": "output_weights",
        "tensorflow 2": "kernel",
        "flax": "scale",
    }
    assert telling.get(layout, "weight") in words


def test_kernels_are_turned(arrays):
    own = huggingface.from_arrays(arrays, CONFIG)["params"]
    outer = own["encoder"].layers[1].feed_forward.outer.W
    assert (np.asarray(outer) == arrays["bert.encoder.layer.1.output.dense.weight"].T).all()
    head = own["next_sentence"].W
    assert (np.asarray(head) == arrays["cls.seq_relationship.weight"].T).all()


def test_a_model_that_is_nothing_but_a_bert(arrays):
    own = {name.removeprefix("bert."): a for name, a in arrays.items() if name.startswith("bert.")}
    params = huggingface.from_arrays(own, CONFIG, ("encoder", "pooler"))
    assert set(params["params"]) == {"encoder", "pooler"}
    same = huggingface.from_arrays(arrays, CONFIG, ("encoder", "pooler"))  # heads are left out
    assert all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (params, same)), strict=True))


def test_a_classifier_has_as_many_classes_as_its_weights(arrays):
    more = arrays | {
        "classifier.weight": np.ones((5, 6), np.float32),
        "classifier.bias": np.ones(5, np.float32),
    }
    params = huggingface.from_arrays(more, CONFIG, ("encoder", "pooler", "classifier"))
    model = heads.Classifier(CONFIG, outputs=5)
    assert model.apply(params, jnp.zeros((1, 3), jnp.int32))[0].shape == (1, 5)


def test_what_does_not_fit_is_named(arrays):
    bad = dict(arrays)
    del bad["bert.pooler.dense.bias"], bad["bert.encoder.layer.1.attention.self.key.weight"]
    bad["bert.encoder.layer.2.output.dense.bias"] = np.ones(6, np.float32)
    bad["bert.encoder.layer.0.output.dense.weight"] = np.ones((10, 6), np.float32)
    bad["bert.adapter.weight"] = np.ones(3, np.float32)
    bad["cls.predictions.output_bias"] = arrays["cls.predictions.bias"]
    bad["cls.predictions.decoder.weight"] = np.zeros((19, 6), np.float32)
    with pytest.raises(ValueError, match=r"^7 weights do not fit") as told:
        huggingface.from_arrays(bad, CONFIG)
    assert str(told.value).split("\n  ")[1:] == [
        "extra: bert.adapter.weight",
        "extra: bert.encoder.layer.2.output.dense.bias",
        "missing: bert.encoder.layer.1.attention.self.key.weight (6, 6)",
        "missing: bert.pooler.dense.bias (6,)",
        "not tied: cls.predictions.decoder.weight differs from "
        "bert.embeddings.word_embeddings.weight",
        "of shape (10, 6), expected (6, 10): bert.encoder.layer.0.output.dense.weight",
        "twice: cls.predictions.output_bias and cls.predictions.bias",
    ]


def test_what_is_no_weight_is_passed_over(arrays):
    more = arrays | {
        "bert.embeddings.position_ids": np.arange(8)[None],
        "bert/encoder/layer_0/output/dense/kernel/adam_m": np.ones((10, 6)),
        "global_step": np.array(3),
        "cls.predictions.decoder.weight": arrays["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": arrays["cls.predictions.bias"],
    }
    huggingface.from_arrays(more, CONFIG)


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_files(arrays, kind, tmp_path):
    from safetensors.numpy import save_file

    params = huggingface.from_arrays(arrays, CONFIG)
    huggingface.save(tmp_path / "a", params, CONFIG)
    if kind == "npz":
        (tmp_path / "a" / "model.safetensors").unlink()
        np.savez(tmp_path / "a" / "model.npz", **renamed(arrays, "tensorflow"))
    read = huggingface.load(tmp_path / "a")
    assert read.config == CONFIG
    out = huggingface.to_arrays(read.params)
    assert all(out[name].tobytes() == a.tobytes() for name, a in arrays.items())
    # half precision is widened, exactly
    half = {name: a.astype(np.float16) for name, a in arrays.items()}
    save_file(half, tmp_path / "half.safetensors")
    wide = huggingface.load(tmp_path / "half.safetensors", config=CONFIG)
    for name, a in huggingface.to_arrays(wide.params).items():
        assert (a == half[name]).all()
        assert a.dtype == np.float32


def test_hugging_face_reads_what_is_written(arrays, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    params = huggingface.from_arrays(arrays, CONFIG)
    huggingface.save(tmp_path, params, CONFIG)
    module = transformers.BertForPreTraining.from_pretrained(tmp_path).eval()
    ids = RNG.integers(0, 19, (2, 8), dtype=np.int32)
    with torch.no_grad():
        said = module(torch.tensor(ids, dtype=torch.int64))
    own, _ = heads.Pretraining(CONFIG).apply(params, Tokens(jnp.asarray(ids)))
    for a, b in (
        (own.words, said.prediction_logits),
        (own.next_sentence, said.seq_relationship_logits),
    ):
        assert np.abs(np.asarray(a) - b.numpy()).max() < 1e-5 * np.abs(b.numpy()).max()


# ---- what transformers writes ------------------------------------------------------------------


SIZES = {
    "vocab_size": 19,
    "hidden_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 10,
    "max_position_embeddings": 8,
    "attn_implementation": "eager",
}
IDS = np.array([[2, 5, 7, 1, 0, 18], [3, 3, 9, 11, 4, 2]])


def theirs(kind, folder, config="BertConfig", **changes):
    """A random model of transformers, saved into a folder; its outputs for IDS."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    shards = {"max_shard_size": changes.pop("max_shard_size", "5GB")}
    described = getattr(transformers, config)(initializer_range=0.5, **{**SIZES, **changes})
    module = getattr(transformers, kind)(described).eval()
    with torch.no_grad():
        for parameter in module.parameters():  # biases are drawn as well
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
        said = module(torch.tensor(IDS))
    module.save_pretrained(folder, **shards)
    return said


def near(own, other):
    other = other.numpy()
    return np.abs(np.asarray(own) - other).max() < 1e-5 * np.abs(other).max()


@pytest.mark.parametrize(
    "changes",
    [{}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"layer_norm_eps": 0.05}],
)
def test_numbers_are_those_of_the_config(changes, tmp_path):
    said = theirs("BertModel", tmp_path, **changes)
    config, params = huggingface.load(tmp_path, ("encoder", "pooler"))
    own = encode(config, params["params"]["encoder"], Tokens(jnp.asarray(IDS)))
    assert near(own.last, said.last_hidden_state)


@pytest.mark.parametrize(
    ("kind", "config", "changes", "words"),
    [
        ("RobertaModel", "RobertaConfig", {}, "model_type is 'roberta', only 'bert' is computed"),
        ("ElectraModel", "ElectraConfig", {"embedding_size": 6}, "model_type is 'electra'"),
        ("BertModel", "BertConfig", {"is_decoder": True}, "is_decoder is True, only False"),
    ],
)
def test_other_models_are_refused_by_name(kind, config, changes, words, tmp_path):
    """A RoBERTa has the same weights, and counts its positions from 2."""
    theirs(kind, tmp_path, config, **changes)
    for given in (None, CONFIG):
        with pytest.raises(UserError, match=words):
            huggingface.load(tmp_path, ("encoder",), given)
    arrays = array_files.read_arrays(tmp_path / "model.safetensors")
    if kind == "RobertaModel":
        renamed_ = {f"roberta.{name}": array for name, array in arrays.items()}
        with pytest.raises(ValueError, match=r"no BERT's encoder among roberta"):
            huggingface.from_arrays(renamed_, CONFIG, ("encoder",))


def test_shards_are_read(tmp_path):
    said = theirs("BertForPreTraining", tmp_path, max_shard_size="1KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    config, params = huggingface.load(tmp_path)
    own, _ = heads.Pretraining(config).apply(params, Tokens(jnp.asarray(IDS)))
    assert near(own.words, said.prediction_logits)
    (tmp_path / "model-00002-of-00002.safetensors").unlink(missing_ok=True)
    next(iter(sorted(tmp_path.glob("model-*.safetensors")))).unlink()
    with pytest.raises(UserError, match="names the shard model-00001-of-"):
        huggingface.load(tmp_path)


def test_a_head_that_answers_questions(tmp_path):
    said = theirs("BertForQuestionAnswering", tmp_path)
    config, params = huggingface.load(tmp_path, ("encoder",))
    assert set(params["params"]) == {"encoder"}
    own = encode(config, params["params"]["encoder"], Tokens(jnp.asarray(IDS)))
    params = huggingface.load(tmp_path, ("encoder", "classifier")).params
    logits, _ = heads.Tagger(config, outputs=2).apply(params, jnp.asarray(IDS))
    assert near(logits[..., 0], said.start_logits)
    assert near(logits[..., 1], said.end_logits)
    assert own.last.shape == (2, 6, 6)
    with pytest.raises(ValueError, match=r"parts=\('encoder', 'classifier'\)") as told:
        huggingface.load(tmp_path)  # its other parts are not there
    assert "missing: bert.pooler.dense.weight (6, 6)" in str(told.value)


def test_other_weights_beside_the_encoder_are_named(arrays):
    more = arrays | {
        "crf.transitions": np.ones((3, 3), np.float32),
        "qa_outputs.weight": np.ones((2, 6), np.float32),
        "qa_outputs.bias": np.ones(2, np.float32),
        "classifier.weight": np.ones((2, 6), np.float32),
        "classifier.bias": np.ones(2, np.float32),
    }
    named = "left out: crf.transitions, qa_outputs.bias, qa_outputs.weight"
    with pytest.warns(UserWarning, match=named):
        params = huggingface.from_arrays(more, CONFIG, ("encoder",))
    assert set(params["params"]) == {"encoder"}
    with pytest.raises(ValueError, match="two read-outs: qa_outputs"):
        huggingface.from_arrays(more, CONFIG, ("encoder", "classifier"))
    own = {name.removeprefix("bert."): a for name, a in arrays.items() if name.startswith("bert.")}
    with pytest.warns(UserWarning, match="left out: linear.weight"):
        huggingface.from_arrays(own | {"linear.weight": np.ones(3)}, CONFIG, ("encoder", "pooler"))


def test_optional_parts_are_read_if_they_are_there(arrays):
    for part, left in (("pooler", "bert.pooler"), ("next_sentence", "cls.seq_relationship")):
        without = {name: a for name, a in arrays.items() if not name.startswith(left)}
        for given, parts in ((arrays, {"encoder", part}), (without, {"encoder"})):
            params = huggingface.from_arrays(given, CONFIG, ("encoder",), optional=(part,))
            assert set(params["params"]) == parts
        half = without | {f"{left}.dense.bias".replace("ship.dense", "ship"): np.ones(6)}
        with pytest.raises(ValueError, match=f"missing: {left}.*weight"):
            huggingface.from_arrays(half, CONFIG, ("encoder",), optional=(part,))


def test_whole_numbers_are_no_weights(arrays):
    """Of a quantized checkpoint, whose scales are elsewhere."""
    name = "bert.encoder.layer.0.output.dense.weight"
    quantized = arrays | {name: np.ones((6, 10), np.int8)}
    with pytest.raises(ValueError, match=f"of type int8, expected a float: {name}"):
        huggingface.from_arrays(quantized, CONFIG)
    half = {key: jnp.asarray(a, jnp.bfloat16) for key, a in arrays.items()}
    assert huggingface.from_arrays(half, CONFIG)["params"]["pooler"].W.dtype == jnp.bfloat16


def test_output_weights_of_their_own(arrays, tmp_path):
    """The head for masked words multiplies by the word embeddings; an encoder does not care."""
    untied = arrays | {"cls.predictions.decoder.weight": np.zeros((19, 6), np.float32)}
    huggingface.from_arrays(untied, CONFIG, ("encoder",))
    with pytest.raises(ValueError, match=r"not tied: cls\.predictions\.decoder"):
        huggingface.from_arrays(untied, CONFIG, ("encoder", "masked_words"))
    huggingface.save(tmp_path, huggingface.from_arrays(arrays, CONFIG), CONFIG)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tie_word_embeddings": False}))
    huggingface.load(tmp_path, ("encoder",))
    with pytest.raises(ValueError, match=r"missing: cls\.predictions\.decoder\.weight"):
        huggingface.load(tmp_path)


def test_a_given_config_must_compute_what_the_file_says(arrays, tmp_path):
    huggingface.save(tmp_path, huggingface.from_arrays(arrays, CONFIG), CONFIG)
    same = dataclasses.replace(CONFIG, dtype="bfloat16", remat=True, dropout=0.0)
    assert huggingface.load(tmp_path, config=same).config == same
    for change in ({"heads": 3}, {"activation": "gelu"}, {"norm_eps": 1e-5}):
        ((name, value),) = change.items()
        with pytest.raises(ValueError, match=f"config is not that of .*{name}={value!r}, there"):
            huggingface.load(tmp_path, config=dataclasses.replace(CONFIG, **change))


def test_nothing_is_unpickled(tmp_path):
    for name in ("pytorch_model.bin", "model.pt", "tf_model.h5"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(UserError, match="would have to be unpickled"):
            array_files.read_arrays(tmp_path / name)
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    with pytest.raises(UserError, match="cannot be read"):
        array_files.read_arrays(tmp_path / "objects.npz")
    (tmp_path / "broken.safetensors").write_bytes(b"12345678")
    with pytest.raises(UserError, match=r"broken.safetensors cannot be read"):
        array_files.read_arrays(tmp_path / "broken.safetensors")


def test_configs(tmp_path):
    said = {
        "vocab_size": 30522,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
    }
    file = tmp_path / "bert_config.json"

    def read(**changes):
        file.write_text(json.dumps({k: v for k, v in (said | changes).items() if v is not None}))
        return huggingface.read_config(tmp_path)

    assert read() == Config.named("tiny")
    assert read(layer_norm_eps=1e-6).norm_eps == 1e-6
    for theirs in ("gelu_new", "gelu_pytorch_tanh"):
        assert read(hidden_act=theirs).activation == "gelu_tanh"
    with pytest.raises(UserError, match="lacks hidden_size"):
        read(hidden_size=None)
    with pytest.raises(UserError, match="swish"):
        read(hidden_act="swish")
    with pytest.raises(UserError, match="relative_key"):
        read(position_embedding_type="relative_key")
    for changes, words in (
        ({"model_type": "roberta"}, "model_type is 'roberta', only 'bert' is computed here"),
        ({"architectures": ["RobertaForMaskedLM"]}, "describes a RobertaForMaskedLM, which is no"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads is {'0': "),
        ({"quantization_config": {"bits": 8}}, "quantization_config is {'bits': 8}"),
        ({"hidden_act": "gelu_10"}, "unknown hidden_act 'gelu_10'"),
        ({"hidden_act": ["gelu"]}, "unknown hidden_act"),
    ):
        with pytest.raises(UserError, match=words):
            read(**changes)
    assert read(model_type="bert", architectures=["MyTagger"], pruned_heads={}, is_decoder=False)
    assert read(architectures=["TFBertModel"], quantization_config=None)
    for content in ("[]", "3", '"bert"'):
        file.write_text(content)
        with pytest.raises(UserError, match="describes no BERT"):
            huggingface.read_config(tmp_path)
    with pytest.raises(UserError, match="multiple of heads=3"):
        read(num_attention_heads=3)
    with pytest.raises(UserError, match=r"no config.json in .*give the sizes"):
        huggingface.read_config(tmp_path.parent)
    with pytest.raises(UserError, match="no weights at"):
        huggingface.load(tmp_path)


PIECES = [*wordpiece.SPECIALS, "the", "bank", "##s", "The"]
TOKENS = [
    *wordpiece.SPECIALS,
    *(
        "the",
        "The",
        "cafe",
        "café",
        "Cafe",
        "Café",
        "##é",
        "##e",
        "銀",
        "行",
        "銀行",
        "[ENT]",
        "sat",
    ),
]
TEXT = "The [MASK] Café[SEP] 銀行 sat [CLS][ENT] [mask] cafe\u0301"


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json"])
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("accents", [True, False, None])
@pytest.mark.parametrize("chinese", [True, False])
def test_tokens_equal_hugging_faces(form, lowercase, accents, chinese, tmp_path):
    """Every combination of settings, with special tokens in the text and a mark in the files."""
    transformers = pytest.importorskip("transformers")
    settings = {
        "do_lower_case": lowercase,
        "strip_accents": accents,
        "tokenize_chinese_chars": chinese,
        "additional_special_tokens": ["[ENT]"],
    }
    theirs = transformers.BertTokenizer(
        vocab={token: i for i, token in enumerate(TOKENS)}, **settings
    )
    if form == "vocab.txt":
        content = "\n".join(TOKENS) + "\n"
    else:  # of other settings, which those beside it replace
        content = wordpiece.of_vocabulary(TOKENS, not lowercase, not accents, not chinese).to_str()
    (tmp_path / form).write_text(content, encoding="utf-8-sig")
    described = tmp_path / "tokenizer_config.json"
    described.write_text(json.dumps(settings), encoding="utf-8-sig")
    ours = huggingface.load_tokenizer(tmp_path).encode(TEXT)
    assert ours.tokens == theirs.convert_ids_to_tokens(theirs(TEXT)["input_ids"])
    assert ours.ids == theirs(TEXT)["input_ids"]
    assert {"[MASK]", "[SEP]", "[CLS]", "[ENT]"} <= set(ours.tokens[1:-1])


def test_settings_of_a_tokenizer_are_checked(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    (tmp_path / "tokenizer_config.json").write_text('{"strip_accents": "no"}')
    with pytest.raises(UserError, match="strip_accents must be true, false or null, got 'no'"):
        huggingface.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(UserError, match=r"tokenizer_config\.json cannot be read: expected {"):
        huggingface.load_tokenizer(tmp_path)


def test_tokenizers(tmp_path):
    for name, text in (("bert-uncased", "\n".join(PIECES) + "\n"), ("bert-cased", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.txt").write_text(text or "\n".join(PIECES))

    def pieces(tokenizer):
        return tokenizer.encode("The banks").tokens[1:-1]

    assert pieces(huggingface.load_tokenizer(tmp_path / "bert-uncased")) == ["the", "bank", "##s"]
    assert pieces(huggingface.load_tokenizer(tmp_path / "bert-cased")) == ["The", "bank", "##s"]
    told = tmp_path / "bert-cased" / "tokenizer_config.json"
    told.write_text('{"do_lower_case": true}')
    cased = tmp_path / "bert-cased" / "vocab.txt"
    assert pieces(huggingface.load_tokenizer(cased)) == ["the", "bank", "##s"]
    # tokenizer.json is read first, and says everything itself
    own = wordpiece.of_vocabulary(PIECES, lowercase=False)
    own.enable_truncation(3)
    own.save(str(tmp_path / "bert-uncased" / "tokenizer.json"))
    read = huggingface.load_tokenizer(tmp_path / "bert-uncased")
    assert pieces(read) == ["The", "bank", "##s"]
    (tmp_path / "vocab.txt").write_text("the\nbank\n")
    with pytest.raises(ValueError, match=r"lacks \[PAD\], \[UNK\]"):
        huggingface.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        huggingface.load_tokenizer(tmp_path)
    with pytest.raises(UserError, match=r"neither tokenizer.json nor vocab.txt"):
        huggingface.load_tokenizer(tmp_path / "..")
