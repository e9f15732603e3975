"""bert/encoder.py, heads.py: each equation in NumPy, the whole against Hugging Face's PyTorch."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from rnnlab.bert import encoder, heads, huggingface
from rnnlab.bert.encoder import Config, Init, Tokens
from rnnlab.nn import models

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
SMALL = Config(vocab_size=37, hidden_size=12, layers=2, heads=3, feed_forward_size=20, max_length=9)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def close(a, b, to=1e-5):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= to * np.abs(b).max()


def noisy(tree):
    """Every array drawn anew: no bias is zero and no γ is one."""
    hosted = jax.tree.map(np.asarray, tree)
    return jax.tree.map(lambda a: 0.3 * normal(*a.shape) + (a == 1).astype(a.dtype), hosted)


def drawn(config=SMALL):
    return noisy(init_params(jax.random.key(0), config))


# compiled whole: step by step every operation would be compiled on its own
init_params = jax.jit(encoder.init_params, static_argnums=(1, 2))
encode = jax.jit(encoder.encode, static_argnums=0, static_argnames=("hidden", "attention"))


def init(model):
    return jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))


# ---- the equations, written out ----------------------------------------------------------------


def norm_by_hand(p, x, eps=1e-12):
    out = np.empty(x.shape)
    for place in np.ndindex(x.shape[:-1]):
        row = x[place].astype(np.float64)
        mu = sum(row) / len(row)
        var = sum((v - mu) ** 2 for v in row) / len(row)
        for i, v in enumerate(row):
            out[place][i] = p.gamma[i] * (v - mu) / math.sqrt(var + eps) + p.beta[i]
    return out


def affine_by_hand(p, x):
    return x.astype(np.float64) @ np.asarray(p.W, np.float64) + np.asarray(p.b, np.float64)


def attention_by_hand(p, h, mask, A):
    B, T, H = h.shape
    d = H // A
    Q, K, value = (affine_by_hand(part, h) for part in p[:3])
    mixed, weights = np.zeros((B, T, H)), np.zeros((B, A, T, T))
    for b in range(B):
        for a in range(A):
            own = slice(a * d, (a + 1) * d)
            for t in range(T):
                score = [
                    math.exp(Q[b, t, own] @ K[b, s, own] / math.sqrt(d)) * mask[b, s]
                    for s in range(T)
                ]
                for s in range(T):
                    weights[b, a, t, s] = score[s] / sum(score)
                    mixed[b, t, own] += weights[b, a, t, s] * value[b, s, own]
    return affine_by_hand(p.output, mixed), weights


def test_layer_norm():
    p, x = encoder.Norm(normal(5), normal(5)), 3 + 2 * normal(2, 3, 5)
    close(encoder.layer_norm(p, jnp.asarray(x)), norm_by_hand(p, x))
    close(encoder.layer_norm(p, jnp.asarray(x), 0.5), norm_by_hand(p, x, 0.5))


@pytest.mark.parametrize("eps", [1e-12, 0.5])
def test_layer_norms_gradient_is_that_of_its_equation(eps):
    p, x, d = encoder.Norm(normal(5), normal(5)), 3 + 2 * normal(2, 3, 5), normal(2, 3, 5)
    _, pull = jax.vjp(lambda p, x: encoder.layer_norm(p, x, eps), p, jnp.asarray(x))
    (got_gamma, got_beta), got = pull(jnp.asarray(d))
    p, step = encoder.Norm(*(np.float64(a) for a in p)), 1e-5
    slopes = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        there = np.zeros(x.shape)
        there[place] = step
        ends = [(d * norm_by_hand(p, np.float64(x) + s * there, eps)).sum() for s in (1, -1)]
        slopes[place] = (ends[0] - ends[1]) / (2 * step)
    close(got, slopes)
    plain = encoder.Norm(np.ones(5), np.zeros(5))
    close(got_gamma, (d * norm_by_hand(plain, np.float64(x), eps)).sum((0, 1)))
    close(got_beta, d.sum((0, 1)))


def test_gelu_exact_and_tanh():
    x = 3 * normal(100)
    exact = x / 2 * (1 + erf(x / math.sqrt(2)))
    close(encoder.gelu(jnp.asarray(x)), exact)
    tanh = x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    close(encoder.gelu_tanh(jnp.asarray(x)), tanh)
    assert np.abs(exact - tanh).max() > 1e-4  # they are two functions


def test_embed():
    p = drawn().embeddings
    ids = RNG.integers(0, 37, (2, 5), dtype=np.int32)
    segments = RNG.integers(0, 2, (2, 5), dtype=np.int32)
    summed = np.stack(
        [
            [p.word[ids[b, t]] + p.position[t] + p.segment[segments[b, t]] for t in range(5)]
            for b in range(2)
        ]
    )
    close(encoder.embed(p, jnp.asarray(ids), jnp.asarray(segments)), norm_by_hand(p.norm, summed))
    close(encoder.embed(p, jnp.asarray(ids)), encoder.embed(p, ids, jnp.zeros_like(ids)), 1e-6)


def test_multi_head_attention():
    p, h = drawn().layers[0].attention, normal(2, 5, 12)
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0]], bool)
    said, weights = encoder.multi_head_attention(p, jnp.asarray(h), jnp.asarray(mask), heads=3)
    by_hand, by_hand_weights = attention_by_hand(p, h, mask, 3)
    close(said, by_hand)
    close(weights, by_hand_weights)
    fused, none = encoder.multi_head_attention(p, jnp.asarray(h), jnp.asarray(mask), 3, fused=True)
    close(fused, by_hand)
    assert none is None


def test_feed_forward():
    p, h = drawn().layers[0].feed_forward, normal(2, 5, 12)
    inner = affine_by_hand(p.inner, h)
    inner = inner / 2 * (1 + erf(inner / math.sqrt(2)))
    close(encoder.feed_forward(p, jnp.asarray(h)), affine_by_hand(p.outer, inner))


def test_encoder_layer_is_post_norm():
    p, h, mask = drawn().layers[1], normal(2, 5, 12), np.ones((2, 5), bool)
    said, _ = encoder.encoder_layer(p, jnp.asarray(h), jnp.asarray(mask), None, SMALL, False)
    mixed, _ = attention_by_hand(p.attention, h, mask, 3)
    one = norm_by_hand(p.attention_norm, h + mixed)
    inner = affine_by_hand(p.feed_forward.inner, one)
    wide = affine_by_hand(p.feed_forward.outer, inner / 2 * (1 + erf(inner / math.sqrt(2))))
    close(said, norm_by_hand(p.norm, one + wide))


def test_heads():
    p, h = noisy(encoder.Dense(jnp.ones((12, 12)), jnp.ones(12))), normal(2, 5, 12)
    close(encoder.pool(p, jnp.asarray(h)), np.tanh(affine_by_hand(p, h[:, 0])))
    head = heads.MaskedWords(p, encoder.Norm(normal(12), normal(12)), normal(37))
    word, x = normal(37, 12), affine_by_hand(p, h)
    x = norm_by_hand(head.norm, x / 2 * (1 + erf(x / math.sqrt(2))))
    said = heads.masked_word_logits(head, jnp.asarray(word), jnp.asarray(h))
    close(said, x @ word.T + head.b)
    two = encoder.Dense(normal(12, 2), normal(2))
    close(heads.next_sentence_logits(two, jnp.asarray(h[:, 0])), affine_by_hand(two, h[:, 0]))


# ---- dropout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_its_share_and_the_mean(rate):
    n, seed = 200_000, jnp.array([3, 9], jnp.uint32)
    out = np.asarray(encoder.dropout(jnp.ones(n), rate, seed))
    assert set(np.unique(out)) == {0, np.float32(1 / np.float32(1 - rate))}
    error = math.sqrt(rate * (1 - rate) / n)
    assert abs((out == 0).mean() - rate) < 4 * error


def test_dropout_masks_of_seeds_places_and_lags_are_independent():
    n = 200_000
    seeds = jax.random.bits(jax.random.key(0), (4, 2), jnp.uint32)
    nearby = jnp.array([[0, 0], [0, 1], [1, 0]], jnp.uint32)
    masks = [np.asarray(encoder.dropout(jnp.ones(n), 0.5, seed)) > 0 for seed in (*seeds, *nearby)]
    signs = np.array(masks, np.float64) * 2 - 1
    assert np.abs(signs @ signs.T / n - np.eye(len(signs))).max() < 5 / math.sqrt(n)
    for lag in (1, 2, 3, 12, 64, 128, 4096):
        assert np.abs((signs[:, lag:] * signs[:, :-lag]).mean(axis=1)).max() < 5 / math.sqrt(n)


def test_noise_comes_from_the_key_alone():
    model = heads.Pretraining(SMALL)
    params = init(model)
    ids = jnp.asarray(RNG.integers(0, 37, (2, 7), dtype=np.int32))

    @partial(jax.jit, static_argnames="deterministic")
    def words(key=None, deterministic=True):
        return model.apply(params, ids, key=key, deterministic=deterministic)[0].words

    def drawn(seed):
        return words(key=jax.random.key(seed), deterministic=False)

    assert (drawn(1) == drawn(1)).all()
    assert (drawn(1) != drawn(2)).any()
    assert (words(key=jax.random.key(1)) == words()).all()  # deterministic
    with pytest.raises(ValueError, match="needs a key"):
        words(deterministic=False)


# ---- against Hugging Face ----------------------------------------------------------------------


def theirs(config, seed=0, kind="PreTraining", **options):
    torch.manual_seed(seed)
    act = {"gelu": "gelu", "gelu_tanh": "gelu_new"}[config.activation]
    made = getattr(transformers, f"BertFor{kind}")(
        transformers.BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward_size,
            max_position_embeddings=config.max_length,
            hidden_act=act,
            attn_implementation="eager",
            **options,
        )
    ).eval()
    with torch.no_grad():  # no bias zero, no γ one; small, for GELU's arguments to stay moderate
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return made


def pairs(V, B=3, T=24):
    """Random pairs, the last two of them padded."""
    ids = RNG.integers(5, V, (B, T), dtype=np.int32)
    lengths = np.array([T, T - 7, 6])[:B]
    mask = np.arange(T) < lengths[:, None]
    segments = (np.arange(T) >= T // 2) & mask
    return Tokens(*map(jnp.asarray, (np.where(mask, ids, 0), segments.astype(np.int32), mask)))


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
@pytest.mark.parametrize("size", ["tiny", "mini"])
def test_parity_with_hugging_face(size, activation):
    config = Config.named(size, vocab_size=1000, activation=activation)
    module = theirs(config)
    tokens = pairs(config.vocab_size)
    with torch.no_grad():
        said = module(
            torch.tensor(np.asarray(tokens.ids), dtype=torch.int64),
            token_type_ids=torch.tensor(np.asarray(tokens.segments), dtype=torch.int64),
            attention_mask=torch.tensor(np.asarray(tokens.mask), dtype=torch.int64),
            output_hidden_states=True,
            output_attentions=True,
        )
    params = huggingface.from_arrays(
        {name: a.numpy() for name, a in module.state_dict().items()}, config
    )
    with jax.default_matmul_precision("highest"):
        own = encode(config, params["params"]["encoder"], tokens, hidden=True, attention=True)
        logits, _ = jax.jit(heads.Pretraining(config).apply)(params, tokens)
    assert len(own.hidden) == len(said.hidden_states) == config.layers + 1
    for a, b in zip(own.hidden, said.hidden_states, strict=True):
        close(a, b)
    for a, b in zip(own.attention, said.attentions, strict=True):
        close(a, b)
    close(logits.words, said.prediction_logits)
    close(logits.next_sentence, said.seq_relationship_logits)


@pytest.mark.parametrize("size", ["tiny", "mini"])
@pytest.mark.parametrize("kind", ["Sequence", "Token"])
def test_classifier_and_tagger_equal_hugging_faces(size, kind):
    config = Config.named(size, vocab_size=300)
    module = theirs(config, kind=f"{kind}Classification", num_labels=5)
    tokens = pairs(config.vocab_size)
    with torch.no_grad():
        said = module(
            torch.tensor(np.asarray(tokens.ids), dtype=torch.int64),
            token_type_ids=torch.tensor(np.asarray(tokens.segments), dtype=torch.int64),
            attention_mask=torch.tensor(np.asarray(tokens.mask), dtype=torch.int64),
        ).logits
    model, parts = {
        "Sequence": (heads.Classifier, ("encoder", "pooler", "classifier")),
        "Token": (heads.Tagger, ("encoder", "classifier")),
    }[kind]
    params = huggingface.from_arrays(
        {name: a.numpy() for name, a in module.state_dict().items()}, config, parts
    )
    with jax.default_matmul_precision("highest"):
        logits, _ = jax.jit(model(config, outputs=5).apply)(params, tokens)
    close(logits, said)


def test_gradients_equal_hugging_faces():
    config = Config.named("tiny", vocab_size=200, dropout=0.0, attention_dropout=0.0)
    module, tokens = theirs(config), pairs(200)
    params = huggingface.from_arrays(
        {name: a.detach().numpy() for name, a in module.state_dict().items()}, config
    )
    # none at the padding, whose embedding PyTorch keeps from learning
    mask = np.asarray(tokens.mask)
    target = np.where(mask, RNG.integers(0, 200, (3, 24)), -100)
    said = module(
        torch.tensor(np.asarray(tokens.ids), dtype=torch.int64),
        token_type_ids=torch.tensor(np.asarray(tokens.segments), dtype=torch.int64),
        attention_mask=torch.tensor(np.asarray(tokens.mask), dtype=torch.int64),
        labels=torch.tensor(target),
        next_sentence_label=torch.tensor([0, 1, 1]),
    )
    said.loss.backward()

    def loss(params):
        words, following = heads.Pretraining(config).apply(params, tokens)[0]
        log_p = jax.nn.log_softmax(words)
        own = -jnp.take_along_axis(log_p, jnp.maximum(target, 0)[..., None], axis=-1)
        own = jnp.where(mask[..., None], own, 0).sum() / mask.sum().astype(np.float32)
        rows = jax.nn.log_softmax(following)
        return own - (rows[0, 0] + rows[1, 1] + rows[2, 1]) / 3

    with jax.default_matmul_precision("highest"):
        value, grads = jax.jit(jax.value_and_grad(loss))(params)
    assert float(value) == pytest.approx(said.loss.item(), rel=1e-5)
    own = huggingface.to_arrays(grads)
    named = {name: p for name, p in module.named_parameters() if name in own}
    assert len(named) == len(own)
    largest = max(np.abs(p.grad.numpy()).max() for p in named.values())
    for name, parameter in named.items():
        # K's bias shifts every score of a row alike: its gradient is rounding
        difference = np.abs(own[name] - parameter.grad.numpy()).max()
        assert difference <= 2e-5 * max(np.abs(parameter.grad.numpy()).max(), 0.1 * largest), name


# ---- options -----------------------------------------------------------------------------------


def test_what_is_masked_changes_nothing_that_is_not():
    params, tokens = drawn(), pairs(37, T=9)
    other = tokens._replace(ids=jnp.where(tokens.mask, tokens.ids, 7))
    a, b = (encode(SMALL, params, t).last for t in (tokens, other))
    assert (np.asarray(a)[tokens.mask] == np.asarray(b)[tokens.mask]).all()
    shown = tokens._replace(ids=tokens.ids.at[2, 1].set((tokens.ids[2, 1] + 1) % 37))
    assert (encode(SMALL, params, shown).last != a)[2].any()


@pytest.mark.compiled_for_users
def test_remat_is_the_same_function():
    one_layer = {**vars(SMALL), "layers": 1}
    tokens, params = pairs(37, T=9), drawn(Config(**one_layer))

    def value_and_grad(remat):
        config = Config(**{**one_layer, "remat": remat})

        def total(params):
            key = jax.random.key(3)
            return jnp.square(encoder.encode(config, params, tokens, key=key).last).sum()

        return jax.jit(jax.value_and_grad(total))(params)

    for a, b in zip(*map(jax.tree.leaves, map(value_and_grad, (False, True))), strict=True):
        close(a, b, 1e-4)  # rounding where a difference of large terms is left
    jaxpr = str(jax.make_jaxpr(lambda: value_and_grad(True))())
    assert "remat" in jaxpr or "checkpoint" in jaxpr


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters():
    config = Config(**{**vars(SMALL), "dtype": "bfloat16"})
    params, tokens = drawn(), pairs(37, T=9)
    said = encode(config, params, tokens, hidden=True, attention=True)
    assert {h.dtype.name for h in said.hidden} == {"bfloat16"}
    assert {A.dtype.name for A in said.attention} == {"float32"}
    wide = encode(SMALL, params, tokens)
    close(said.last.astype(jnp.float32), wide.last, 0.1)
    grads = jax.grad(lambda p: encode(config, p, tokens).last.astype(float).sum())(params)
    assert {g.dtype.name for g in jax.tree.leaves(grads)} == {"float32"}


def test_words_at_places_are_the_words_there():
    model, tokens = heads.Pretraining(SMALL), pairs(37, T=9)
    params = noisy(init(model))
    places = jnp.array([[1, 4], [0, 8], [3, 3]])
    apply = jax.jit(model.apply)
    whole, _ = apply(params, tokens)
    some, _ = apply(params, tokens._replace(positions=places))
    rows = np.arange(3)[:, None]
    close(some.words, np.asarray(whole.words)[rows, places])
    close(some.next_sentence, whole.next_sentence)


def test_schemes_reach_their_blocks_and_compile_once():
    scheme = Init(
        embedding="constant(value=1.0)",
        attention="orthogonal",
        feed_forward="constant(value=3.0)",
        head="constant(value=4.0)",
        b="constant(value=5.0)",
    )
    model = heads.Pretraining(SMALL, scheme)
    params = init(model)["params"]
    own = params["encoder"]
    assert all((own.embeddings[k] == 1).all() for k in range(3))
    for layer in own.layers:
        for part in layer.attention:
            close(part.W @ part.W.T, np.eye(12))
        assert (layer.feed_forward.inner.W == 3).all()
        assert (layer.feed_forward.outer.b == 5).all()
    assert (params["pooler"].W == 4).all()
    assert (params["masked_words"].b == 5).all()
    assert model != heads.Pretraining(SMALL)
    assert model.without_init() == heads.Pretraining(SMALL).without_init()
    kernels = [part.W for layer in own.layers for part in layer.attention]
    assert not any((a == b).all() for k, a in enumerate(kernels) for b in kernels[:k])


def test_named_sizes():
    # Turc et al. 2019, Table 1: 4.4M, 11.3M, 29.1M, 41.7M, 110.1M parameters, without heads
    for size, millions in zip(encoder.SIZES, (4.4, 11.2, 28.8, 41.4, 109.5), strict=True):
        config = Config.named(size)
        shapes = jax.eval_shape(lambda c=config: encoder.init_params(jax.random.key(0), c))
        pooler = config.hidden_size * (config.hidden_size + 1)
        assert (models.count_params(shapes) + pooler) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heads": 5}, "multiple of heads=5, got 128"),
        ({"layers": 0}, "layers must be a whole number of at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"activation": "gellu"}, "gelu"),
        ({"dtype": "float16"}, "bfloat16"),
        ({"norm_eps": 0.0}, "norm_eps must be a finite number above 0"),
    ],
)
def test_configs_that_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Config(**changes)
    with pytest.raises(ValueError, match="mini"):
        Config.named("minni")
    with pytest.raises(ValueError, match=r"init\.attention.*orthogonal"):
        Init(attention="ortogonal")


def test_inputs_that_are_refused():
    params, ids = drawn(), jnp.zeros((2, 5), jnp.int32)

    def read(*tokens):
        return encoder.encode(SMALL, params, Tokens(*tokens))

    with pytest.raises(ValueError, match="10 tokens, but max_length=9"):
        read(jnp.zeros((2, 10), jnp.int32))
    with pytest.raises(ValueError, match=r"0 … 36, got 0 … 37"):
        read(ids.at[1, 1].set(37))
    with pytest.raises(TypeError, match="whole numbers, got float32"):
        read(jnp.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"segments must be \(2, 5\), like ids, got \(2, 4\)"):
        read(ids, ids[:, :4])
    with pytest.raises(TypeError, match="mask must be bool"):
        read(ids, ids, ids)
    with pytest.raises(ValueError, match=r"positions must be \(2, P\)"):
        read(ids, ids, ids == 0, jnp.zeros((3, 2), jnp.int32))
    model = heads.Classifier(SMALL, outputs=3)
    own = init(model)
    with pytest.raises(ValueError, match="engine must be 'auto', got 'scan'"):
        model.apply(own, ids, engine="scan")
    with pytest.raises(ValueError, match="no state to start from"):
        model.apply(own, ids, initial_state=1)
    # known only when the program runs: NaN, never another word's vector
    said = jax.jit(lambda ids: read(ids).last)(ids.at[1, 1].set(37))
    assert np.isnan(said[1]).all()
    assert np.isfinite(said[0]).all()
