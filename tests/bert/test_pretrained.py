"""bert/starts.py: a BERT begins with a run's or a checkpoint's weights, bit for bit."""

import shutil

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from rnnlab import training
from rnnlab.bert import encoder, heads, huggingface, pretrained, text_model, wordpiece
from rnnlab.bert.pretrained import Start
from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.interop import array_files
from rnnlab.training import runner, stored
from rnnlab.training.params import save_params

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

TEXT = "\n\n".join(
    f"The {a} saw the {b}. It ran away from the {a}. They met at noon."
    for a in ("cat", "dog", "cow")
    for b in ("bird", "fish", "horse")
)
# without draws, which take long to compile
PLAIN = encoder.Init("zeros", "zeros", "zeros", "constant(value=3.0)", "constant(value=2.0)")
ONE = jnp.zeros((1, 1), jnp.int32)


def noisy(params, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), params)


def init(model):
    """Compiled whole: step by step every operation would be compiled on its own."""
    return jax.jit(model.init)(jax.random.key(3), ONE)["params"]


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def small():
    """BERT-Tiny with half of its layers and heads, which compiles sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoder.SIZES, "tiny", (1, 64))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory, small):
    """(a run directory of one pre-trained member, its model's config, its parameters)."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "text.txt").write_text(TEXT)
    config = {
        "seed": 0,
        "task": {
            "name": "sentence_pairs",
            "corpus": str(folder / "text.txt"),
            "length": 16,
            "vocab_size": 60,
            "test_share": 0.3,
        },
        "encoder": encoder.config(dropout=0.0, attention_dropout=0.0),
        "init": encoder.Init.config(),
        "training": training.config(),
        "run": runner.config(),
    }
    spec = training.MemberSpec.from_config(ml_collections.ConfigDict(config))
    model, memory = spec.setup.model, stored.collect([spec])
    memory.write(folder)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), ONE))
    params = noisy(shapes)
    run_files.write_config(folder, {"config": config, "stored": memory.entries})
    (folder / "text.txt").unlink()  # nothing is read from it again
    save_params(folder, 0, params)
    line = {"member": 0, "overrides": {}, "seconds": 1.0, "result": {}}
    line["params"] = run_files.digest_of(folder / "params/0.npz")
    run_files.append_member(folder, "", line)
    return str(folder), model.config, params["params"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same of a checkpoint's folder, of another size."""
    path = tmp_path_factory.mktemp("checkpoint")
    config = encoder.Config(
        vocab_size=13, hidden_size=6, layers=1, heads=2, feed_forward_size=8, max_length=9
    )
    shapes = jax.eval_shape(lambda: heads.Pretraining(config).init(jax.random.key(0), ONE))
    params = noisy(shapes, 1)
    huggingface.save(path, params, config)
    (path / "vocab.txt").write_text("\n".join([*wordpiece.SPECIALS, *"abcdefgh"]) + "\n")
    return str(path), config, params["params"]


@pytest.mark.parametrize("source", ["run", "folder"])
def test_a_model_begins_with_what_is_there(source, request):
    path, config, saved = request.getfixturevalue(source)
    short = encoder.replace(config, max_length=5)
    drawn = {}
    for kind in (heads.Classifier, heads.Tagger):
        model = kind(short, PLAIN, outputs=3)
        drawn[type(model)] = init(model)
        own = init(model.clone(start=Start(path)))
        expected = saved["encoder"]
        position = expected.embeddings.position[:5]
        same(
            own["encoder"],
            expected._replace(embeddings=expected.embeddings._replace(position=position)),
        )
        if "pooler" in own:
            same(own["pooler"], saved["pooler"])
        same(own["classifier"], drawn[type(model)]["classifier"])  # there is none to begin with
    assert model.clone(start=Start(path)) != model
    assert model.clone(start=Start(path)).without_init() == model.without_init()


def test_a_run_is_loaded_with_its_heads_and_pieces(run, tmp_path):
    path, config, saved = run
    model = text_model.load(path)
    assert set(model.parts) == set(saved) == set(huggingface.PARTS)
    assert model.config == config
    same(model.params["params"], saved)
    answers = model.fill_mask("The cat saw the [MASK].", top_k=3)
    tokens = wordpiece.tokens(model.tokenizer, ["The cat saw the [MASK]."])
    logits, _ = heads.Pretraining(config).apply(model.params, tokens)
    (place,) = np.flatnonzero(tokens.ids[0] == wordpiece.special_ids(model.tokenizer, "[MASK]"))
    p = jax.nn.softmax(logits.words[0, place])
    np.testing.assert_allclose([a.probability for a in answers], np.sort(p)[::-1][:3], rtol=1e-4)
    model.save(tmp_path)
    back = text_model.load(tmp_path)
    same(back.params["params"], saved)
    assert back.tokenizer.to_str() == model.tokenizer.to_str()
    with pytest.raises(UserError, match="no finished member 1"):
        text_model.load(path, member=1)


def test_pieces_are_those_of_the_source(run, folder):
    found = wordpiece.pieces_of(pretrained.tokenizer(run[0]))
    assert len(found) == run[1].vocab_size
    assert "noon" in found
    assert wordpiece.pieces_of(pretrained.tokenizer(folder[0]))[-1] == "h"


def test_a_checkpoint_without_a_pooler(folder, tmp_path):
    path, config, saved = folder
    arrays = array_files.read_arrays(f"{path}/model.safetensors")
    kept = {name: a for name, a in arrays.items() if "pooler" not in name}
    array_files.write_arrays(tmp_path / "model.safetensors", kept)
    shutil.copy(f"{path}/config.json", tmp_path)
    model = heads.Classifier(config, PLAIN, outputs=2)
    own = init(model.clone(start=Start(str(tmp_path))))
    same(own["encoder"], saved["encoder"])
    same(own["pooler"], init(model)["pooler"])
    # anything else that is missing is named
    kept.pop("bert.encoder.layer.0.output.dense.bias")
    array_files.write_arrays(tmp_path / "less.safetensors", kept)
    with pytest.raises(ValueError, match=r"missing: bert\.encoder\.layer\.0\.output\.dense\.bias"):
        Start(str(tmp_path / "less.safetensors")).parts(config)


def test_what_does_not_fit_is_refused(run, folder, tmp_path):
    path, config, _ = folder
    other = encoder.replace(config, vocab_size=14, layers=2, max_length=10, activation="relu")
    with pytest.raises(
        ValueError,
        match=r"vocab_size is 13 there, 14 here; layers is 1 there, 2 "
        r"here; activation is 'gelu' there, 'relu' here; it has 9 "
        r"positions, 10 are needed",
    ):
        Start(path).check(other)
    with pytest.raises(UserError, match="no such run directory, folder or file"):
        Start(str(tmp_path / "nowhere")).check(config)
    with pytest.raises(UserError, match="no weights at"):
        Start(str(tmp_path)).check(config)
    with pytest.raises(UserError, match="no finished member 1"):
        Start(run[0], 1).check(run[1])
    with pytest.raises(ValueError, match="start key 'pth'"):
        Start.from_config({"pth": ""})
    with pytest.raises(
        ValueError, match=r"start\.member must be a whole number of at least 0, got -1"
    ):
        Start(path, -1)
    assert Start.from_config(Start.config()) is None
