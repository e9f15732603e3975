"""Read and write BERT's published weights, in any of the layouts in use.

Each weight's layout follows from its name, so a file may mix layouts:

    bert.encoder.layer.0.attention.self.query.weight    PyTorch: (out, in)
    bert.embeddings.LayerNorm.gamma                      PyTorch of 2018
    bert/encoder/layer_0/attention/self/query/kernel     TensorFlow 1, Google's: (in, out)
    bert/encoder/layer_._0/attention/self/query/kernel:0 TensorFlow 2
    bert.encoder.layer.0.attention.self.query.kernel     Flax

Files: ``.safetensors``, in one or several (``model.safetensors.index.json``), and ``.npz``. Nothing
is unpickled; other kinds of file are refused, as are other models than BERT: a RoBERTa counts its
positions from 2, so that its weights fit and its numbers do not.
"""

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import wordpiece
from rnnlab.bert.encoder import Config, Value
from rnnlab.bert.heads import Classifier, Pretraining, architecture
from rnnlab.core import validate
from rnnlab.core.errors import UserError, unknown
from rnnlab.data import files
from rnnlab.interop.array_files import read_arrays, write_arrays

PyTree = Any

PARTS = ("encoder", "pooler", "masked_words", "next_sentence")
CONFIGS = ("config.json", "bert_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model.npz")

# our name of g: its names in config.json, the first of which is written
_ACTIVATIONS = {
    "gelu": ("gelu", "gelu_python"),  # by erf
    "gelu_tanh": (
        *("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_tanh"),
        *("gelu_python_tanh", "gelu_accurate"),
    ),
    "relu": ("relu",),
}
_SIZES = {  # our name of a size or rate: that in config.json
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward_size": "intermediate_size",
    "max_length": "max_position_embeddings",
    "segments": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
_OPTIONAL = {"layer_norm_eps": "norm_eps"}  # missing in Google's files: 1e-12
# what else changes a BERT's numbers, with the value that is computed here; it may be missing
_ONLY = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": None,
}
_ARCHITECTURE = re.compile(r"(TF|Flax)?Bert(?!Generation)")

# our path in the tree of parameters -> PyTorch's name of the module; the first match wins
_LAYER, _THEIRS = r"encoder\.layers\.(\d+)\.", r"bert.encoder.layer.\1."
_MODULES = [
    (r"encoder\.embeddings\.word$", "bert.embeddings.word_embeddings.weight"),
    (r"encoder\.embeddings\.position$", "bert.embeddings.position_embeddings.weight"),
    (r"encoder\.embeddings\.segment$", "bert.embeddings.token_type_embeddings.weight"),
    (r"encoder\.embeddings\.norm", "bert.embeddings.LayerNorm"),
    (_LAYER + r"attention\.output", _THEIRS + "attention.output.dense"),
    (_LAYER + r"attention_norm", _THEIRS + "attention.output.LayerNorm"),
    (_LAYER + r"attention", _THEIRS + "attention.self"),
    (_LAYER + r"feed_forward\.inner", _THEIRS + "intermediate.dense"),
    (_LAYER + r"feed_forward\.outer", _THEIRS + "output.dense"),
    (_LAYER + r"norm", _THEIRS + "output.LayerNorm"),
    (r"pooler", "bert.pooler.dense"),
    (r"next_sentence", "cls.seq_relationship"),
    (r"masked_words\.transform", "cls.predictions.transform.dense"),
    (r"masked_words\.norm", "cls.predictions.transform.LayerNorm"),
    (r"masked_words\.b$", "cls.predictions.bias"),
    (r"classifier", "classifier"),
]
_HEADS = ("bert", "cls", "classifier", "qa_outputs")  # first parts of a name
_HEADLESS = ("embeddings", "encoder", "pooler")  # the same of a BERT without heads
_ENDINGS = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}

# the names of PyTorch's weight and bias in other layouts
_WEIGHT = {"weight", "kernel", "gamma", "scale", "embedding", "embeddings", "output_weights"}
_BIAS = {"bias", "beta", "output_bias"}
# not weights: buffers, and the state of TensorFlow's optimizers
_NO_WEIGHT = re.compile(
    r"(position_ids|token_type_ids|adam_[mv]|AdamWeightDecayOptimizer(_\d+)?|LAMB|global_step"
    r"|(beta[12]|beta_[12])_power)$"
)
# the same weight under a second name
_DECODER = "cls.predictions.decoder.weight"
_TIED = {
    _DECODER: "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
_QUESTIONS = "qa_outputs.weight"


class Checkpoint(NamedTuple):
    """A BERT from a file."""

    config: Config
    params: dict[str, PyTree]  # of a model in rnnlab.bert.heads: {"params": {part: …}}


# ---- from files --------------------------------------------------------------------------------


def load(
    path: str | os.PathLike[str],
    parts: Sequence[str] = PARTS,
    config: Config | None = None,
    *,
    optional: Sequence[str] = (),
) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a ``.safetensors`` or ``.npz`` file, an index of shards, or a folder with one of
            :data:`WEIGHTS`.
        parts: those to read, of :data:`PARTS` and "classifier"; ``("encoder",)`` suffices for
            contextual vectors. The file may have other parts, which are left out. "classifier" is
            the read-out of a classifier or tagger, or of a model that answers questions
            (``qa_outputs``: start and end logits, those of a :class:`~rnnlab.bert.heads.Tagger`
            with two outputs).
        config: the sizes; None: those of config.json (bert_config.json) beside the weights.
        optional: parts that are read as well if the file has them.
    Raises:
        UserError: no such files, another kind of file, or a config of another model.
        ValueError: missing or unknown weights or weights of another shape, each by name; a
            ``config`` that computes something else than config.json says.
    Warns:
        of weights beside the encoder that belong to no part, by name: they are left out.
    """
    file = _weights_file(Path(path).expanduser())
    beside = _first_file(file.parent, CONFIGS)
    if config is None:
        config = read_config(beside or file.parent)
    elif beside:
        _check_same(config, _described(beside), beside)
    arrays = read_arrays(file)
    if beside and "masked_words" in (*parts, *optional):
        _check_tied(arrays, _described(beside), beside)
    return Checkpoint(config, from_arrays(arrays, config, parts, optional=optional))


def read_config(path: str | os.PathLike[str], **changes: Value) -> Config:
    """Read the :class:`~rnnlab.bert.encoder.Config` of a config.json.

    Args:
        path: the file, or its folder.
        changes: fields to set to other values, ``dtype="bfloat16"`` for instance.
    Raises:
        UserError: no such file, or one that describes no BERT, or a BERT that is computed in
            another way (as a decoder, with relative positions, another activation, pruned heads or
            quantized weights).
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = _first_file(path, CONFIGS) or path / CONFIGS[0]
        if not path.is_file():
            raise UserError(
                f"no config.json in {path.parent}: give the sizes as config=Config(...)"
            )
    described = _described(path)
    missing = [key for key in (*_SIZES.values(), "hidden_act") if key not in described]
    if missing:
        raise UserError(f"{path} describes no BERT: it lacks {', '.join(missing)}")
    fields: dict[str, Value] = {ours: described[theirs] for ours, theirs in _SIZES.items()}
    fields |= {ours: described[theirs] for theirs, ours in _OPTIONAL.items() if theirs in described}
    fields["activation"] = _activation(path, described["hidden_act"])
    try:
        return Config(**{**fields, **changes})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def _described(path: Path) -> dict[str, Value]:
    """Read a config.json; refuse all but a BERT by the keys that change its numbers."""
    try:
        described = json.loads(files.decoded(path.read_bytes(), path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(described, dict):
        raise UserError(f"{path} describes no BERT: {{...}} expected, got {described!r:.60}")
    for key, only in _ONLY.items():
        value = described.get(key)
        if value is not None and value != only:
            raise UserError(f"{path}: {key} is {value!r}, only {only!r} is computed here")
    if described.get("model_type") is None:  # Google's files
        for name in described.get("architectures") or ():
            if not _ARCHITECTURE.match(str(name)):
                raise UserError(f"{path} describes a {name}, which is no BERT")
    return described


def _activation(path: Path, theirs: object) -> str:
    """Return our name of an activation."""
    names = {name: ours for ours, all_ in _ACTIVATIONS.items() for name in all_}
    if not isinstance(theirs, str) or theirs not in names:
        raise UserError(f"{path}: {unknown('hidden_act', theirs, names)}")
    return names[theirs]


def _check_same(given: Config, described: Mapping[str, Value], path: Path) -> None:
    """Refuse a config that gives other numbers than the file says, where shapes do not tell."""
    said = {
        "heads": described.get("num_attention_heads", given.heads),
        "norm_eps": described.get("layer_norm_eps", given.norm_eps),
    }
    if "hidden_act" in described:
        said["activation"] = _activation(path, described["hidden_act"])
    wrong = [
        f"{name}={getattr(given, name)!r}, there {value!r}"
        for name, value in said.items()
        if getattr(given, name) != value
    ]
    if wrong:
        raise ValueError(f"config is not that of {path}: {'; '.join(wrong)}")


def _check_tied(
    arrays: Mapping[str, np.ndarray], described: Mapping[str, Value], path: Path
) -> None:
    """Refuse a head with output weights of its own that are not in the file."""
    untied = described.get("tie_word_embeddings") is False
    names = {pytorch_name(name)[0] for name in arrays}
    head = any(name.startswith("cls.predictions.") for name in names)
    if untied and head and _DECODER not in names:
        raise ValueError(
            f"missing: {_DECODER}, which is not the word embedding (tie_word_embeddings is false "
            f"in {path})"
        )


def load_tokenizer(path: str | os.PathLike[str]) -> wordpiece.Tokenizer:
    """Read the tokenizer of a checkpoint: a tokenizer.json or a vocab.txt.

    A tokenizer_config.json beside it says whether texts are put in lower case (``do_lower_case``),
    lose their accents (``strip_accents``; null: as do_lower_case) and have every Chinese character
    as a word (``tokenize_chinese_chars``); a tokenizer.json keeps its own settings for keys that
    are missing there. Special tokens in a text are kept whole, as in Hugging Face's BertTokenizer:
    BERT's, and the ``additional_special_tokens`` of that file or of a special_tokens_map.json.

    Args:
        path: the file, or its folder, in which tokenizer.json has precedence. Without
            ``do_lower_case``, a vocab.txt is in lower case unless the folder's name says "cased".
    Raises:
        UserError: no such file, one without a WordPiece that has BERT's special tokens, or a
            setting of another type.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        file = _first_file(path, TOKENIZERS)
        if file is None:
            raise UserError(f"neither {' nor '.join(TOKENIZERS)} in {path}")
        path = file
    settings = _settings(path.with_name("tokenizer_config.json"))
    try:
        text = files.decoded(path.read_bytes(), path)
        if path.suffix != ".json":
            lowercase = settings.get("lowercase")
            tokenizer = wordpiece.of_vocabulary(
                files.split_lines(text),
                _lowercase(path) if lowercase is None else lowercase,
                settings.get("strip_accents"),
                settings.get("handle_chinese_chars", True) is not False,
            )
        else:
            tokenizer = wordpiece.tokenizers_package().Tokenizer.from_str(text)
            _normalize(tokenizer, settings)
    except UserError:
        raise
    except Exception as error:  # the library raises exceptions of no particular class
        raise UserError(f"{path} cannot be read: {error}") from None
    missing = [token for token in wordpiece.SPECIALS if tokenizer.token_to_id(token) is None]
    if missing:
        raise UserError(f"{path} holds no BERT's tokens: it lacks {', '.join(missing)}")
    whole = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    tokenizer.add_special_tokens(
        [token for token in (*wordpiece.SPECIALS, *_additional(path)) if token not in whole]
    )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _beside(file: Path) -> dict[str, Any]:
    """Return the content of a JSON file of settings; {} without the file."""
    if not file.is_file():
        return {}
    try:
        described = json.loads(files.decoded(file.read_bytes(), file))
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    if not isinstance(described, dict):
        raise UserError(f"{file} cannot be read: expected {{...}}, got {described!r:.40}")
    return described


def _settings(file: Path) -> dict[str, bool | None]:
    """Return the normalizer's settings that a tokenizer_config.json names."""
    described = _beside(file)
    settings = {}
    for theirs, ours in wordpiece.NORMALIZER.items():
        value = described.get(theirs)
        if not isinstance(value, bool | None):
            raise UserError(f"{file}: {theirs} must be true, false or null, got {value!r}")
        if value is not None or (theirs in described and theirs == "strip_accents"):
            settings[ours] = value
    return settings


def _normalize(tokenizer: wordpiece.Tokenizer, settings: dict[str, bool | None]) -> None:
    """Change the settings of a tokenizer's normalizer, where it is BERT's."""
    normalizer = json.loads(tokenizer.to_str())["normalizer"]
    if settings and normalizer and normalizer["type"] == "BertNormalizer":
        del normalizer["type"]
        tokenizer.normalizer = wordpiece.tokenizers_package().normalizers.BertNormalizer(
            **{**normalizer, **settings}
        )


def _additional(path: Path) -> list[str]:
    """Return the special tokens besides BERT's that the files beside a vocabulary name."""
    tokens: list[str] = []
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        named = _beside(path.with_name(name)).get("additional_special_tokens") or []
        tokens += [token["content"] if isinstance(token, dict) else token for token in named]
    return list(dict.fromkeys(tokens))


def _lowercase(vocab: Path) -> bool:
    name = vocab.absolute().parent.name.lower()
    return "uncased" in name or "cased" not in name


def _weights_file(path: Path) -> Path:
    file = path if path.is_file() else _first_file(path, WEIGHTS)
    if file is None:
        raise UserError(
            f"no weights at {path}: expected a .safetensors or .npz file, or a folder "
            f"with {' or '.join(WEIGHTS)}"
        )
    return file


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first of these files that the folder has; None without any."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


# ---- names -------------------------------------------------------------------------------------


def pytorch_name(name: str) -> tuple[str, bool]:
    """Translate a weight's name in any layout to PyTorch's.

    Returns:
        the name, and whether the array is laid out as in PyTorch, (out, in).

    >>> pytorch_name("bert/encoder/layer_11/output/LayerNorm/gamma")
    ('bert.encoder.layer.11.output.LayerNorm.weight', True)
    >>> pytorch_name("params.encoder.layer.3.intermediate.dense.kernel")
    ('bert.encoder.layer.3.intermediate.dense.weight', False)
    """
    name = re.sub(r"layer_(?:\._)?(\d+)", r"layer.\1", name.removesuffix(":0"))
    path = re.split(r"[./]", name.replace("nsp___", "").replace("mlm___", ""))
    starts = [k for k, word in enumerate(path) if word in _HEADS]
    if starts:
        path = path[starts[0] :]
    else:
        path = path[1:] if path[0] in ("params", "model") and len(path) > 1 else path
        if path[0] in _HEADLESS:  # of a BERT without heads
            path = ["bert", *path]
    last = path[-1]
    if last.endswith("_embeddings"):
        path.append("weight")
    elif last in _WEIGHT:
        path[-1] = "weight"
    elif last in _BIAS:
        path[-1] = "bias"
    return ".".join(path), last != "kernel"


def _name_of(path: tuple[object, ...]) -> tuple[str, bool]:
    """Return PyTorch's name of a leaf of our parameters, and whether it is a kernel."""
    ours = jax.tree_util.keystr(path, simple=True, separator=".")
    for pattern, name in _MODULES:
        match = re.match(pattern, ours)
        if match:
            rest = ours[match.end() :].lstrip(".")
            words = [match.expand(name), *(_ENDINGS.get(w, w) for w in rest.split(".") if w)]
            return ".".join(words), ours.endswith(".W")
    raise ValueError(f"params hold {ours!r}, which is no part of a BERT")


@lru_cache(maxsize=8)  # a trace of both models
def _template(config: Config, outputs: int) -> Mapping[str, PyTree]:
    """Return the shapes of every part's parameters."""
    key, ids = jax.random.key(0), jnp.zeros((1, 1), jnp.int32)
    whole = jax.eval_shape(Pretraining(config).init, key, ids)["params"]
    whole |= jax.eval_shape(Classifier(config, outputs=outputs).init, key, ids)["params"]
    return {part: whole[part] for part in (*PARTS, "classifier")}


# ---- trees and arrays --------------------------------------------------------------------------


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    config: Config,
    parts: Sequence[str] = PARTS,
    *,
    optional: Sequence[str] = (),
) -> dict[str, PyTree]:
    """Make a model's parameters from named arrays in any layout.

    Args:
        arrays: from :func:`rnnlab.interop.array_files.read_arrays`. config: the sizes.
        parts, optional: see :func:`load`.
    Returns:
        {"params": {part: …}}, values unchanged, kernels transposed to (in, out).
    Raises:
        ValueError: names every weight that is missing, unknown, of another shape or type, given
            twice, or different from the weight it is tied to.
    Warns:
        as :func:`load`.
    """
    given, wrong = _standard(arrays)
    if _QUESTIONS in given and "classifier.weight" in given and "classifier" in parts:
        wrong.append(f"two read-outs: {_QUESTIONS} and classifier.weight")
    elif "classifier.weight" not in given:  # a head that answers questions is a tagger's
        for end in ("weight", "bias"):
            if head := given.pop(f"qa_outputs.{end}", None):
                given[f"classifier.{end}"] = head
    decodes = "masked_words" in (*parts, *optional)
    for second, first in _TIED.items():
        head = given.pop(second, None)
        if head is None:
            continue
        if first not in given:
            given[first] = head
        elif decodes and not np.array_equal(head.array, given[first].array):
            wrong.append(f"not tied: {head.name} differs from {given[first].name}")

    readout = given.get("classifier.weight")
    outputs = readout.array.shape[0] if readout and readout.array.ndim else 2
    everything = _template(config, outputs)
    names = {
        part: {_name_of(path)[0] for path, _ in jax.tree_util.tree_leaves_with_path({part: leaf})}
        for part, leaf in everything.items()
    }
    for part in (*parts, *optional):
        validate.choice("part", part, names)
    held = [part for part in optional if part not in parts and names[part] & given.keys()]
    read_parts = [*parts, *held]
    used = set()

    def read(path: tuple[object, ...], like: jax.ShapeDtypeStruct) -> jax.Array | None:
        name, kernel = _name_of(path)
        expected = like.shape[::-1] if kernel else like.shape
        if name not in given:
            wrong.append(f"missing: {name} {expected}")
            return None
        used.add(name)
        theirs, array = given[name]
        if array.shape != expected:
            wrong.append(f"of shape {array.shape}, expected {expected}: {theirs}")
        if not jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.itemsize < 2:
            wrong.append(f"of type {array.dtype}, expected a float: {theirs}")
            return None
        return jnp.asarray(array.T if kernel else array)

    params = jax.tree_util.tree_map_with_path(read, {part: everything[part] for part in read_parts})
    others = sorted(given.keys() - used - set().union(*names.values()))
    # a weight that is part of the encoder would change its numbers
    wrong += [f"extra: {given[name].name}" for name in others if name.startswith("bert.")]
    beside = [given[name].name for name in others if not name.startswith("bert.")]
    if wrong:
        raise ValueError(
            f"{len(wrong)} weights do not fit{_complete(given, names, read_parts)}:\n  "
            + "\n  ".join(sorted(wrong))
        )
    if beside:
        warnings.warn(
            f"weights beside the encoder that belong to no part are left out: {', '.join(beside)}",
            stacklevel=3,
        )
    return {"params": params}


class _Weight(NamedTuple):
    """A weight of a file, in PyTorch's layout."""

    name: str  # in the file
    array: np.ndarray


def _standard(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, _Weight], list[str]]:
    """Return the weights by PyTorch's names, and a line per name that occurs twice."""
    given: dict[str, _Weight] = {}
    wrong = []
    for name, array in arrays.items():
        if _NO_WEIGHT.search(name):
            continue
        standard, as_pytorch = pytorch_name(name)
        array = np.asarray(array)
        if array.ndim == 2 and not as_pytorch:
            array = array.T
        if standard in given:
            wrong.append(f"twice: {name} and {given[standard].name}")
        given[standard] = _Weight(name, array)
    return given, wrong


def _complete(
    given: Mapping[str, _Weight], names: Mapping[str, set[str]], parts: Sequence[str]
) -> str:
    """Return the part of a message that says which parts a file has."""
    held = [part for part, of_part in names.items() if of_part <= given.keys()]
    if "encoder" in held:
        lacking = [part for part in parts if part not in held]
        return f" (the file has parts={tuple(held)!r})" if lacking else ""
    starts = sorted({re.split(r"[./]", weight.name)[0] for weight in given.values()})
    return f" (no BERT's encoder among {', '.join(starts[:5])})"


def to_arrays(params: Mapping[str, PyTree]) -> dict[str, np.ndarray]:
    """Return a model's parameters under PyTorch's names and in its layout, (out, in).

    Args:
        params: {"params": …} of a model in :mod:`rnnlab.bert.heads`.
    Returns:
        contiguous arrays, without the tied decoder, as in PyTorch's own files.
    """
    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params["params"]):
        name, kernel = _name_of(path)
        array = np.asarray(leaf)
        arrays[name] = np.ascontiguousarray(array.T if kernel else array)
    return arrays


def save(
    path: str | os.PathLike[str],
    params: Mapping[str, PyTree],
    config: Config,
    tokenizer: wordpiece.Tokenizer | None = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Write model.safetensors and config.json, which this module and Hugging Face's libraries read.

    Args:
        path: of the folder; created if missing.
        params: as for :func:`to_arrays`.
        tokenizer: written as well (:func:`rnnlab.bert.wordpiece.save`); None: the folder has none.
        labels: names of a classifier's classes (of a run: its task's ``classes``), with which
            transformers answers; None: LABEL_0, LABEL_1 …
    Raises:
        ValueError: labels of another number, one twice, or without a classifier.
    """
    classifier = params["params"].get("classifier")
    count = 0 if classifier is None else len(classifier.b)
    labels = [f"LABEL_{k}" for k in range(count)] if labels is None else list(labels)
    if len(set(labels)) != count or len(labels) != count:
        raise ValueError(f"{count} different labels expected, got {labels!r:.80}")
    path = Path(path).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    write_arrays(path / WEIGHTS[0], to_arrays(params))
    described = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    described |= {theirs: getattr(config, ours) for theirs, ours in _OPTIONAL.items()}
    described |= {"hidden_act": _ACTIVATIONS[config.activation][0], "model_type": "bert"}
    described["architectures"] = [architecture(params["params"])]
    if count:
        described["id2label"] = {str(k): label for k, label in enumerate(labels)}
        described["label2id"] = {label: k for k, label in enumerate(labels)}
    if tokenizer is not None:
        (described["pad_token_id"],) = wordpiece.special_ids(tokenizer, wordpiece.PAD)
        wordpiece.save(tokenizer, path, config.max_length)
    (path / CONFIGS[0]).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
